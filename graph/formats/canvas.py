"""The nodes, slots and links of an editor document, as written; the shape of the JSON is checked.

Versions 0.4 and 1 write links differently; one file may mix both.
Positions, sizes, groups and colours matter only to the editor and are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graph.errors import FormatError
from graph.formats.shape import id_at, integer_at, list_at, object_at, text_at, wrong

MUTED: Final = 2
BYPASSED: Final = 4


@dataclass(frozen=True, slots=True)
class Slot:
    """An input slot. ``widget`` is the name of the widget that was converted to this slot, if any."""

    name: str
    type: str
    link: str | None
    widget: str | None


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """A placed node. ``outputs`` are the types of its output slots.

    ``search_name`` is the name by which file names refer to the node (``%KSampler.seed%``).
    """

    id: str
    type: str
    mode: int
    inputs: tuple[Slot, ...]
    outputs: tuple[str, ...]
    widgets_values: list[Any] | Mapping[str, Any]
    proxy_widgets: tuple[tuple[str, str], ...]
    title: str | None
    search_name: str | None
    place: str


@dataclass(frozen=True, slots=True)
class CanvasLink:
    """A link from slot ``origin_slot`` of node ``origin``."""

    origin: str
    origin_slot: int


@dataclass(slots=True)
class Canvas:
    """One level of a workflow: the root, or the inside of a subgraph.

    ``inputs`` names the slots of a subgraph's input node, ``input_id``;
    ``results`` has the link to each slot of its output node.
    """

    nodes: dict[str, PlacedNode]
    name: str = ""
    input_id: str | None = None
    inputs: tuple[str, ...] = ()
    results: dict[int, CanvasLink] = field(default_factory=dict)
    _links: dict[str, CanvasLink] = field(default_factory=dict)
    _aimed: dict[tuple[str, str, int], CanvasLink] = field(default_factory=dict)

    def add_link(self, link_id: str, link: CanvasLink, target: str, target_slot: int) -> None:
        self._links[link_id] = self._aimed[link_id, target, target_slot] = link

    def link(self, node: PlacedNode, index: int) -> CanvasLink | None:
        """Return the link to input slot ``index`` of ``node``. Files refer to links that no longer exist
        (then None), and some have two links with one id (then the one that leads to this slot counts)."""
        link_id = node.inputs[index].link
        if link_id is None:
            return None
        return self._aimed.get((link_id, node.id, index)) or self._links.get(link_id)


def read_canvas(document: Mapping[str, Any], place: str) -> Canvas:
    """Read the level that ``document`` (a workflow or a subgraph definition) holds. Raises FormatError."""
    nodes: dict[str, PlacedNode] = {}
    for index, value in enumerate(list_at(document.get("nodes"), f"{place}nodes")):
        node = read_node(value, f"{place}nodes[{index}]")
        if node.id in nodes:
            raise FormatError(f"{node.place}.id: {node.id} is also {nodes[node.id].place}'s id; expected a unique id")
        nodes[node.id] = node
    canvas = Canvas(nodes)
    for index, value in enumerate(list_at(document.get("links"), f"{place}links")):
        if value is not None:
            _add_link(canvas, value, f"{place}links[{index}]", "-20")
    return canvas


def read_subgraph(document: Mapping[str, Any], place: str) -> Canvas:
    """Read the inside of the subgraph that ``document`` defines. Raises FormatError."""
    canvas = read_canvas({**document, "links": None}, f"{place}.")
    canvas.name = str(document.get("name") or document["id"])
    canvas.input_id = _boundary_id(document, "inputNode", "-10", place)
    output_id = _boundary_id(document, "outputNode", "-20", place)
    inputs = list_at(document.get("inputs"), f"{place}.inputs")
    canvas.inputs = tuple(
        text_at(object_at(value, f"{place}.inputs[{index}]").get("name"), f"{place}.inputs[{index}].name")
        for index, value in enumerate(inputs)
    )
    for index, value in enumerate(list_at(document.get("links"), f"{place}.links")):
        if value is not None:
            _add_link(canvas, value, f"{place}.links[{index}]", output_id)
    return canvas


def _boundary_id(document: Mapping[str, Any], key: str, usual: str, place: str) -> str:
    value = document.get(key)
    return usual if value is None else id_at(object_at(value, f"{place}.{key}").get("id", usual), f"{place}.{key}.id")


def read_node(value: Any, place: str) -> PlacedNode:
    """Read the placed node at ``place``. Raises FormatError."""
    node = object_at(value, place)
    properties = node.get("properties")
    properties = object_at({} if properties is None or properties == [] else properties, f"{place}.properties")
    search_name = properties.get("Node name for S&R")
    title = node.get("title")
    if title is not None and not isinstance(title, str):
        raise wrong(f"{place}.title", title, "text")
    widgets_values = node.get("widgets_values")
    if widgets_values is not None and not isinstance(widgets_values, (list, dict)):
        raise wrong(f"{place}.widgets_values", widgets_values, "a list, or an object by widget name")
    mode = node.get("mode")
    inputs = list_at(node.get("inputs"), f"{place}.inputs")
    outputs = list_at(node.get("outputs"), f"{place}.outputs")
    return PlacedNode(
        id=id_at(node.get("id"), f"{place}.id"),
        type=text_at(node.get("type"), f"{place}.type"),
        mode=0 if mode is None else integer_at(mode, f"{place}.mode"),
        inputs=tuple(_slot(slot, f"{place}.inputs[{index}]") for index, slot in enumerate(inputs)),
        outputs=tuple(
            _slot_type(object_at(slot, f"{place}.outputs[{index}]").get("type")) for index, slot in enumerate(outputs)
        ),
        widgets_values=[] if widgets_values is None else widgets_values,
        proxy_widgets=_proxy_widgets(properties, place),
        title=title or None,
        search_name=search_name if isinstance(search_name, str) else None,
        place=place,
    )


def _slot(value: Any, place: str) -> Slot:
    slot = object_at(value, place)
    link, widget = slot.get("link"), slot.get("widget")
    name = slot.get("name")
    if not isinstance(name, str):
        raise wrong(f"{place}.name", name, "text")
    if widget is not None:
        widget = object_at(widget, f"{place}.widget").get("name", name)
        if not isinstance(widget, str):
            raise wrong(f"{place}.widget.name", widget, "text")
    return Slot(name, _slot_type(slot.get("type")), None if link is None else id_at(link, f"{place}.link"), widget)


def _slot_type(value: Any) -> str:
    """Read a slot's type. Files write ``*``, ``0``, ``-1`` or nothing for any type; old ones a choice as a list."""
    if isinstance(value, list):
        return "COMBO"
    return value if isinstance(value, str) and value else "*"


