"""How literals are converted to the types of inputs."""

from __future__ import annotations

from typing import Any

import pytest

from graph.schema import Input
from graph.validation.coerce import coerce


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("INT", 3, 3),
        ("INT", 3.0, 3),
        ("INT", -3.9, -3),
        ("INT", "3", 3),
        ("INT", True, 1),
        ("INT", 2**64 - 1, 2**64 - 1),
        ("FLOAT", 3, 3.0),
        ("FLOAT", "1e-3", 0.001),
        ("BOOLEAN", 0, False),
        ("BOOLEAN", "False", False),
        ("BOOLEAN", "true", True),
        ("STRING", 3, "3"),
        ("STRING", "x", "x"),
        ("COMBO", 3, 3),
        ("IMAGE", [1], [1]),
        ("*", {"a": 1}, {"a": 1}),
    ],
)
def test_literals_that_mean_something(kind: str, given: Any, expected: Any) -> None:
    found = coerce(Input("x", kind), given)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "given", "error"),
    [
        ("INT", "3.5", ValueError),
        ("INT", float("inf"), ValueError),
        ("INT", "9" * 5000, ValueError),
        ("INT", None, TypeError),
        ("INT", [3], TypeError),
        ("FLOAT", "nan", ValueError),
        ("FLOAT", 10**400, ValueError),
        ("FLOAT", {}, TypeError),
        ("BOOLEAN", "disable", ValueError),
        ("BOOLEAN", None, TypeError),
        ("STRING", None, TypeError),
        ("STRING", ["a"], TypeError),
    ],
)
def test_literals_that_mean_nothing(kind: str, given: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        coerce(Input("x", kind), given)


def test_none_is_no_value_for_an_optional_input() -> None:
    assert coerce(Input("x", "INT", required=False), None) is None
