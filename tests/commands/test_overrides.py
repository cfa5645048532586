"""--set and --prompt find the input they mean, or list the candidates."""

from typing import Annotated, Any

import pytest

from commands.overrides import OverrideError, set_inputs, set_prompt
from graph.node import Named, Socket, node
from graph.schema import Registry
from graph.workflow import Link, Workflow, WorkflowNode

Cond = Annotated[Any, Socket("CONDITIONING")]


@node("Encode", category="test")
def encode(*, text: str) -> Cond: ...


@node("Merge", category="test")
def merge(*, first: Cond, second: Cond) -> Cond: ...


@node("Sampler", category="test")
def sampler(
    *, positive: Cond, negative: Cond, steps: int = 20, odd: Annotated[float, Named("in.0.")] = 1.0
) -> Cond: ...


REGISTRY = Registry({f.node_type.name: f.node_type for f in (encode, merge, sampler)})  # type: ignore[attr-defined]
WORKFLOW = Workflow(
    {
        "1": WorkflowNode("Encode", {"text": "a"}, "What I want"),
        "2": WorkflowNode("Encode", {"text": "b"}, "v1.5 negative"),
        "4:1": WorkflowNode("Encode", {"text": "c"}),
        "5": WorkflowNode("Merge", {"first": Link("1", 0), "second": Link("4:1", 0)}),
        "3": WorkflowNode("Sampler", {"positive": Link("5", 0), "negative": Link("2", 0), "steps": 20}),
    },
    editor={"nodes": []},
)


@pytest.mark.parametrize(
    ("assignment", "node_id", "name", "value"),
    [
        ("3.steps=30", "3", "steps", 30),
        ("Sampler.steps=31", "3", "steps", 31),
        ("What I want.text=x=y.z", "1", "text", "x=y.z"),
        ("v1.5 negative.text=30", "2", "text", "30"),
        ("4:1.text=", "4:1", "text", ""),
        ("Sampler.in.0.=0.5", "3", "in.0.", 0.5),
    ],
)
def test_a_node_is_found_by_id_title_or_class(assignment: str, node_id: str, name: str, value: Any) -> None:
    changed = set_inputs(WORKFLOW, [assignment], REGISTRY)
    assert changed.nodes[node_id].inputs[name] == value
    assert WORKFLOW.nodes[node_id].inputs.get(name) != value
    assert changed.editor is None


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("Encode.text=x", r"'Encode' matches 3 nodes: 1 \(Encode, “What I want”\), 2 .*, 4:1"),
        ("Smpler.steps=3", r"no node 'Smpler'; the nodes are 3 \(Sampler\)"),
        ("3.step=3", r"no input 'step'; did you mean 'steps'"),
        ("steps=3", r"expected NODE\.input=value"),
        ("3.steps", r"expected NODE\.input=value"),
    ],
)
def test_what_cannot_be_found_lists_the_candidates(assignment: str, says: str) -> None:
    with pytest.raises(OverrideError, match=says):
        set_inputs(WORKFLOW, [assignment], REGISTRY)


def test_the_prompt_goes_to_every_text_that_reaches_positive() -> None:
    changed = set_prompt(WORKFLOW, "a cat", REGISTRY)
    assert [changed.nodes[i].inputs["text"] for i in ("1", "4:1", "2")] == ["a cat", "a cat", "b"]
    with pytest.raises(OverrideError, match="'positive'"):
        set_prompt(Workflow({"1": WORKFLOW.nodes["1"]}), "a cat", REGISTRY)
