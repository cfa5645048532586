"""Lists: calls a node once for each element, and reads the values it returns.

Every value between nodes is a tuple of elements; it has one element unless an output is
declared as a list. A node is called once for each element of its longest input; shorter inputs
repeat their last element. If an input is empty, the node is not called and its outputs are empty; see
:attr:`graph.schema.NodeType.called_for_nothing` for the exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graph.plan.kind import Kind
from graph.results import Blocked, NodeResult


def slices(
    inputs: Mapping[str, tuple[Any, ...]], input_is_list: bool, called_for_nothing: bool = False
) -> list[dict[str, Any]]:
    """Return the arguments of each call. A node that takes lists is called once, with whole lists.

    ``called_for_nothing``: a node whose inputs are all empty lists is called once, without arguments.
    """
    if input_is_list:
        return [{name: list(elements) for name, elements in inputs.items()}]
    counts = {len(elements) for elements in inputs.values()}
    if counts <= {1}:
        return [{name: elements[0] for name, elements in inputs.items()}]
    if 0 in counts:
        return [{}] if called_for_nothing and counts == {0} else []
    return [
        {name: elements[min(index, len(elements) - 1)] for name, elements in inputs.items()}
        for index in range(max(counts))
    ]


def blocker_in(arguments: Mapping[str, Any], input_is_list: bool) -> Blocked | None:
    """Return the first blocked value among a call's arguments, or None."""
    for value in arguments.values():
        if type(value) is Blocked:
            return value
        if input_is_list and type(value) is list:
            for element in value:
                if type(element) is Blocked:
                    return element
    return None


def read_result(kind: Kind, returned: Any) -> NodeResult:
    """Convert the value that a node returned to a NodeResult with one value per output.

    Raises TypeError if the number of values is not the number of outputs.
    """
    count = len(kind.output_is_list)
    if type(returned) is NodeResult:
        if len(returned.values) == count:
            return returned
        if len(returned.values) == 1 and type(returned.values[0]) is Blocked:
            return NodeResult(*returned.values * count, ui=returned.ui, expand=returned.expand)
        raise TypeError(f"returned {len(returned.values)} values; expected {count}, one per output")
    if type(returned) is Blocked:
        return NodeResult(*(returned,) * count)
    if count == 1:
        if isinstance(returned, tuple) and len(returned) == 1 and hasattr(returned, "_fields"):
            return NodeResult(returned[0])
        return NodeResult(returned)
    if count == 0:
        return NodeResult()
    if not isinstance(returned, (tuple, list)) or len(returned) != count:
        found = len(returned) if isinstance(returned, (tuple, list)) else type(returned).__name__
        raise TypeError(f"returned {found}; expected a tuple of {count} values, one per output")
    return NodeResult(*returned)


def elements_of(value: Any, is_list: bool, name: str) -> Sequence[Any]:
    """Return the elements that one call adds to an output. Raises TypeError where a list was expected."""
    if not is_list or type(value) is Blocked:
        return (value,)
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"output '{name}' is a list; the node returned a {type(value).__name__}")
    return value


def merge_ui(shown: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Merge the ``ui`` data of several calls: lists under the same name are joined."""
    if not shown:
        return None
    merged: dict[str, Any] = {}
    for ui in shown:
        for name, items in ui.items():
            merged.setdefault(name, []).extend(items if isinstance(items, (list, tuple)) else [items])
    return merged
