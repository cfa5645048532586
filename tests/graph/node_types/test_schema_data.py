from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import pytest

import nodes
from graph.node import Choices, Range, node
from graph.node_types.schema_data import NodeElsewhereError, node_type_from_data, node_type_to_data
from graph.schema import NodeType

CODE = ("function", "check_lazy", "fingerprint", "validate")


def there_and_back(node_type: NodeType) -> NodeType:
    return node_type_from_data(json.loads(json.dumps(node_type_to_data(node_type))))


def test_every_node_comes_back_as_it_was_but_for_its_code() -> None:
    for node_type in nodes.registry().values():
        back = there_and_back(node_type)
        for field in dataclasses.fields(NodeType):
            before, after = getattr(node_type, field.name), getattr(back, field.name)
            if field.name in CODE:
                assert (before is None) == (after is None), (node_type.name, field.name)
            else:
                assert before == after, (node_type.name, field.name)


def test_the_code_stays_where_it_is() -> None:
    back = there_and_back(nodes.registry()["LoadImage"])
    assert back.validate is not None
    with pytest.raises(NodeElsewhereError, match="LoadImage runs in a worker"):
        back.validate(image="x.png")


def test_false_and_zero_are_not_taken_for_one_another() -> None:
    @node("Odd", category="test")
    def odd(*, flag: bool = False, count: int = 0, share: float = 0.0, text: str = "") -> int:
        return 0

    defaults = [declared.default for declared in there_and_back(odd.node_type).inputs]  # type: ignore[attr-defined]
    assert defaults == [False, 0, 0.0, ""] and [type(value) for value in defaults] == [bool, int, float, str]


def test_bounds_and_choices_come_back() -> None:
    @node("Bounded", category="test")
    def bounded(
        *, size: Annotated[int, Range(-5, 0, 5)] = 0, which: Annotated[str, Choices(("a", 1, True))] = "a"
    ) -> int:
        return 0

    size, which = there_and_back(bounded.node_type).inputs  # type: ignore[attr-defined]
    assert (size.minimum, size.maximum, size.step) == (-5, 0, 5)
    assert which.choices == ("a", 1, True)


def test_what_a_newer_version_adds_is_left_out() -> None:
    data = node_type_to_data(nodes.registry()["VAEDecode"])
    data["colour"] = "blue"
    data["inputs"][0]["shape"] = "round"
    assert node_type_from_data(data).name == "VAEDecode"
