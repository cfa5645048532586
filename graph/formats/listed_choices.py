"""Choices among texts that a node lists itself, as ComfyUI's Custom Combo.

Its ``widgets_values`` are ``[choice, index, option1, option2, …]``, the last text being empty. The index
in a file is stale, usually -1; ComfyUI's editor sends the choice's position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.schema import Input, NodeType

_POSITION: Final = "index"
_BEFORE_TEXTS: Final = 2


def texts_in_values(values: Sequence[Any], declared: Input) -> dict[str, Any]:
    """Return the texts of a list of values, by input."""
    return {f"{declared.listed_in}{number}": text for number, text in enumerate(values[_BEFORE_TEXTS:], 1)}


def in_order(names: Sequence[str], node_type: NodeType) -> list[str]:
    """Return the names of a node's undeclared fields in the order of its ``widgets_values``."""
    declared = next((declared for declared in node_type.inputs if declared.listed_in), None)
    if declared is None:
        return list(names)
    texts = [f"{declared.listed_in}{number}" for number in range(1, len(names) + 1)]
    ordered = [name for name in (_POSITION, *texts) if name in names]
    return [*ordered, *(name for name in names if name not in ordered)]


def with_positions(inputs: Mapping[str, Any], node_type: NodeType) -> dict[str, Any]:
    """Return ``inputs`` with the choice's position among the texts, from 0; -1 if it is not one of them."""
    for declared in node_type.inputs:
        texts = declared.listed_texts(inputs) if declared.listed_in else []
        choice = inputs.get(declared.name)
        if texts and isinstance(choice, str):
            return {**inputs, _POSITION: texts.index(choice) if choice in texts else -1}
    return dict(inputs)


def is_position(name: str, node_type: NodeType | None) -> bool:
    """Whether an input only says where the choice is."""
    return name == _POSITION and node_type is not None and any(declared.listed_in for declared in node_type.inputs)
