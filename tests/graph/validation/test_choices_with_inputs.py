"""Sub-inputs are checked as the chosen value declares them, also where several values bring one name."""

from __future__ import annotations

import json
from typing import Any

import pytest

import graph
from graph.input_groups import ChoiceWithInputs
from graph.node import node
from graph.node_types.schema_data import node_type_from_data, node_type_to_data
from graph.schema import Input, NodeType, Registry


def _amount(kind: str, **more: Any) -> Input:
    return Input("amount", kind, parameter="amount", **more)


_INNER = ChoiceWithInputs(
    "how",
    {"few": (_amount("INT", default=1, maximum=3),), "many": (_amount("INT", default=100, minimum=50),)},
)
_MODE = ChoiceWithInputs(
    "mode",
    {
        "none": (),
        "count": (_amount("INT", default=2, minimum=0, maximum=10),),
        "share": (_amount("FLOAT", default=0.5, minimum=0.0, maximum=1.0),),
        "word": (_amount("COMBO", default="some", choices=("some", "all")),),
        "like": (Input("amount", "IMAGE", parameter="amount"),),
        "nested": (_INNER,),
    },
)
received: list[dict[str, Any]] = []


@node("Amounts", category="test", output_node=True, inputs=[_MODE])
def amounts(**groups: Any) -> None:
    """Keep the group."""
    received.append(groups["mode"])


@node("Picture", category="test")
def picture() -> Any:
    """Return something."""
    return "picture"


def _registry() -> Registry:
    found: NodeType = amounts.node_type  # type: ignore[attr-defined]
    there_and_back = node_type_from_data(json.loads(json.dumps(node_type_to_data(found))))
    assert there_and_back.inputs == found.inputs
    return Registry({"Amounts": found, "Picture": picture.node_type})  # type: ignore[attr-defined]


def problems(**inputs: Any) -> list[tuple[str, str | None]]:
    prompt = {
        "1": {"class_type": "Amounts", "inputs": {name.replace("_", "."): value for name, value in inputs.items()}},
        "2": {"class_type": "Picture", "inputs": {}},
    }
    found = _registry()
    return [(each.type, each.input_name) for each in graph.validate(graph.load(prompt, found), found)]


@pytest.mark.parametrize(
    ("mode", "amount"),
    [("none", "stale"), ("count", 10), ("share", 0.25), ("word", "all"), ("like", ["2", 0])],
)
def test_the_chosen_value_decides(mode: str, amount: Any) -> None:
    assert problems(mode=mode, mode_amount=amount) == []


@pytest.mark.parametrize(
    ("mode", "amount", "kind"),
    [
        ("count", 11, "value_bigger_than_max"),
        ("count", "all", "invalid_input_type"),
        ("share", -0.1, "value_smaller_than_min"),
        ("word", "none of it", "value_not_in_list"),
        ("word", 3, "value_not_in_list"),
    ],
)
def test_wrong_values_are_found(mode: str, amount: Any, kind: str) -> None:
    assert problems(mode=mode, mode_amount=amount) == [(kind, "mode.amount")]


def test_a_socket_of_the_chosen_value_is_required() -> None:
    assert problems(mode="like") == [("required_input_missing", "mode.amount")]
    assert problems(mode="word") == []  # its default is filled in


def test_choices_within_choices() -> None:
    assert problems(mode="nested", mode_how="few", mode_how_amount=3) == []
    assert problems(mode="nested", mode_how="many", mode_how_amount=60) == []
    assert problems(mode="nested", mode_how="few", mode_how_amount=60) == [("value_bigger_than_max", "mode.how.amount")]


def test_an_unknown_value_is_the_only_problem() -> None:
    assert problems(mode="other", mode_amount=99) == [("value_not_in_list", "mode")]


def test_the_node_gets_values_of_the_chosen_type() -> None:
    found = _registry()
    given = [("count", {"mode.amount": "7"}), ("share", {"mode.amount": 1}), ("word", {}), ("none", {"mode.amount": 4})]
    with graph.Engine(found) as engine:
        for mode, own in given:
            prompt = {"1": {"class_type": "Amounts", "inputs": {"mode": mode, **own}}}
            engine.run(graph.load(prompt, found))
    assert [each.get("amount") for each in received] == [7, 1.0, "some", None]
    assert type(received[1]["amount"]) is float
