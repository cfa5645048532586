"""Differences between two workflows are found and named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from graph import Link, load
from graph.comparison import Change, NodeChange, compare
from graph.schema import MISSING

BASE: dict[str, Any] = {
    "1": {"class_type": "Load", "inputs": {"name": "a"}},
    "2": {"class_type": "Text", "inputs": {"clip": ["1", 1], "text": "a red apple"}, "_meta": {"title": "Prompt"}},
    "3": {"class_type": "Text", "inputs": {"clip": ["1", 1], "text": "bad"}},
    "4": {
        "class_type": "Sample",
        "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "steps": 20},
    },
}


@pytest.fixture
def changed() -> dict[str, Any]:
    return copy.deepcopy(BASE)


def difference(before: Any, after: Any) -> Any:
    return compare(load(before, {}), load(after, {}))


def test_equal_workflows_are_the_same(changed: dict[str, Any]) -> None:
    changed["4"]["inputs"]["steps"] = 20.0
    assert difference(BASE, changed).is_same
    changed["4"]["inputs"]["steps"] = True
    assert not difference(BASE, changed).is_same


def test_fields_links_and_titles_that_changed_are_listed(changed: dict[str, Any]) -> None:
    changed["2"] |= {"inputs": {"clip": ["1", 1]}, "_meta": {"title": "Positive"}}
    changed["4"]["inputs"] |= {"positive": ["3", 0], "steps": 30, "cfg": 5}
    found = difference(BASE, changed)
    assert found.changed == (
        NodeChange("2", "2", {"text": Change("a red apple", MISSING)}, Change("Prompt", "Positive")),
        NodeChange(
            "4",
            "4",
            {"positive": Change(Link("2", 0), Link("3", 0)), "steps": Change(20, 30), "cfg": Change(MISSING, 5)},
            None,
        ),
    )
    assert (found.added, found.removed, found.renumbered) == ((), (), ())


def test_added_and_removed_nodes_are_listed(changed: dict[str, Any]) -> None:
    del changed["3"]
    changed["4"] = {"class_type": "SampleMore", "inputs": {}}
    found = difference(BASE, changed)
    assert (found.removed, found.added) == (("3", "4"), ("4",))


def test_nodes_under_other_ids_are_paired_by_class_and_likeness() -> None:
    ids = {"1": "10", "2": "31", "3": "30", "4": "9:1"}

    def renamed(value: Any) -> Any:
        return [ids[value[0]], value[1]] if isinstance(value, list) else value

    other = {
        ids[node_id]: {**node, "inputs": {name: renamed(value) for name, value in node["inputs"].items()}}
        for node_id, node in reversed(BASE.items())
    }
    found = difference(BASE, other)
    assert dict(found.renumbered) == ids
    assert (found.changed, found.added, found.removed, found.is_same) == ((), (), (), False)
    other["31"]["inputs"]["text"] = "a green apple"
    [change] = difference(BASE, other).changed
    assert change == NodeChange("2", "31", {"text": Change("a red apple", "a green apple")}, None)


def test_what_differs_on_the_canvas_is_counted() -> None:
    def document(x: int, width: int, note: str, title: str) -> dict[str, Any]:
        return {
            "nodes": [
                {"id": 1, "type": "A", "pos": [x, 0], "size": [width, 50]},
                {"id": 2, "type": "B", "pos": [5, 0], "size": [9, 9]},
                {"id": 3, "type": "Note", "pos": [0, 0], "widgets_values": [note]},
            ],
            "links": [],
            "groups": [{"title": title, "bounding": [0, 0, 10, 10]}],
        }

    found = difference(document(0, 10, "x", "y"), document(1, 20, "z", "y"))
    assert (found.moved, found.resized, found.notes, found.groups) == (1, 1, (1, 1), (0, 0))
    assert not found.is_same
    assert difference(document(0, 10, "x", "y"), document(0, 10, "x", "y")).is_same


def test_thousands_of_nodes_of_one_class_are_compared() -> None:
    before = {str(number): {"class_type": "A", "inputs": {"n": number}} for number in range(3000)}
    after = {str(number + 5000): {"class_type": "A", "inputs": {"n": number}} for number in range(3000)}
    assert len(difference(before, after).renumbered) == 3000
