"""Finds the widget that sets each value: the node's own, a primitive's, or one on a subgraph's or group node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graph.formats.canvas import PlacedNode
from graph.formats.editor import input_name, read_scopes, running_nodes
from graph.formats.link_sources import UNLINKED, LinkSources, Unset, Value
from graph.formats.subgraphs import Scope
from graph.formats.widgets import widget_values
from graph.schema import NodeType


@dataclass(frozen=True, slots=True)
class Place:
    """A widget of an editor's document.

    ``node`` is the path of ids to its node (``57:3``: node 3 inside the subgraph's node 57). ``inner`` is the id of the
    node inside if a subgraph's node promotes that node's widget. ``title`` is the title that the file gives its node.
    ``level`` is the subgraph that has the node ("": none), so that a widget inside a subgraph that is placed twice is
    the same widget.
    """

    node: str
    name: str
    inner: str | None = None
    title: str | None = None
    level: str = ""

    @property
    def widget(self) -> tuple[str, str, str, str | None]:
        """Identify the widget in the file."""
        return (self.level, self.node.rpartition(":")[2] if self.level else self.node, self.name, self.inner)


def places(document: Mapping[str, Any], registry: Mapping[str, NodeType]) -> dict[tuple[str, str], Place]:
    """Return the place of each value that a run gets from a widget, by the id of the node that runs and input name.

    Inputs that are linked to another node's output have none. Raises FormatError.
    """
    sources = LinkSources(registry)
    found: dict[tuple[str, str], Place] = {}
    for scope in read_scopes(document, registry):
        for node in running_nodes(scope):
            node_type = registry.get(node.type)
            if node_type is None:
                continue
            slots = {input_name(slot, node_type): index for index, slot in enumerate(node.inputs)}
            for name in widget_values(node, node_type):
                place = _place(scope, node, name, slots.get(name), sources)
                if place is not None:
                    found[f"{scope.prefix}{node.id}", name] = place
    return found


def _place(scope: Scope, node: PlacedNode, name: str, slot: int | None, sources: LinkSources) -> Place | None:
    source = UNLINKED if slot is None else sources.of(scope, node, slot)
    if isinstance(source, Value | Unset):
        widget = source.widget
        return _shown(widget.scope, widget.node, widget.name)
    return _shown(scope, node, name) if source is UNLINKED else None


def _shown(scope: Scope, node: PlacedNode, name: str) -> Place | None:
    """Return the outermost place that shows a node's widget; None if a group node hides it."""
    inner: str | None = None
    while (holder := scope.holder) is not None and scope.parent is not None:
        if scope.field_names is not None:
            outside = scope.field_names.get((node.id, name))
            if outside is None:
                return None
            name, inner = outside, None
        elif (node.id, name) in holder.proxy_widgets:
            inner = node.id
        else:
            break
        scope, node = scope.parent, holder
    level = scope.holder.type if scope.holder is not None else ""
    return Place(f"{scope.prefix}{node.id}", name, inner, node.title, level)
