"""Group nodes: several nodes folded into one, as editors did before subgraphs.

A group node is of type ``workflow/NAME`` or ``workflow>NAME``; ``extra.groupNodes`` of the document holds its
definition. It has the sockets, widgets and outputs of the nodes inside that are not linked among themselves, in
their order. Each placed group node is opened into a :class:`Canvas`, like a subgraph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from graph.formats.canvas import Canvas, CanvasLink, PlacedNode, Slot, read_node
from graph.formats.shape import list_at, object_at, wrong
from graph.formats.widgets import widget_of_each_value
from graph.schema import NodeType

_INPUT_ID: Final = "-10"


@dataclass(frozen=True, slots=True)
class GroupNode:
    """A definition. ``nodes`` have their index as id. Links lead from (node, output) to (node, input slot).

    ``external`` are outputs that are shown although they are linked inside, too. ``hidden_inputs`` are (node, input
    name), ``hidden_outputs`` (node, output), ``names`` the names that inputs were given: (node, input name) → name.
    """

    nodes: tuple[PlacedNode, ...]
    links: Mapping[tuple[int, int], tuple[int, int]]
    """(target node, input slot) → (origin node, output)."""
    external: frozenset[tuple[int, int]]
    hidden_inputs: frozenset[tuple[int, str]]
    hidden_outputs: frozenset[tuple[int, int]]
    names: Mapping[tuple[int, str], str]


class GroupNodes:
    """The definitions of one document."""

    def __init__(self, document: Mapping[str, Any], registry: Mapping[str, NodeType]):
        """Read ``extra.groupNodes``. Raises FormatError."""
        self._registry = registry
        extra = document.get("extra")
        groups = extra.get("groupNodes") if isinstance(extra, dict) else None
        place = "extra.groupNodes"
        found = object_at({} if groups is None else groups, place)
        self._definitions = {name: _definition(value, f"{place}.{name}", registry) for name, value in found.items()}

    def open(self, holder: PlacedNode) -> Canvas | None:
        """Return the inside of a placed group node; None if ``holder`` is not one.

        Its input node has the slots of ``holder``, and each widget inside the value that ``holder`` gives it.
        """
        prefix, name = holder.type[: len("workflow/")], holder.type[len("workflow/") :]
        definition = self._definitions.get(name) if prefix in ("workflow/", "workflow>") else None
        if definition is None:
            return None
        nodes = self._with_values(definition, holder)
        canvas = Canvas({}, name, _INPUT_ID, tuple(slot.name for slot in holder.inputs))
        slots = [list(node.inputs) for node in nodes]
        for link_id, (target, origin) in enumerate(definition.links.items()):
            _aim(canvas, slots, target, CanvasLink(str(origin[0]), origin[1]), f"inside {link_id}")
        for index, (node, slot) in self._sockets(definition, holder).items():
            _aim(canvas, slots, (node, slot), CanvasLink(_INPUT_ID, index), f"outside {index}")
        canvas.nodes |= {node.id: replace(node, inputs=tuple(slots[int(node.id)])) for node in nodes}
        for index, (node_index, output) in enumerate(_outputs(definition, self._registry)):
            canvas.results[index] = CanvasLink(str(node_index), output)
        return canvas

    def _sockets(self, definition: GroupNode, holder: PlacedNode) -> dict[int, tuple[int, int]]:
        """Slot of ``holder`` → (node inside, input slot), by name; by order and type where the names differ."""
        free = self._free_inputs(definition)
        found: dict[int, tuple[int, int]] = {}
        for index, slot in enumerate(holder.inputs):
            inner = free.pop(slot.name, None) or (free.pop(slot.widget, None) if slot.widget else None)
            if inner is not None:
                found[index] = inner
        for index, slot in enumerate(holder.inputs):
            if index in found:
                continue
            for name, (node, place) in free.items():
                inner_slot = definition.nodes[node].inputs[place]
                if inner_slot.type == slot.type and (inner_slot.widget is None) == (slot.widget is None):
                    found[index] = free.pop(name)
                    break
        return found

    def _free_inputs(self, definition: GroupNode) -> dict[str, tuple[int, int]]:
        """The inputs that are not linked inside, by the name they have outside.

        An input whose name is taken gets its node's title or type before it.
        """
        found: dict[str, tuple[int, int]] = {}
        for index, node in enumerate(definition.nodes):
            for place, slot in enumerate(node.inputs):
                if (index, place) in definition.links or (index, slot.name) in definition.hidden_inputs:
                    continue
                name = definition.names.get((index, slot.name), slot.name)
                if name in found:
                    name = f"{node.title or node.type} {name}"
                number = 1
                unique = name
                while unique in found:
                    number += 1
                    unique = f"{name} {number}"
                found[unique] = (index, place)
        return found

    def _with_values(self, definition: GroupNode, holder: PlacedNode) -> list[PlacedNode]:
        """The nodes inside, with the values of the holder's widgets."""
        given = holder.widgets_values
        if isinstance(given, Mapping) or not given:
            return list(definition.nodes)
        entries = list(self._value_entries(definition))
        linked = {(node, _slot_widget(definition, node, slot)) for node, slot in definition.links}
        sockets = {(i, slot.widget) for i, node in enumerate(definition.nodes) for slot in node.inputs if slot.widget}
        # Editors differ in whether hidden, linked and converted widgets have an entry: their number tells.
        kept = entries
        for left_out in (definition.hidden_inputs | linked, definition.hidden_inputs | linked | sockets):
            if len(kept) == len(given):
                break
            kept = [entry for entry in entries if (entry[0], entry[2]) not in left_out]
        if len(kept) != len(given):
            kept = entries
        values = [
            list(node.widgets_values) if not isinstance(node.widgets_values, Mapping) else []
            for node in definition.nodes
        ]
        for (node, place, _), value in zip(kept, given, strict=False):
            values[node][place] = value
        return [
            node if isinstance(node.widgets_values, Mapping) else replace(node, widgets_values=own)
            for node, own in zip(definition.nodes, values, strict=True)
        ]

    def _value_entries(self, definition: GroupNode) -> Iterator[tuple[int, int, str | None]]:
        """(node, place in its widgets_values, widget) for each value inside; companions belong to their widget."""
        for index, node in enumerate(definition.nodes):
            values = node.widgets_values
            if isinstance(values, Mapping):
                continue
            widgets = widget_of_each_value(node, self._registry.get(node.type))
            for place in range(len(values)):
                yield index, place, widgets[place] if place < len(widgets) else None


