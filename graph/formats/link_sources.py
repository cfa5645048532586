"""Finds the real source of an input through reroutes, bypassed nodes and subgraph boundaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graph.errors import FormatError
from graph.formats.canvas import BYPASSED, MUTED, CanvasLink, PlacedNode
from graph.formats.subgraphs import Scope
from graph.schema import NodeType
from graph.workflow import Link

REROUTE: Final = "Reroute"
PRIMITIVE: Final = "PrimitiveNode"


@dataclass(frozen=True, slots=True)
class Widget:
    """A widget of a placed primitive, subgraph node or group node, which gives its value to an input elsewhere."""

    scope: Scope
    node: PlacedNode
    name: str


@dataclass(frozen=True, slots=True)
class Value:
    """A widget's value, from a primitive or from a subgraph node."""

    value: Any
    widget: Widget


@dataclass(frozen=True, slots=True)
class Unset:
    """A subgraph node's widget without a value: the input counts as unlinked, and its own widget's value is used."""

    widget: Widget


class _NoSource:
    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return self.name


UNLINKED: Final = _NoSource("UNLINKED")
"""The link leads to no output: the input counts as unlinked, and its widget's value is used."""
REMOVED: Final = _NoSource("REMOVED")
"""The source is a muted node: the input is left out, including its widget's value."""

Source = Link | Value | Unset | _NoSource
_Key = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class _Hop:
    """A link to follow in ``scope``; ``otherwise`` is used if the link leads to no output."""

    scope: Scope
    link: CanvasLink
    otherwise: Source = UNLINKED


class LinkSources:
    """Follows links to their sources, each section once, without recursion."""

    def __init__(self, registry: Mapping[str, NodeType]):
        self._registry = registry
        self._known: dict[_Key, Source] = {}

    def of(self, scope: Scope, node: PlacedNode, index: int) -> Source:
        """Return the source of input slot ``index`` of ``node``. Raises FormatError if the links form a circle."""
        link = scope.canvas.link(node, index)
        if link is None:
            return UNLINKED
        wanted = node.inputs[index].type
        path: list[tuple[_Key, Source]] = []
        walked: set[_Key] = set()
        hop = _Hop(scope, link)
        while True:
            key = (f"{hop.scope.prefix}{hop.link.origin}", hop.link.origin_slot, wanted)
            if key in walked:
                circle = " → ".join(dict.fromkeys(step[0][0] for step in path))
                raise FormatError(f"{node.place}.inputs[{index}]: nodes {circle} only pass on one another's output")
            walked.add(key)
            path.append((key, hop.otherwise))
            found = self._known[key] if key in self._known else self._follow(hop, wanted)
            if not isinstance(found, _Hop):
                break
            hop = found
        for key, otherwise in reversed(path):
            self._known[key] = found
            if found is UNLINKED or (isinstance(found, Unset) and isinstance(otherwise, Value)):
                found = otherwise
        return found

    def _follow(self, hop: _Hop, wanted: str) -> Source | _Hop:
        scope, (origin, slot) = hop.scope, (hop.link.origin, hop.link.origin_slot)
        if scope.holder is not None and origin == scope.canvas.input_id:
            return _through_border(scope, slot)
        node = scope.canvas.nodes.get(origin)
        if node is None:
            return Link(f"{scope.prefix}{origin}", slot)  # validation says that it does not exist
        if node.type == PRIMITIVE:
            return UNLINKED if node.mode == MUTED else _primitive(scope, node)
        if node.mode == MUTED:
            return REMOVED
        if node.mode == BYPASSED:
            return _input_hop(scope, node, self._bypass(node, slot, wanted))
        if node.type == REROUTE:
            return _input_hop(scope, node, 0)
        inside = scope.inner.get(origin)
        if inside is not None:
            result = inside.canvas.results.get(slot)
            return _Hop(inside, result) if result is not None else UNLINKED
        return Link(f"{scope.prefix}{origin}", slot)

    def _bypass(self, node: PlacedNode, slot: int, wanted: str) -> int | None:
        """The input that a bypassed ``node`` passes to output ``slot``.

        It is the input at the same place if its type fits, else the first input of that type.
        """
        given = self._output_type(node, slot)
        if given == "*":
            given = wanted
        types = [slot.type for slot in node.inputs]
        if 0 <= slot < len(types) and _fits(types[slot], given):
            return slot
        if given in types:
            return types.index(given)
        return next((index for index, kind in enumerate(types) if _fits(kind, given)), None)

    def _output_type(self, node: PlacedNode, slot: int) -> str:
        if 0 <= slot < len(node.outputs):
            return node.outputs[slot]
        known = self._registry.get(node.type)
        return known.outputs[slot].type if known is not None and 0 <= slot < len(known.outputs) else "*"


def _input_hop(scope: Scope, node: PlacedNode, index: int | None) -> Source | _Hop:
    if index is None or index >= len(node.inputs):
        return UNLINKED
    link = scope.canvas.link(node, index)
    return UNLINKED if link is None else _Hop(scope, link)


def _through_border(scope: Scope, slot: int) -> Source | _Hop:
    """Go from a subgraph's input node to the source of that slot of the subgraph node.

    If the subgraph node has no such slot, or the slot has no link, the subgraph node's own value is used.
    """
    assert scope.holder is not None and scope.parent is not None
    names = scope.canvas.inputs
    name = names[slot] if 0 <= slot < len(names) else None
    index = _slot_index(scope.holder, name, slot)
    if index is None:
        own = scope.promoted.get(name) if name is not None else None
        return UNLINKED if own is None else Value(own, Widget(scope.parent, scope.holder, str(name)))
    held = scope.holder.inputs[index]
    candidates: Sequence[str | None] = (held.name, held.widget, name)
    own = next((scope.promoted[key] for key in candidates if key is not None and key in scope.promoted), None)
    widget = Widget(scope.parent, scope.holder, held.name)
    otherwise: Source = Unset(widget) if own is None else Value(own, widget)
    link = scope.parent.canvas.link(scope.holder, index)
    return otherwise if link is None else _Hop(scope.parent, link, otherwise)


def _slot_index(holder: PlacedNode, name: str | None, slot: int) -> int | None:
    """Return the holder's slot for input ``slot`` of the definition, found by ``name``.

    Files leave out unlinked slots, so the position counts only if the slots have no names.
    """
    at_place = holder.inputs[slot].name if 0 <= slot < len(holder.inputs) else None
    if name and at_place != name:
        found = next((index for index, held in enumerate(holder.inputs) if held.name == name), None)
        if found is not None or at_place:
            return found
    return None if at_place is None else slot


def _primitive(scope: Scope, node: PlacedNode) -> Source:
    values = node.widgets_values
    first = next(iter(values.values() if isinstance(values, Mapping) else values), None)
    return UNLINKED if first is None else Value(first, Widget(scope, node, "value"))


def _fits(input_type: str, output_type: str) -> bool:
    if "*" in (input_type, output_type) or input_type == output_type:
        return True
    return not set(input_type.split(",")).isdisjoint(output_type.split(","))
