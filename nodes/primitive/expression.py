"""Computes arithmetic expressions from their syntax trees: numbers, comparisons and a few functions, nothing else."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from graph.errors import SumiError

LARGEST_EXPONENT: Final = 4000
LONGEST: Final = 10_000
"""Characters."""
LARGEST_RESULT: Final = 16_384
"""Bits of an integer that a power or a product may have, so that no expression keeps a worker busy for minutes."""


class ExpressionError(SumiError):
    """An expression cannot be computed. The message quotes it."""


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > LARGEST_EXPONENT:
        raise ValueError(f"the exponent {exponent} is above {LARGEST_EXPONENT}")
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 1:
        _check_size((base.bit_length() - 1) * exponent)
    return base**exponent


def _product(first: Any, second: Any) -> Any:
    if isinstance(first, int) and isinstance(second, int):
        _check_size(first.bit_length() + second.bit_length() - 2)
    return first * second


def _rounded(number: Any, digits: int | None = None) -> Any:
    if digits is not None and abs(digits) > LARGEST_EXPONENT:  # Python computes 10**-digits
        raise ValueError(f"the number of digits {digits} is above {LARGEST_EXPONENT}")
    return round(number, digits)


def _check_size(bits: int) -> None:
    """Raise ValueError for an integer of more than ``bits`` bits if that is too large to compute with."""
    if bits >= LARGEST_RESULT:
        raise ValueError(f"an intermediate result has more than {LARGEST_RESULT:,} bits")


_BINARY: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: _product, ast.Div: operator.truediv},
    **{ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: _power},
}
_UNARY: Final[Mapping[type[ast.unaryop], Callable[[Any], Any]]] = {
    **{ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Not: operator.not_},
}
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    **{ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt},
    **{ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge},
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **{"sum": sum, "min": min, "max": max, "abs": abs, "round": _rounded, "pow": _power, "int": int, "float": float},
    **{"sqrt": math.sqrt, "ceil": math.ceil, "floor": math.floor, "sin": math.sin, "cos": math.cos, "tan": math.tan},
    **{"log": math.log, "log2": math.log2, "log10": math.log10},
}
_CONSTANTS: Final = {"pi": math.pi}


def evaluate(expression: str, values: Mapping[str, float]) -> float | int | bool:
    """Compute ``expression`` with the variables ``values``; the name ``values`` in it is the list of them.

    The expression may have several lines. Raises ExpressionError for an empty expression, anything but arithmetic and
    comparisons, a name without a value, integers above LARGEST_RESULT bits, and a result that is not a finite number.
    """
    shown = expression if len(expression) <= 100 else expression[:97] + "…"
    if not expression.strip():
        raise ExpressionError("the expression is empty; expected one such as 'a + b'")
    if len(expression) > LONGEST:
        raise ExpressionError(f"the expression '{shown}' is longer than {LONGEST:,} characters")
    names = {**_CONSTANTS, **values, "values": list(values.values())}
    try:
        result = _value(_parsed(expression), names)
    except ExpressionError as error:
        raise ExpressionError(f"'{shown}': {error}") from error
    except SyntaxError as error:
        raise ExpressionError(f"'{shown}' is not an expression: {error.msg}") from error
    except (RecursionError, MemoryError) as error:  # ast.parse raises MemoryError for deep nesting
        raise ExpressionError(f"'{shown}' cannot be computed: its operations are nested too deeply") from error
    except (ArithmeticError, ValueError, TypeError) as error:
        raise ExpressionError(f"'{shown}' cannot be computed: {error}") from error
    if not isinstance(result, (int, float)):
        raise ExpressionError(f"'{shown}' gives a {type(result).__name__}; expected a number")
    try:
        finite = math.isfinite(result)
    except OverflowError:  # an integer beyond what a float holds
        finite = False
    if not finite:
        raise ExpressionError(f"'{shown}' gives {result if isinstance(result, float) else 'too large a number'}")
    return result


def _parsed(expression: str) -> ast.expr:
    """Return the syntax tree of ``expression``. Raises SyntaxError."""
    body = ast.parse(f"(\n{expression}\n)", mode="eval").body  # lines can break anywhere in parentheses
    if body.lineno == 1:  # the expression closes the outer parenthesis, as "a) + (b" does
        raise SyntaxError("the parentheses do not match, or there are several values")
    return body


def _value(node: ast.AST, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float()):
            return node.value
        case ast.Name(id=name):
            if name not in names:
                raise ExpressionError(f"'{name}' is unknown or not connected; there are {', '.join(sorted(names))}")
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_number(left, names), _number(right, names))
        case ast.UnaryOp(op=unary, operand=operand) if type(unary) in _UNARY:
            return _UNARY[type(unary)](_number(operand, names))
        case ast.BoolOp(op=either, values=parts):
            found: Any = None
            for part in parts:
                found = _value(part, names)
                if bool(found) is isinstance(either, ast.Or):
                    return found
            return found
        case ast.Compare(left=left, ops=ops, comparators=others):
            first = _value(left, names)
            for comparison, other in zip(ops, others, strict=True):
                if type(comparison) not in _COMPARISONS:
                    raise ExpressionError(f"'{type(comparison).__name__}' is not arithmetic")
                second = _value(other, names)
                if not _COMPARISONS[type(comparison)](first, second):
                    return False
                first = second
            return True
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, names) else orelse, names)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in _FUNCTIONS:
                raise ExpressionError(f"the function '{name}' is unknown; there are {', '.join(sorted(_FUNCTIONS))}")
            return _FUNCTIONS[name](*(_value(argument, names) for argument in arguments))
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_value(element, names) for element in elements]
        case ast.Subscript(value=of, slice=index):
            listed, at = _value(of, names), _value(index, names)
            if not isinstance(listed, list) or not isinstance(at, int) or not -len(listed) <= at < len(listed):
                raise ExpressionError(f"there is no item {at}")
            return listed[at]
    raise ExpressionError("only numbers, comparisons and functions can be used")


def _number(node: ast.AST, names: Mapping[str, Any]) -> Any:
    """Return the value if it is a number, so that lists are not multiplied."""
    value = _value(node, names)
    if not isinstance(value, (int, float)):
        raise ExpressionError(f"a {type(value).__name__} is not a number")
    return value
