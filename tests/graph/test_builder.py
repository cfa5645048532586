"""A workflow written in Python: calls add nodes, outputs are arguments, mistakes are named where they are made."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest

from graph import BuilderError, Link, Registry, Workflow, WorkflowBuilder, load
from graph.node import Named, Socket, node


class Two(NamedTuple):
    first: Annotated[int, Named("first")]
    odd: Annotated[Any, Socket("IMAGE"), Named("an output")]


@node("Pair", category="")
def pair(*, number: int = 3, text: str) -> Two:
    """Make two values."""


@node("Add", category="")
def add(*, a: int, b: int = 1, c: int | None = None) -> int: ...


@node("Odd Name|pack", category="")
def odd(*, value: Annotated[int, Named("a.b")] = 5, other: Annotated[int, Named("_id")] = 6) -> int: ...


@node("Show", category="", output_node=True)
def show(*, value: Annotated[Any, Socket("*")]) -> None: ...


@pytest.fixture
def w() -> WorkflowBuilder:
    functions: list[Any] = [pair, add, odd, show]
    return WorkflowBuilder(Registry({each.node_type.name: each.node_type for each in functions}))


def test_calls_add_nodes_and_outputs_link_them(w: WorkflowBuilder) -> None:
    both = w.Pair(text="x", _title="Both")
    first, second = both
    total = w.Add(a=both.first, b=first, _id="sum")
    w.Show(value=total)
    w.Show(value=both["an output"])
    assert (first, second) == (Link("1", 0), Link("1", 1)) == (both[0], both[1])
    assert w.to_api() == {
        "1": {"class_type": "Pair", "inputs": {"text": "x", "number": 3}, "_meta": {"title": "Both"}},
        "sum": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": ["1", 0]}},
        "2": {"class_type": "Show", "inputs": {"value": ["sum", 0]}},
        "3": {"class_type": "Show", "inputs": {"value": ["1", 1]}},
    }
    assert load(w.to_api(), w.registry).nodes == w.workflow().nodes


def test_odd_names_and_lists_are_possible(w: WorkflowBuilder) -> None:
    number = w.node("Odd Name|pack", _inputs={"a.b": 7, "_id": 8}, _id=12)
    w.node("Not installed", anything=number, listed=[1, [2]], nothing=None)
    w.node("Show", value=w.node("Other", _id="4")[3])
    api = w.to_api()
    assert api["12"] == {"class_type": "Odd Name|pack", "inputs": {"a.b": 7, "_id": 8}}
    assert api["1"]["inputs"] == {"anything": ["12", 0], "listed": {"__value__": [1, [2]]}, "nothing": None}
    assert api["2"]["inputs"] == {"value": ["4", 3]}


def test_mistakes_are_named_where_they_are_made(w: WorkflowBuilder) -> None:
    both = w.Pair(text="x")
    for call, words in [
        (lambda: w.Add(aa=1), "Add has no input 'aa'. Did you mean a?"),
        (
            lambda: w.Add(a=both),
            r"node 1 \(Pair\) has the outputs \[0\] first, \[1\] an output; pass one",
        ),
        (lambda: w.Add(a=w.Show(value=1)), "has no outputs"),
        (lambda: both["frist"], "no output 'frist'"),
        (lambda: both[2], "no output 2"),
        (lambda: w.Add(a=[both[0]]), "stands inside a list"),
        (lambda: w.Add(a=Path("x")), "found a Python PosixPath; expected JSON"),
        (lambda: w.node("Add", _id=1), "Pair has this ID already"),
        (lambda: w.Add(a=w.node("Missing")), "use node\\[0\\]"),
    ]:
        with pytest.raises(BuilderError, match=words):
            call()
    with pytest.raises(AttributeError, match=r"no node class 'Ad'\. Did you mean Add\?"):
        w.Ad()
    with pytest.raises(AttributeError, match="no output 'frist'"):
        both.frist  # noqa: B018


def test_an_editor_of_python_can_complete_classes_inputs_and_outputs(w: WorkflowBuilder) -> None:
    assert {"Pair", "Add", "note", "to_editor"} <= set(dir(w))
    assert str(inspect.signature(w.Add)).startswith("(*, a, b=1, c=None, _id=None, _title=None")
    assert w.Pair.__doc__ == "Make two values."
    assert "an output" in dir(w.Pair(text=""))


def test_the_editor_document_has_places_notes_and_groups(w: WorkflowBuilder) -> None:
    first = w.Add(a=1, c=2, _at=(10, 20), _size=(200, 90), _look={"color": "#322", "flags": {"collapsed": True}})
    w.Show(value=first)
    w.note("Look *here*", title="A note", at=(0, -200), markdown=True)
    w.group("All", at=(0, 0), size=(500, 300), color="#88A")
    w.extra["linearMode"] = True
    document = w.to_editor()
    add_node, show_node, note = document["nodes"]
    assert (add_node["pos"], add_node["size"], add_node["color"]) == ([10, 20], [200, 90], "#322")
    assert add_node["flags"] == {"collapsed": True}
    assert show_node["pos"][1] > 20 + 90  # a node without a place stands below the others
    assert (note["type"], note["widgets_values"], note["pos"]) == ("MarkdownNote", ["Look *here*"], [0, -200])
    assert document["groups"][0]["bounding"] == [0, 0, 500, 300]
    assert document["extra"] == {"linearMode": True}
    workflow: Workflow = w.workflow()
    assert workflow.editor == document
    assert load(document, w.registry).to_api() == w.to_api()
    w.Add(a=1)
    assert w.workflow().editor is None  # an editor would give `c` a value
