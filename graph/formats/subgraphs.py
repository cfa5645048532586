"""Flattens subgraphs: every placed subgraph becomes a scope whose node ids begin with the subgraph node's id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graph.errors import FormatError
from graph.formats.canvas import BYPASSED, MUTED, Canvas, PlacedNode, read_subgraph
from graph.formats.group_nodes import GroupNodes
from graph.formats.shape import id_at, list_at, object_at
from graph.validation.ancestry import cycles

MAX_NODES: Final = 200_000
"""Limit after flattening. Nested subgraphs multiply: a small file can stand for more nodes than fit in memory."""

MAX_NESTING: Final = 500

_OWN: Final = "-1"
"""The node id in proxyWidgets that means the subgraph node itself, not a node inside it."""


@dataclass(eq=False, slots=True)
class Scope:
    """One placed instance of a level. ``holder`` is the subgraph node in ``parent`` that stands for it.

    ``promoted`` are the values of the holder's own widgets, by the name of its input slot;
    ``overrides`` are its values for widgets of nodes inside, by node id and widget name. ``field_names`` are a group
    node's names for the widgets inside, by node id and widget name; None for a subgraph.
    """

    canvas: Canvas
    prefix: str = ""
    parent: Scope | None = None
    holder: PlacedNode | None = None
    promoted: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    field_names: Mapping[tuple[str, str], str] | None = None
    inner: dict[str, Scope] = field(default_factory=dict)


def read_definitions(document: Mapping[str, Any]) -> dict[str, Canvas]:
    """Read the subgraphs that a workflow defines, by id, including those defined inside other definitions.

    Raises FormatError, also for a subgraph that contains itself.
    """
    found: dict[str, Canvas] = {}
    pending: list[tuple[Mapping[str, Any], str]] = [(document, "")]
    while pending:
        holder, path = pending.pop()
        definitions = holder.get("definitions")
        if definitions is None:
            continue
        where = f"{path}definitions.subgraphs"
        subgraphs = object_at(definitions, f"{path}definitions").get("subgraphs")
        for index, value in enumerate(list_at(subgraphs, where)):
            place = f"{where}[{index}]"
            definition = object_at(value, place)
            subgraph_id = id_at(definition.get("id"), f"{place}.id")
            if subgraph_id in found:
                raise FormatError(f"{place}.id: {subgraph_id!r} is defined twice; expected a unique id")
            found[subgraph_id] = read_subgraph(definition, place)
            pending.append((definition, f"{place}."))
    contained = {
        subgraph_id: [node.type for node in canvas.nodes.values() if node.type in found]
        for subgraph_id, canvas in found.items()
    }
    for cycle in cycles(contained):
        path = " → ".join(repr(found[subgraph_id].name) for subgraph_id in [*reversed(cycle), cycle[-1]])
        raise FormatError(f"definitions.subgraphs: the subgraph {path} contains itself; remove the inner one")
    return found


def expand(root: Canvas, definitions: Mapping[str, Canvas], groups: GroupNodes) -> list[Scope]:
    """Return the scopes of the root and of all subgraphs and group nodes placed in it, to any depth.

    Muted and bypassed ones are not opened. Raises FormatError for more than MAX_NODES nodes.
    """
    scopes = [Scope(root)]
    total = len(root.nodes)
    depths = [0]
    for scope, depth in zip(scopes, depths, strict=False):  # both grow while they are read
        for node in scope.canvas.nodes.values():
            if node.mode in (MUTED, BYPASSED):
                continue
            canvas = definitions.get(node.type)
            group = groups.open(node) if canvas is None else None
            canvas = canvas or group
            if canvas is None:
                continue
            total += len(canvas.nodes)
            if total > MAX_NODES or depth >= MAX_NESTING:
                what = f"{MAX_NODES} nodes" if total > MAX_NODES else f"{MAX_NESTING} levels"
                raise FormatError(f"definitions.subgraphs: the subgraphs and group nodes expand to more than {what}")
            given = scope.overrides.get(node.id, {})
            promoted, overrides = _outer_values(node, given) if group is None else ({}, {})
            names = groups.field_names(node) if group is not None else None
            inside = Scope(canvas, f"{scope.prefix}{node.id}:", scope, node, promoted, overrides, names)
            scope.inner[node.id] = inside
            scopes.append(inside)
            depths.append(depth + 1)
    return scopes


def _outer_values(holder: PlacedNode, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the values that a subgraph node gives to its inside. ``given`` comes from an outer subgraph."""
    promoted: dict[str, Any] = {}
    overrides: dict[str, dict[str, Any]] = {}
    for (inner_id, name), value in _named_values(holder):
        if value is None:  # the editor writes null where the inner node keeps its own value
            continue
        if inner_id == _OWN:
            promoted[name] = value
        else:
            overrides.setdefault(inner_id, {})[name] = value
    own = {slot.name for slot in holder.inputs if slot.widget is not None}
    lifted = {name: inner_id for inner_id, name in holder.proxy_widgets if inner_id != _OWN and name not in own}
    for name, value in given.items():
        if name in lifted:  # promoted through two subgraphs: pass the value on to the inner node
            overrides.setdefault(lifted[name], {})[name] = value
        else:
            promoted[name] = value
    return promoted, overrides


def _named_values(holder: PlacedNode) -> Iterator[tuple[tuple[str, str], Any]]:
    slots = [(_OWN, slot.name) for slot in holder.inputs if slot.widget is not None]
    values, proxies = holder.widgets_values, list(holder.proxy_widgets)
    if isinstance(values, Mapping):
        named = {name: (inner_id, name) for inner_id, name in [*slots, *proxies]}
        yield from ((named.get(name, (_OWN, name)), value) for name, value in values.items())
        return
    names = proxies or slots
    if proxies and len(values) == len(slots) + len(proxies) and all(inner_id != _OWN for inner_id, _ in proxies):
        names = [*slots, *proxies]
    yield from zip(names, values, strict=False)
