"""Nodes that choose, combine and compute plain values."""

from __future__ import annotations

import re
from math import isfinite, sqrt
from typing import Annotated, Any, Final, Literal, NamedTuple

from graph.errors import SumiError
from graph.input_groups import GrowingInputs
from graph.node import Lazy, Named, Range, Socket, node
from graph.schema import Input

Anything = Annotated[Any, Socket("*")]

_MOST: Final = 100
"""How many inputs grow at most."""
_VALUES: Final = GrowingInputs.numbered("values", Input("value", "*", parameter="value"), "value", _MOST)
_LETTERS: Final = GrowingInputs(
    "values",
    Input("value", "FLOAT,INT,BOOLEAN", required=False, socket_only=True, parameter="value"),
    tuple("abcdefghijklmnopqrstuvwxyz"),
)


class NumberError(SumiError):
    """A value is not a number. The message quotes it."""


def _wanted_side(switch: Any = None, **_: Any) -> list[str]:
    """Return the side that the switch chooses; the other one never runs."""
    return ["on_true" if switch else "on_false"]


@node(
    "ComfySwitchNode",
    display_name="If/Else Switch",
    category="utilities/logic",
    check_lazy=_wanted_side,
    environment=False,
)
def switch_node(
    *,
    switch: bool,
    on_false: Annotated[Any, Socket("*"), Lazy] | None = None,
    on_true: Annotated[Any, Socket("*"), Lazy] | None = None,
) -> Annotated[Any, Socket("*"), Named("output")]:
    """Pass on one of two values. Only the nodes of the chosen side run; a missing side gives None."""
    return on_true if switch else on_false


@node("ComfyNotNode", display_name="Not", category="utilities/logic", environment=False)
def not_node(*, value: Anything) -> bool:
    """Return whether a value counts as false, as Python decides it: 0, an empty text, None."""
    return not _truth(value)


@node("ComfyAndNode", display_name="And", category="utilities/logic", environment=False, inputs=[_VALUES])
def and_node(**groups: Any) -> bool:
    """Return whether all values count as true."""
    return all(map(_truth, groups["values"].values()))


@node("ComfyOrNode", display_name="Or", category="utilities/logic", environment=False, inputs=[_VALUES])
def or_node(**groups: Any) -> bool:
    """Return whether any value counts as true."""
    return any(map(_truth, groups["values"].values()))


def _truth(value: Any) -> bool:
    """Python's truth of a value; a tensor of several numbers counts as true, as a list of several items does."""
    try:
        return bool(value)
    except RuntimeError:  # torch: the truth of a tensor with more than one number is ambiguous
        return len(value) > 0


class Passed(NamedTuple):
    output: Anything
    is_none: bool


@node("ComfyPassOrNoneNode", display_name="Pass or None", category="utilities/logic", environment=False)
def pass_or_none(*, anything: Anything | None = None, default: Anything | None = None) -> Passed:
    """Pass on a value, or the default if it is missing, or None, and whether the result is None."""
    value = default if anything is None else anything
    return Passed(value, value is None)


class Chosen(NamedTuple):
    STRING: str
    INDEX: int


_OWN_CHOICE: Final = Input("choice", "COMBO", listed_in="option", hints={"options": []}, parameter="choice")


@node(
    "CustomCombo",
    display_name="Custom Combo",
    category="utilities",
    environment=False,
    accepts_extra_inputs=True,
    inputs=[_OWN_CHOICE],
)
def custom_combo(*, choice: str, **more: Any) -> Chosen:
    """Return the chosen text and its position in the list that the node's fields define.

    The position is ``index`` for a text that is not in the list, and for one that is in it twice.
    """
    index, texts = int(more.get("index", 0)), _OWN_CHOICE.listed_texts(more)
    if choice in texts and texts[index : index + 1] != [choice]:
        index = texts.index(choice)
    return Chosen(str(choice), index)


class Result(NamedTuple):
    FLOAT: float
    INT: int
    BOOL: Annotated[bool, Socket("BOOLEAN")]


@node(
    "ComfyMathExpression",
    display_name="Math Expression",
    category="utilities",
    environment=False,
    inputs=[
        Input("expression", "STRING", default="a + b", hints={"multiline": True}, parameter="expression"),
        _LETTERS,
    ],
)
def math_expression(*, expression: str, **groups: Any) -> Result:
    """Compute an expression of the values a to z, with functions such as sqrt, round and max.

    ``values`` is the list of all values. Raises ExpressionError, which quotes the expression, also for a letter
    whose input is not connected.
    """
    from nodes.primitive.expression import evaluate

    values = {name: value for name, value in groups["values"].items() if value is not None}
    result = evaluate(expression, values)
    return Result(float(result), int(result), bool(result))


class Numbers(NamedTuple):
    FLOAT: float
    INT: int


@node("ComfyNumberConvert", display_name="Number Convert", category="math", environment=False)
def number_convert(*, value: Annotated[Any, Socket("INT,FLOAT,STRING,BOOLEAN")]) -> Numbers:
    """Convert a number, a text or a switch to a number with and one without decimals.

    Raises NumberError for a text that is not a number, for infinity, and for numbers that a float cannot hold.
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            number: float | int = float(text)
        except ValueError as error:
            raise NumberError(f"'{value}' is not a number") from error
        if isfinite(number) and re.fullmatch(r"[+-]?\d+", text):
            number = int(text)
    elif isinstance(value, (bool, int, float)):
        number = value
    else:
        raise NumberError(f"a {type(value).__name__} is not a number")
    try:
        as_float = float(number)
    except OverflowError as error:
        raise NumberError(
            f"an integer of {int(number).bit_length()} bits is too large; expected at most 1.8e308"
        ) from error
    if not isfinite(as_float):
        raise NumberError(f"'{value}' is not a finite number; expected at most 1.8e308")
    return Numbers(as_float, int(number))


class WidthAndHeight(NamedTuple):
    width: int
    height: int


@node("ResolutionSelector", display_name="Resolution Selector", category="utilities", environment=False)
def resolution_selector(
    *,
    aspect_ratio: Literal[
        "1:1 (Square)",
        "2:3 (Portrait Photo)",
        "3:2 (Photo)",
        "3:4 (Portrait Standard)",
        "4:3 (Standard)",
        "9:16 (Portrait Widescreen)",
        "16:9 (Widescreen)",
        "21:9 (Ultrawide)",
    ],
    megapixels: Annotated[float, Range(0.1, 16.0, 0.1)] = 1.0,
    multiple: Annotated[int, Range(8, 128, 4)] = 8,
) -> WidthAndHeight:
    """Return a width and a height of an aspect ratio and size (1 is 1024 × 1024), rounded to a multiple."""
    across, down = (int(side) for side in aspect_ratio.partition(" ")[0].split(":"))
    pixels = megapixels * 1024 * 1024
    sides = (sqrt(pixels * across / down), sqrt(pixels * down / across))
    return WidthAndHeight(*(max(multiple, round(side / multiple) * multiple) for side in sides))
