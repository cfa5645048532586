"""Writes values into an editor's document, so that a picture opens with the values that made it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from graph.errors import FormatError
from graph.formats.canvas import Canvas, PlacedNode, read_canvas, read_subgraph
from graph.formats.editor import read_editor
from graph.formats.file_names import FILE_NAME_INPUT
from graph.formats.listed_choices import is_position
from graph.formats.widgets import widget_place
from graph.schema import NodeType
from graph.workflow import WorkflowNode

Values = Mapping[tuple[str, str], Any]
"""(Node id, input) → value."""

Widgets = Mapping[tuple[str, str], tuple[str, str]]
"""(Node id, input) → the (path of ids, name) of the widget that sets it."""


def with_values(
    document: Mapping[str, Any], values: Values, registry: Mapping[str, NodeType], widgets: Widgets | None = None
) -> dict[str, Any] | None:
    """Return a copy of ``document`` in which these inputs have these values; None if that cannot be done.

    Values are written into the inputs' own widgets, or into those that ``widgets`` names. The copy is read like any
    file: exactly these inputs must differ. So a value that comes from elsewhere (a primitive node, a subgraph's own
    field, a subgraph that is placed twice) is refused rather than written wrongly.
    """
    try:
        before = read_editor(document, registry).nodes
        changed = copy.deepcopy(dict(document))
        for target, value in values.items():
            path, name = (widgets or {}).get(target, target)
            if not _write(changed, path.split(":"), name, value, registry):
                return None
        after = read_editor(changed, registry).nodes
    except FormatError:
        return None
    expected, found = _inputs(before, registry), _inputs(after, registry)
    for (node_id, name), value in values.items():
        expected[node_id][name] = value
        found[node_id][name] = after[node_id].inputs.get(name) if node_id in after else None
    return changed if found == expected else None


def _inputs(nodes: Mapping[str, WorkflowNode], registry: Mapping[str, NodeType]) -> dict[str, dict[str, Any]]:
    """Return the inputs by node, without those that depend on others: file names may contain the time and other nodes'
    values, and the position of a choice follows the choice."""
    return {
        node_id: {
            name: value
            for name, value in node.inputs.items()
            if name != FILE_NAME_INPUT and not is_position(name, registry.get(node.class_type))
        }
        for node_id, node in nodes.items()
    }


def _write(document: dict[str, Any], path: list[str], name: str, value: Any, registry: Mapping[str, NodeType]) -> bool:
    """Write the value into the node's ``widgets_values``. Returns False if the node or its widget is not found."""
    holder: Any = document
    canvas = read_canvas(document, "")
    for depth, node_id in enumerate(path):
        placed = canvas.nodes.get(node_id)
        entry = next((node for node in holder.get("nodes", ()) if str(node.get("id")) == node_id), None)
        if placed is None or entry is None:
            return False
        if depth == len(path) - 1:
            return _write_widget(entry, placed, name, value, registry)
        inner = _definition(document, placed.type)
        if inner is None:
            return False
        holder, canvas = inner
    return False


def _definition(document: dict[str, Any], subgraph_id: str) -> tuple[dict[str, Any], Canvas] | None:
    waiting: list[Any] = [document]
    while waiting:
        definitions = waiting.pop().get("definitions") or {}
        for definition in definitions.get("subgraphs") or ():
            if str(definition.get("id")) == subgraph_id:
                return definition, read_subgraph(definition, "")
            waiting.append(definition)
    return None


def _write_widget(
    entry: dict[str, Any], placed: PlacedNode, name: str, value: Any, registry: Mapping[str, NodeType]
) -> bool:
    values = entry.get("widgets_values")
    if isinstance(values, dict):
        values[name] = value
        return True
    place = widget_place(placed, registry.get(placed.type), name)
    if place is None or not isinstance(values, list) or place >= len(values):
        return False
    values[place] = value
    return True
