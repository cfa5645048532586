"""The editor's dialect, versions 0.4 and 1: what a person saves, and what sits in pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from graph.errors import FormatError
from graph.formats.canvas import BYPASSED, MUTED, PlacedNode, read_canvas
from graph.formats.file_names import FILE_NAME_INPUT, FileNames
from graph.formats.group_nodes import GroupNodes
from graph.formats.link_sources import PRIMITIVE, REMOVED, REROUTE, UNLINKED, LinkSources, Value
from graph.formats.subgraphs import Scope, expand, read_definitions
from graph.formats.widgets import widget_values
from graph.schema import NodeType
from graph.workflow import Workflow, WorkflowNode

_ON_THE_CANVAS_ONLY: Final = frozenset({REROUTE, PRIMITIVE, "Note", "MarkdownNote", "MarkdownNode"})


def is_editor_document(document: Mapping[str, Any]) -> bool:
    """Whether ``document`` is in the editor's dialect; ``nodes`` may also be the id of an API node."""
    nodes = document.get("nodes")
    return "nodes" in document and not (isinstance(nodes, dict) and "class_type" in nodes)


def read_editor(document: Mapping[str, Any], registry: Mapping[str, NodeType]) -> Workflow:
    """Return the workflow that an editor's document stands for; ``Workflow.editor`` is the document.

    Node n inside the subgraph or group node p gets the id ``p:n``, to any depth. Muted nodes are left out, and so are
    the inputs they feed. Bypassed nodes, reroutes and primitives are passed through. Patterns in file names are filled
    in. Nodes of classes that ``registry`` lacks keep their links, and their widgets' values as far as the file names
    them. Raises FormatError.
    """
    root = read_canvas(document, "")
    definitions = read_definitions(document)
    sources = LinkSources(registry)
    names = FileNames((node for level in (root, *definitions.values()) for node in level.nodes.values()), registry)
    nodes: dict[str, WorkflowNode] = {}
    for scope in expand(root, definitions, GroupNodes(document, registry)):
        for node in scope.canvas.nodes.values():
            if node.type in _ON_THE_CANVAS_ONLY or node.mode in (MUTED, BYPASSED) or node.id in scope.inner:
                continue
            node_id = f"{scope.prefix}{node.id}"
            if node_id in nodes:
                raise FormatError(f"{node.place}.id: there are two nodes {node_id!r}; expected an id of its own")
            inputs = _inputs(node, scope, sources, registry.get(node.type))
            if isinstance(prefix := inputs.get(FILE_NAME_INPUT), str):
                inputs[FILE_NAME_INPUT] = names.fill_in(prefix)
            nodes[node_id] = WorkflowNode(node.type, inputs, node.title)
    return Workflow(nodes, document)


def _inputs(node: PlacedNode, scope: Scope, sources: LinkSources, node_type: NodeType | None) -> dict[str, Any]:
    inputs = widget_values(node, node_type)
    overrides = scope.overrides.get(node.id, {})
    inputs.update({name: value for name, value in overrides.items() if name in inputs})
    for index, slot in enumerate(node.inputs):
        name = _input_name(slot.name, slot.widget, node_type)
        source = sources.of(scope, node, index)
        if source is REMOVED:
            inputs.pop(name, None)
        elif isinstance(source, Value):
            inputs[name] = source.value
        elif source is not UNLINKED:
            inputs[name] = source
    if node_type is None:
        return inputs
    ordered = {declared.name: inputs[declared.name] for declared in node_type.inputs if declared.name in inputs}
    return {**ordered, **inputs}


def _input_name(slot: str, widget: str | None, node_type: NodeType | None) -> str:
    """Slots may be relabelled; what a converted widget is called in the schema stays with the widget."""
    if widget is not None and node_type is not None and slot not in node_type.by_name and widget in node_type.by_name:
        return widget
    return slot
