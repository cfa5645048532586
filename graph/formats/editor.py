"""The editor's dialect, versions 0.4 and 1: the files that people save, also inside pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from graph.errors import FormatError
from graph.formats.canvas import BYPASSED, MUTED, PlacedNode, Slot, read_canvas
from graph.formats.file_names import FILE_NAME_INPUT, FileNames, NamedNode
from graph.formats.group_nodes import GroupNodes
from graph.formats.link_sources import PRIMITIVE, REMOVED, REROUTE, LinkSources, Value
from graph.formats.subgraphs import Scope, expand, read_definitions
from graph.formats.widgets import widget_values
from graph.schema import NodeType
from graph.workflow import Link, Workflow, WorkflowNode

_NEVER_RUN: Final = frozenset({REROUTE, PRIMITIVE, "Note", "MarkdownNote", "MarkdownNode"})


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
    scopes = read_scopes(document, registry)
    sources = LinkSources(registry)
    nodes: dict[str, WorkflowNode] = {}
    for scope in scopes:
        for node in running_nodes(scope):
            node_id = f"{scope.prefix}{node.id}"
            if node_id in nodes:
                raise FormatError(f"{node.place}.id: two nodes have the id {node_id!r}; expected a unique id")
            inputs = _inputs(node, scope, sources, registry.get(node.type))
            nodes[node_id] = WorkflowNode(node.type, inputs, node.title)
    return Workflow(nodes | _with_file_names(nodes, scopes, registry), document)


def read_scopes(document: Mapping[str, Any], registry: Mapping[str, NodeType]) -> list[Scope]:
    """Return the root of an editor's document and every subgraph and group node placed in it. Raises FormatError."""
    root = read_canvas(document, "")
    return expand(root, read_definitions(document), GroupNodes(document, registry))


def running_nodes(scope: Scope) -> Iterator[PlacedNode]:
    """Yield the nodes of a level that a run calls."""
    for node in scope.canvas.nodes.values():
        if node.type not in _NEVER_RUN and node.mode not in (MUTED, BYPASSED) and node.id not in scope.inner:
            yield node


def _with_file_names(
    nodes: Mapping[str, WorkflowNode], scopes: Sequence[Scope], registry: Mapping[str, NodeType]
) -> dict[str, WorkflowNode]:
    """Return the nodes whose file name has patterns, with these filled in."""
    names = FileNames(_named_nodes(nodes, scopes), registry)
    filled: dict[str, WorkflowNode] = {}
    for node_id, node in nodes.items():
        text = node.inputs.get(FILE_NAME_INPUT)
        if not isinstance(text, str):
            continue
        name = names.fill_in(text, node_id[: node_id.rfind(":") + 1])
        if name != text:
            filled[node_id] = replace(node, inputs={**node.inputs, FILE_NAME_INPUT: name})
    return filled


def _named_nodes(nodes: Mapping[str, WorkflowNode], scopes: Sequence[Scope]) -> Iterator[NamedNode]:
    """Return every placed node with its inputs. A subgraph's node has the values that it gives to its inside."""
    for scope in scopes:
        for node in scope.canvas.nodes.values():
            inside, running = scope.inner.get(node.id), nodes.get(f"{scope.prefix}{node.id}")
            given: Mapping[str, Any] | None = running.inputs if running is not None else None
            if inside is not None:
                given = dict(item for values in inside.overrides.values() for item in values.items())
                given.update(inside.promoted)
            yield NamedNode(node, scope.prefix, given)


def _inputs(node: PlacedNode, scope: Scope, sources: LinkSources, node_type: NodeType | None) -> dict[str, Any]:
    inputs = widget_values(node, node_type)
    overrides = scope.overrides.get(node.id, {})
    inputs.update({name: value for name, value in overrides.items() if name in inputs})
    for index, slot in enumerate(node.inputs):
        name = input_name(slot, node_type)
        source = sources.of(scope, node, index)
        if source is REMOVED:
            inputs.pop(name, None)
        elif isinstance(source, Value):
            inputs[name] = source.value
        elif isinstance(source, Link):
            inputs[name] = source
    if node_type is None:
        return inputs
    ordered = {declared.name: inputs[declared.name] for declared in node_type.inputs if declared.name in inputs}
    return {**ordered, **inputs}


def input_name(slot: Slot, node_type: NodeType | None) -> str:
    """Return the slot's name in the schema. A slot may be relabelled; a converted widget keeps the schema's name."""
    widget = slot.widget
    if widget is not None and node_type is not None and slot.name not in node_type.by_name:
        return widget if widget in node_type.by_name else slot.name
    return slot.name
