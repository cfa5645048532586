"""Group nodes: several nodes folded into one, as editors did before subgraphs.

A group node is of type ``workflow/NAME`` or ``workflow>NAME``; ``extra.groupNodes`` of the document holds its
definition. It has the sockets, widgets and outputs of the nodes inside that are not linked among themselves, in
their order. Each placed group node is opened into a :class:`Canvas`, like a subgraph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Final

from graph.formats.canvas import Canvas, CanvasLink, PlacedNode, Slot, read_node
from graph.formats.shape import list_at, object_at, wrong
from graph.formats.widgets import inner_widgets, shared_places, widget_values
from graph.schema import Input, NodeType

_INPUT_ID: Final = "-10"


@dataclass(frozen=True, slots=True)
class GroupNode:
    """A definition. ``nodes`` have their index as id. Links lead from (node, output) to (node, input slot).

    ``external`` are outputs that are shown although they are also linked inside. ``hidden_inputs`` are (node, input
    name), ``hidden_outputs`` (node, output); ``names`` are the new names of inputs: (node, input name) → name.
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

        Its input node has the slots of ``holder``; each widget inside has the value from ``holder``.
        """
        definition = self._definition_of(holder)
        if definition is None:
            return None
        name = holder.type[len("workflow/") :]
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

    def field_names(self, holder: PlacedNode) -> dict[tuple[str, str], str]:
        """Return the names of a placed group node's widgets, by the id and widget name of the node inside."""
        definition = self._definition_of(holder)
        if definition is None:
            return {}
        places = ((name, index, place) for name, (index, place) in self._free_inputs(definition).items())
        return {
            (str(index), slot.widget or slot.name): name
            for name, index, place in places
            for slot in (definition.nodes[index].inputs[place],)
        }

    def _definition_of(self, holder: PlacedNode) -> GroupNode | None:
        prefix, name = holder.type[: len("workflow/")], holder.type[len("workflow/") :]
        return self._definitions.get(name) if prefix in ("workflow/", "workflow>") else None

    def _sockets(self, definition: GroupNode, holder: PlacedNode) -> dict[int, tuple[int, int]]:
        """Map each slot of ``holder`` to (node inside, input slot): by name, else by order and type."""
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
        """Return the inputs that are not linked inside, by their outside name.

        If the name is taken, the node's title or type is put before it.
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
        """Return the nodes inside, with the values of the holder's widgets. A null keeps the inner node's value."""
        given = holder.widgets_values
        named: list[dict[str, Any]] = [{} for _ in definition.nodes]
        unnamed: list[dict[int, Any]] = [{} for _ in definition.nodes]
        if isinstance(given, Mapping):
            for name, (node, place) in self._free_inputs(definition).items():
                if given.get(name) is not None:
                    slot = definition.nodes[node].inputs[place]
                    named[node][slot.widget or slot.name] = given[name]
        else:
            fields, places = self._fields(definition, holder, given)
            for (node, index, widget), place in zip(fields, places, strict=False):
                if given[place] is None:
                    continue
                if widget is not None:
                    named[node][widget.name] = given[place]
                else:
                    unnamed[node][index] = given[place]
        return [
            self._with_own_values(node, named[index], unnamed[index]) for index, node in enumerate(definition.nodes)
        ]

    def _with_own_values(self, node: PlacedNode, named: Mapping[str, Any], unnamed: Mapping[int, Any]) -> PlacedNode:
        if named:
            return replace(node, widgets_values={**widget_values(node, self._registry.get(node.type)), **named})
        if unnamed and not isinstance(node.widgets_values, Mapping):
            listed = [unnamed.get(index, value) for index, value in enumerate(node.widgets_values)]
            return replace(node, widgets_values=listed)
        return node

    def _fields(
        self, definition: GroupNode, holder: PlacedNode, given: Sequence[Any]
    ) -> tuple[list[tuple[int, int, Input | None]], list[int]]:
        """Return the widgets in the holder's list, as (node, index among the node's widgets, widget), and the index of
        each one's value in the list.

        Editors differ in whether hidden, linked and converted widgets have a value; the list's length decides.
        """
        fields = [
            (node_index, index, widget)
            for node_index, node in enumerate(definition.nodes)
            for index, widget in enumerate(inner_widgets(node, self._registry.get(node.type)))
        ]
        closed = definition.hidden_inputs | {
            (node, _slot_widget(definition, node, slot)) for node, slot in definition.links
        }
        sockets = {
            (node, _slot_widget(definition, node, slot)) for node, slot in self._sockets(definition, holder).values()
        }
        left_out: tuple[Set[tuple[int, str | None]], ...] = (frozenset(), closed, closed | sockets)
        kept = [
            [field for field in fields if field[2] is None or (field[0], field[2].name) not in names]
            for names in left_out
        ]
        for candidate in kept:
            places, exact = shared_places(given, [widget for _, _, widget in candidate])
            if exact:
                return candidate, places
        return kept[1], shared_places(given, [widget for _, _, widget in kept[1]])[0]


def _aim(canvas: Canvas, slots: list[list[Slot]], target: tuple[int, int], link: CanvasLink, link_id: str) -> None:
    node, place = target
    if node < len(slots) and place < len(slots[node]):
        slots[node][place] = replace(slots[node][place], link=link_id)
        canvas.add_link(link_id, link, str(node), place)


def _slot_widget(definition: GroupNode, node: int, slot: int) -> str | None:
    inputs = definition.nodes[node].inputs if node < len(definition.nodes) else ()
    return inputs[slot].widget if slot < len(inputs) else None


def _outputs(definition: GroupNode, registry: Mapping[str, NodeType]) -> Iterator[tuple[int, int]]:
    """Return (node, output) for each output of the group node: outputs not linked inside, and external ones."""
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
    """Return the node with its index as id, without links, and with a slot for each widget."""
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
    """Return the first ``count`` integers from 0 of a list, or None if one is null (a link from outside the group)."""
    items = list_at(value, place)[:count]
    if None in items:
        return None
    if len(items) < count or not all(type(item) is int and item >= 0 for item in items):
        raise wrong(place, value, f"a list that begins with {count} integers, none below 0")
    return items


def _config(value: Any, place: str) -> tuple[frozenset[tuple[int, str]], frozenset[tuple[int, int]], dict[Any, str]]:
    """Read hidden inputs, hidden outputs and names from ``{node: {"input": {name: {…}}, "output": {slot: {…}}}}``."""
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
