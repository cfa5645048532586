"""Describes a node type for ``GET /object_info``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graph.folders import INPUT_FOLDERS, WORK_FOLDERS
from graph.schema import MISSING, Input, NodeType


def describe(node_type: NodeType, names_of: Callable[[str], list[str]]) -> dict[str, Any]:
    """Return the node's entry, ready for json.dumps.

    ``names_of(folder)`` lists the files of a folder; the entry keeps those with the input's endings.
    Empty groups are left out; so are ``deprecated`` and ``experimental`` if false. ``model_folders`` is Sumi's own
    member: for each input whose choices are model files, their folder, such as ``loras``.
    """
    hidden = {name: [kind] if node_type.hidden_as_lists else kind for name, kind in node_type.hidden.items()}
    groups: dict[str, dict[str, Any]] = {"required": {}, "optional": {}, "hidden": hidden}
    for declared in node_type.inputs:
        group = "hidden" if declared.hidden else "required" if declared.required else "optional"
        groups[group][declared.name] = describe_input(declared, names_of)
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
    folders = {
        declared.name: declared.files
        for declared in node_type.inputs
        if declared.files is not None and declared.files not in {*WORK_FOLDERS, INPUT_FOLDERS}
    }
    if folders:
        entry["model_folders"] = folders
    for mark in ("deprecated", "experimental"):
        if getattr(node_type, mark):
            entry[mark] = True
    return {**entry, **node_type.extra}


def describe_input(declared: Input, names_of: Callable[[str], list[str]]) -> list[Any]:
    """Return an input's entry: its type or choices, and its options if it has any."""
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
    choices = choices_of(declared, names_of)
    if choices is None:
        kind: Any = declared.type
    elif declared.combo_object:
        kind = "COMBO"
        options = {"multiselect": False, **options, "options": choices}
    else:
        kind = choices
    return [kind, options] if options else [kind]


def choices_of(declared: Input, names_of: Callable[[str], list[str]]) -> list[Any] | None:
    """Return an input's choices with the files of its folder, which ``names_of(folder)`` lists; None if it has none."""
    if declared.choices is None and declared.files is None:
        return None
    choices = list(declared.choices or ())
    if declared.files is not None:
        endings = declared.file_endings
        choices += [name for name in names_of(declared.files) if not endings or name.lower().endswith(endings)]
    return choices
