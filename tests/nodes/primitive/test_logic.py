"""Logic, expressions and numbers, called by hand and run by the engine."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import graph
from nodes import model_folders, registry
from nodes.primitive.expression import ExpressionError, evaluate
from nodes.primitive.logic_nodes import (
    NumberError,
    custom_combo,
    not_node,
    number_convert,
    pass_or_none,
    resolution_selector,
    switch_node,
)

REGISTRY = registry()


def run(prompt: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The texts that PreviewAny nodes show, by their id."""
    folders = model_folders.folders(tmp_path)
    workflow = graph.load(prompt, REGISTRY)
    assert graph.validate(workflow, REGISTRY, folders=folders) == []
    with graph.Engine(REGISTRY, folders=folders) as engine:
        outputs = engine.run(workflow).outputs
    return {name: shown["text"] for name, shown in outputs.items()}


@pytest.mark.parametrize(
    ("expression", "values", "expected"),
    [
        ("a + b", {"a": 1, "b": 2.5}, 3.5),
        ("round(a / 8) * 8", {"a": 1027}, 1024),
        ("max(values) - min(values)", {"a": 3, "b": -1, "c": 9}, 10),
        ("a if a > b else b", {"a": 3, "b": 4}, 4),
        ("sum(values) / 2", {"a": 1, "b": 2}, 1.5),
        ("not a and 1 < b <= 3", {"a": False, "b": 3}, True),
        ("sqrt(a) + floor(2.7) + ceil(2.1) + log2(8) + log10(100) + log(1)", {"a": 16}, 14),
        ("2 ** 10 % 1000 // 5", {}, 4),
        ("pow(2, -1) + abs(-3) + int(3.9) + float(2)", {}, 8.5),
        ("sin(pi / 2) + cos(0) + tan(0)", {}, 2),
        ("values[-1]", {"a": 1, "b": 7}, 7),
        ("a +\nb", {"a": 1, "b": 7}, 8),
        ("  a # the width\r\n\n  * (b\n - 1)  ", {"a": 2, "b": 7}, 12),
        ("a + e", {"a": 1, "e": 5}, 6),
        ("9 ** 4000 % 1000 + (2 ** 4000) * 3 % 7", {}, pow(9, 4000, 1000) + 2**4000 * 3 % 7),
        ("round(1234, -2) + round(2.567, 1)", {}, 1202.6),
    ],
)
def test_expressions(expression: str, values: dict[str, float], expected: float) -> None:
    assert evaluate(expression, values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("a +", "'a \\+' is not an expression"),
        ("a + q", "'a \\+ q': 'q' is unknown"),
        ("1 / 0", "'1 / 0' cannot be computed"),
        ("sqrt(-1)", "cannot be computed"),
        ("9 ** 9 ** 9", "the exponent 387420489 is above 4000"),
        ("1e308 * 10", "gives inf"),
        ("10 ** 400", "gives too large a number"),
        ("values", "gives a list"),
        ("a.real", "only numbers"),
        ("__import__('os')", "is unknown"),
        ("(lambda: 1)()", "only numbers"),
        ("[1] * 1000000000", "a list is not a number"),
        ("'x' * 9", "only numbers"),
        ("round(a, 2) in values", "not arithmetic"),
        ("min()", "cannot be computed"),
        (
            "(9**4000)**4000",
            r"'\(9\*\*4000\)\*\*4000' cannot be computed: an intermediate result has more than 16,384 bits",
        ),
        ("(9**4000)**400", r"'\(9\*\*4000\)\*\*400' cannot be computed"),
        ("pow(pow(9, 4000), 400)", "more than 16,384 bits"),
        ("9**4000 * 9**4000", "more than 16,384 bits"),
        ("round(7, -10**9)", "the number of digits -1000000000 is above 4000"),
        ("e", "'e' is unknown or not connected; there are a, pi, values"),
        ("a\nb", "is not an expression"),
        ("-" * 9000 + "1", "nested too deeply"),
        ("1" + "+1" * 4900, "nested too deeply"),
        ("a) + (a", "is not an expression: the parentheses do not match"),
    ],
)
def test_what_is_no_arithmetic_is_quoted(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        evaluate(expression, {"a": 1.0})


def test_numbers() -> None:
    assert number_convert(value="12") == (12.0, 12)
    assert number_convert(value=" -3.7 ") == (-3.7, -3)
    assert number_convert(value=True) == (1.0, 1)
    assert number_convert(value=2.9) == (2.9, 2)
    assert number_convert(value=str(2**62 + 1)).INT == 2**62 + 1
    for bad in ("x", "", "nan", math.inf, None, "1e999", 10**400, 10**5000):
        with pytest.raises(NumberError):
            number_convert(value=bad)
    for digits in (400, 5000):
        with pytest.raises(NumberError, match=f"'{'9' * digits}' is not a finite number"):
            number_convert(value="9" * digits)


def test_truth() -> None:
    assert [not_node(value=value) for value in (0, "", None, [], False)] == [True] * 5
    assert [not_node(value=value) for value in (1, "x", [0], torch.zeros(2, 2))] == [False] * 4
    assert pass_or_none(anything=None, default=3) == (3, False)
    assert pass_or_none(anything=0, default=3) == (0, False)
    assert pass_or_none() == (None, True)
    assert switch_node(switch=True, on_false=1) is None


def test_resolutions() -> None:
    assert resolution_selector(aspect_ratio="1:1 (Square)") == (1024, 1024)
    width, height = resolution_selector(aspect_ratio="16:9 (Widescreen)", megapixels=1.0, multiple=64)
    assert (width % 64, height % 64) == (0, 0) and width / height == pytest.approx(16 / 9, rel=0.05)


def test_only_the_chosen_side_runs(tmp_path: Path) -> None:
    """The other side would fail: its expression is wrong."""
    prompt = {
        "good": {"class_type": "ComfyMathExpression", "inputs": {"expression": "values[0] * 2", "values.a": 21}},
        "bad": {"class_type": "ComfyMathExpression", "inputs": {"expression": "1 / 0", "values.a": 1}},
        "s": {
            "class_type": "ComfySwitchNode",
            "inputs": {"switch": True, "on_false": ["bad", 1], "on_true": ["good", 1]},
        },
        "p": {"class_type": "PreviewAny", "inputs": {"source": ["s", 0]}},
        "none": {"class_type": "ComfySwitchNode", "inputs": {"switch": False, "on_true": ["bad", 1]}},
        "q": {"class_type": "PreviewAny", "inputs": {"source": ["none", 0]}},
    }
    assert run(prompt, tmp_path) == {"p": ["42"], "q": ["None"]}


def test_values_that_grow(tmp_path: Path) -> None:
    prompt = {
        "one": {"class_type": "PrimitiveInt", "inputs": {"value": 1}},
        "zero": {"class_type": "PrimitiveInt", "inputs": {"value": 0}},
        "and": {"class_type": "ComfyAndNode", "inputs": {"values.value0": ["one", 0], "values.value1": ["zero", 0]}},
        "or": {"class_type": "ComfyOrNode", "inputs": {"values.value0": ["zero", 0], "values.value2": ["one", 0]}},
        "a": {"class_type": "PreviewAny", "inputs": {"source": ["and", 0]}},
        "o": {"class_type": "PreviewAny", "inputs": {"source": ["or", 0]}},
        "combo": {"class_type": "CustomCombo", "inputs": {"choice": "red", "index": 1}},
        "c": {"class_type": "PreviewAny", "inputs": {"source": ["combo", 0]}},
        "i": {"class_type": "PreviewAny", "inputs": {"source": ["combo", 1]}},
    }
    found = run(prompt, tmp_path)
    assert {name: texts[0].lower() for name, texts in found.items()} == {
        "a": "false",
        "o": "true",
        "c": "red",
        "i": "1",
    }


@pytest.mark.parametrize(
    ("choice", "index", "expected"),
    [("red", 1, 1), ("green", 1, 0), ("green", 2, 2), ("blue", 1, 1), ("green", -1, 0)],
)
def test_the_index_follows_a_choice_that_was_changed_without_it(choice: str, index: int, expected: int) -> None:
    """An app's field and a sweep change only the choice; a text that is listed twice keeps its place."""
    options = {"option1": "green", "option2": "red", "option3": "green"}
    assert custom_combo(choice=choice, index=index, **options) == (choice, expected)
