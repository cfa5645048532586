"""The texts in pictures: JSON, and AUTOMATIC1111's parameters as plain text."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.pictures.metadata import texts


@pytest.mark.parametrize(
    ("parameters", "node", "index", "expected"),
    [
        ("a cat\nSteps: 4", "9", 3, "a cat\nSteps: 4"),
        ({"9": ["first", "second"]}, "9", 1, "second"),
        ({"9": ["first", "second"]}, "9", 2, None),
        ({"9": ["first"]}, "8", 0, None),
        ({"9": "first"}, "9", 0, None),
        (5, "9", 0, None),
    ],
)
def test_parameters_are_plain_text_for_each_picture(parameters: Any, node: str, index: int, expected: Any) -> None:
    found = texts({"1": {}}, {"workflow": {"nodes": []}, "parameters": parameters}, node, index)
    assert found.get("parameters") == expected
    assert found["prompt"] == '{"1": {}}' and found["workflow"] == '{"nodes": []}'
