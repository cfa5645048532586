"""Lists: outputs that feed one by one, inputs that take whole lists, empty ones, blocked elements."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from graph import events
from graph.errors import NodeError
from graph.node import Listed, Socket, node
from graph.results import Blocked, NodeResult
from graph.workflow import Link, Workflow, WorkflowNode

Anything = Annotated[Any, Socket("*")]
Several = Annotated[Any, Socket("*"), Listed]


@node("Split", category="")
def split(*, text: str) -> Several:
    return text.split()


@node("Join", category="", input_is_list=True)
def join(*, words: Anything, between: str = "-") -> str:
    (glue,) = between
    return glue.join(words)


@node("Pair", category="")
def pair(*, a: Anything, b: Anything) -> str:
    return f"{a}{b}"


@node("Show", category="", output_node=True)
def show(*, value: Anything) -> None:
    return NodeResult(ui={"value": [value]})


@node("Skip", category="")
def skip(*, word: Anything, what: str) -> Anything:
    return Blocked("skipped") if word == what else word


def nodes(**written: tuple[str, dict[str, Any]]) -> Workflow:
    return Workflow({name: WorkflowNode(kind, inputs) for name, (kind, inputs) in written.items()})


def run_pairs(engine, first: str, second: str) -> Any:
    workflow = nodes(
        a=("Split", {"text": first}),
        b=("Split", {"text": second}),
        p=("Pair", {"a": Link("a", 0), "b": Link("b", 0)}),
        j=("Join", {"words": Link("p", 0)}),
    )
    return engine.run(workflow, targets=["j"]).values("j")


def test_a_node_runs_once_per_element_and_shorter_lists_repeat_their_last(make_engine):
    engine = make_engine(split, join, pair)
    assert run_pairs(engine, "x y z", "1 2") == ("x1-y2-z2",)
    assert run_pairs(engine, "x", "1 2") == ("x1-x2",)


def test_an_empty_list_means_no_calls_and_empty_outputs(make_engine):
    engine = make_engine(split, join, pair, show)
    assert run_pairs(engine, "", "1 2") == ("",)
    shown = nodes(a=("Split", {"text": ""}), s=("Show", {"value": Link("a", 0)}))
    assert engine.run(shown).outputs == {}


def test_what_the_calls_show_is_joined(make_engine):
    workflow = nodes(a=("Split", {"text": "x y"}), s=("Show", {"value": Link("a", 0)}))
    assert make_engine(split, show).run(workflow).outputs == {"s": {"value": ["x", "y"]}}


def test_lists_from_cache_are_still_lists(make_engine):
    engine = make_engine(split, join, pair)
    assert run_pairs(engine, "x y", "1") == run_pairs(engine, "x y", "1") == ("x1-y1",)


def test_values_of_a_list_output_are_a_list_even_of_one(make_engine):
    assert make_engine(split).run(nodes(a=("Split", {"text": "x"})), targets=["a"]).values("a") == (["x"],)


def test_a_list_output_must_be_a_list(make_engine):
    @node("Wrong", category="")
    def wrong() -> Several:
        return 3

    with pytest.raises(NodeError, match="is a list; the node returned a int"):
        make_engine(wrong).run(nodes(a=("Wrong", {})), targets=["a"])


def test_only_blocked_elements_are_skipped(make_engine):
    engine = make_engine(split, skip, pair, show)
    workflow = nodes(
        a=("Split", {"text": "x y z"}),
        k=("Skip", {"word": Link("a", 0), "what": "y"}),
        p=("Pair", {"a": Link("k", 0), "b": "!"}),
        s=("Show", {"value": Link("p", 0)}),
    )
    said: list[events.Event] = []
    assert engine.run(workflow, listener=said.append).outputs == {"s": {"value": ["x!", "z!"]}}
    blocked = [event.node_id for event in said if isinstance(event, events.NodeBlocked)]
    assert blocked == ["p"]


def test_a_node_that_takes_lists_is_blocked_by_one_blocked_element(make_engine):
    workflow = nodes(
        a=("Split", {"text": "x y"}),
        k=("Skip", {"word": Link("a", 0), "what": "y"}),
        j=("Join", {"words": Link("k", 0)}),
    )
    assert make_engine(split, skip, join).run(workflow, targets=["j"]).values("j") == (Blocked(),)


def test_a_literal_list_is_one_value(make_engine):
    workflow = nodes(p=("Pair", {"a": [1, 2], "b": "x"}))
    assert make_engine(pair).run(workflow, targets=["p"]).values("p") == ("[1, 2]x",)