def _aim(canvas: Canvas, slots: list[list[Slot]], target: tuple[int, int], link: CanvasLink, link_id: str) -> None:
    node, place = target
    if node < len(slots) and place < len(slots[node]):
        slots[node][place] = replace(slots[node][place], link=link_id)
        canvas.add_link(link_id, link, str(node), place)


def _slot_widget(definition: GroupNode, node: int, slot: int) -> str | None:
    inputs = definition.nodes[node].inputs if node < len(definition.nodes) else ()
    return inputs[slot].widget if slot < len(inputs) else None


def _outputs(definition: GroupNode, registry: Mapping[str, NodeType]) -> Iterator[tuple[int, int]]:
    """(node, output) for each output of the group node: those not linked inside, and the external ones."""
    used = set(definition.links.values())
    for index, node in enumerate(definition.nodes):
        declared = registry.get(node.type)
        count = len(node.outputs) or (len(declared.outputs) if declared is not None else 0)
        for output in range(count):
            pair = (index, output)
            if pair not in definition.hidden_outputs and (pair not in used or pair in definition.external):
                yield pair


def _definition(value: Any, place: str, registry: Mapping[str, NodeType]) -> GroupNode:
    group = object_at(value, place)
    nodes = tuple(
        _inner_node(node, index, f"{place}.nodes[{index}]", registry)
        for index, node in enumerate(list_at(group.get("nodes"), f"{place}.nodes"))
    )
    links = {}
    for index, link in enumerate(list_at(group.get("links"), f"{place}.links")):
        numbers = _numbers(link, 4, f"{place}.links[{index}]")
        if numbers is not None:
            origin, output, target, slot = numbers
            links[target, slot] = (origin, output)
    external = set()
    for index, entry in enumerate(list_at(group.get("external"), f"{place}.external")):
        numbers = _numbers(entry, 2, f"{place}.external[{index}]")
        if numbers is not None:
            external.add((numbers[0], numbers[1]))
    return GroupNode(nodes, links, frozenset(external), *_config(group.get("config"), f"{place}.config"))


def _inner_node(value: Any, index: int, place: str, registry: Mapping[str, NodeType]) -> PlacedNode:
    """The node with its index as id, unlinked, and with a slot for each of its widgets."""
    written = object_at(value, place)
    slots = [
        {**slot, "link": None} if isinstance(slot, dict) else slot
        for slot in list_at(written.get("inputs"), f"{place}.inputs")
    ]
    node = read_node({**written, "id": index, "inputs": slots}, place)
    declared = registry[node.type].inputs if node.type in registry else ()
    named = {slot.name for slot in node.inputs} | {slot.widget for slot in node.inputs}
    widgets = tuple(Slot(i.name, i.type, None, i.name) for i in declared if i.has_widget and i.name not in named)
    return replace(node, inputs=(*node.inputs, *widgets))


def _numbers(value: Any, count: int, place: str) -> list[int] | None:
    """The first ``count`` integers of a list; None if one is null, as for a link from outside the group."""
    items = list_at(value, place)[:count]
    if None in items:
        return None
    if len(items) < count or not all(type(item) is int for item in items):
        raise wrong(place, value, f"a list that begins with {count} integers")
    return items


def _config(value: Any, place: str) -> tuple[frozenset[tuple[int, str]], frozenset[tuple[int, int]], dict[Any, str]]:
    """Hidden inputs, hidden outputs and names, from ``{node: {"input": {name: {…}}, "output": {slot: {…}}}}``."""
    hidden_inputs, hidden_outputs, names = set(), set(), {}
    for index, config in object_at({} if value is None else value, place).items():
        if not index.isdecimal() or not isinstance(config, dict):
            raise wrong(f"{place}.{index}", config, "an object, by the index of a node")
        for name, entry in _entries(config.get("input")):
            if entry.get("visible") is False:
                hidden_inputs.add((int(index), name))
            if isinstance(entry.get("name"), str) and entry["name"]:
                names[int(index), name] = entry["name"]
        for slot, entry in _entries(config.get("output")):
            if entry.get("visible") is False and slot.isdecimal():
                hidden_outputs.add((int(index), int(slot)))
    return frozenset(hidden_inputs), frozenset(hidden_outputs), names


def _entries(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield from ((name, entry) for name, entry in value.items() if isinstance(entry, dict))
