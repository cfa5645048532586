"""A node type as ``GET /object_info`` tells it to editors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graph.schema import MISSING, Input, NodeType


def describe(node_type: NodeType, names_of: Callable[[str], list[str]]) -> dict[str, Any]:
    """The node's entry, ready for json.dumps.

    ``names_of(folder)`` lists the files that a file input may name (those of its endings are kept).
    Groups that are empty are left out, and so are ``deprecated`` and ``experimental`` unless true.
    """
    groups: dict[str, dict[str, Any]] = {"required": {}, "optional": {}, "hidden": dict(node_type.hidden)}
    for declared in node_type.inputs:
        group = "hidden" if declared.hidden else "required" if declared.required else "optional"
        groups[group][declared.name] = _input(declared, names_of)
    present = {name: group for name, group in groups.items() if group or name == "required"}
    entry: dict[str, Any] = {
        "input": present,
        "input_order": {name: list(group) for name, group in present.items()},
        "output": [output.type for output in node_type.outputs],
        "output_is_list": [output.is_list for output in node_type.outputs],
        "output_name": [output.name for output in node_type.outputs],
        "name": node_type.name,
        "display_name": node_type.display_name,
        "description": node_type.description,
        "python_module": node_type.module,
        "category": node_type.category,
        "output_node": node_type.output_node,
    }
    if any(output.tooltip is not None for output in node_type.outputs):
        entry["output_tooltips"] = [output.tooltip or "" for output in node_type.outputs]
    for mark in ("deprecated", "experimental"):
        if getattr(node_type, mark):
            entry[mark] = True
    return {**entry, **node_type.extra}


def _input(declared: Input, names_of: Callable[[str], list[str]]) -> list[Any]:
    facts: dict[str, Any] = {
        "default": declared.default,
        "min": declared.minimum,
        "max": declared.maximum,
        "step": declared.step,
        "lazy": declared.lazy or None,
        "rawLink": declared.raw_link or None,
        "forceInput": declared.socket_only or None,
    }
    options = {name: value for name, value in facts.items() if value is not (MISSING if name == "default" else None)}
    options.update(declared.hints)
    choices = _choices(declared, names_of)
    if choices is None:
        kind: Any = declared.type
    elif declared.combo_object:
        kind = "COMBO"
        options = {"multiselect": False, **options, "options": choices}
    else:
        kind = choices
    return [kind, options] if options else [kind]


def _choices(declared: Input, names_of: Callable[[str], list[str]]) -> list[Any] | None:
    if declared.choices is None and declared.files is None:
        return None
    choices = list(declared.choices or ())
    if declared.files is not None:
        endings = declared.file_endings
        choices += [name for name in names_of(declared.files) if not endings or name.lower().endswith(endings)]
    return choices