def _proxy_widgets(properties: Mapping[str, Any], place: str) -> tuple[tuple[str, str], ...]:
    found = []
    where = f"{place}.properties.proxyWidgets"
    listed = properties.get("proxyWidgets")
    if isinstance(listed, str):  # editors write the list also as JSON text
        try:
            listed = json.loads(listed)
        except (ValueError, RecursionError):
            raise wrong(where, listed, "a list of [inner node id, widget name]") from None
    for index, entry in enumerate(list_at(listed, where)):
        pair = list_at(entry, f"{where}[{index}]")
        if len(pair) < 2:
            raise wrong(f"{where}[{index}]", pair, "[inner node id, widget name]")
        found.append((id_at(pair[0], f"{where}[{index}][0]"), text_at(pair[1], f"{where}[{index}][1]")))
    return tuple(found)


def _add_link(canvas: Canvas, value: Any, place: str, output_id: str) -> None:
    keys: tuple[Any, ...]
    fields: list[Any]
    if isinstance(value, dict):
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
        fields = [value.get(key) for key in keys]
    elif isinstance(value, list) and len(value) >= 5:
        keys = (0, 1, 2, 3, 4)
        fields = value[:5]
    else:
        raise wrong(place, value, "[link id, from node, from slot, to node, to slot, type] or the same as an object")
    if not all(type(field) is int for field in fields):
        places = [f"{place}[{key}]" if isinstance(key, int) else f"{place}.{key}" for key in keys]
        readers = (id_at, id_at, integer_at, id_at, integer_at)
        fields = [read(field, where) for read, field, where in zip(readers, fields, places, strict=True)]
    link_id, origin, origin_slot, target, target_slot = fields
    canvas.add_link(str(link_id), CanvasLink(str(origin), origin_slot), str(target), target_slot)
    if str(target) == output_id:
        canvas.results[target_slot] = CanvasLink(str(origin), origin_slot)
