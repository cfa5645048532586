"""Writes a workflow as an editor document of version 0.4, which ComfyUI's editors open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graph.formats.canvas import PlacedNode
from graph.formats.listed_choices import in_order
from graph.formats.widgets import companions, first_value, ordered_widgets
from graph.schema import MISSING, Input, NodeType
from graph.workflow import Link, Workflow, WorkflowNode
from graph.writing.layout import Box, layered, topological
from graph.writing.places import Group, Note, Pair, Surroundings

_VERSION: Final = 0.4
_WIDTH: Final = 320.0
_ROW: Final = 24.0
_TEXT_BOX: Final = 100.0
_MARGIN: Final = 16.0
_NOTE_SIZE: Final = (260.0, 120.0)


@dataclass(frozen=True, slots=True)
class EditorDocument:
    """``document`` is ready for json.dumps. ``lost`` says, a sentence each, what it cannot hold."""

    document: dict[str, Any]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str
    type: str
    is_widget: bool
    link: Link | None


def editor_document(
    workflow: Workflow, registry: Mapping[str, NodeType], around: Surroundings | None = None
) -> EditorDocument:
    """Write the nodes of ``workflow``, at the places in ``around``; nodes without a place get one.

    Editors number nodes. Other ids (``9:1``, from subgraphs) are replaced by new numbers, which ``lost`` says. Widgets
    whose input is missing get their default.
    """
    writer = _Writer(workflow, registry, around or Surroundings())
    return EditorDocument(writer.document(), tuple(writer.lost))


class _Writer:
    def __init__(self, workflow: Workflow, registry: Mapping[str, NodeType], around: Surroundings):
        self._nodes = workflow.nodes
        self._registry = registry
        self._around = around
        self.lost: list[str] = []
        self._numbers = self._numbered()
        self._slots = {node_id: list(self._slots_of(node)) for node_id, node in workflow.nodes.items()}
        self._outputs = self._outputs_of_all()

    def document(self) -> dict[str, Any]:
        links = self._links()
        places = self._places()
        order = topological({node_id: _sources(node) for node_id, node in self._nodes.items()})
        ranks = {node_id: rank for rank, node_id in enumerate(order)}
        entering = {(target, slot): number for number, (target, slot, _) in enumerate(links, 1)}
        leaving: dict[Link, list[int]] = {}
        for number, (_, _, link) in enumerate(links, 1):
            leaving.setdefault(link, []).append(number)
        nodes = [self._node(name, places[name], ranks[name], entering, leaving) for name in self._nodes]
        last = max(self._numbers.values(), default=0)
        for note in self._around.notes:
            last += 1
            nodes.append(_note(note, last, len(nodes), places))
        return {
            "last_node_id": last,
            "last_link_id": len(links),
            "nodes": nodes,
            "links": [
                [number, self._numbers[link.node], link.output, self._numbers[target], slot, self._type(link)]
                for number, (target, slot, link) in enumerate(links, 1)
            ],
            "groups": [_group(group) for group in self._around.groups],
            "config": {},
            "extra": dict(self._around.extra),
            "version": _VERSION,
        }

    def _numbered(self) -> dict[str, int]:
        """Return a number for each id: the id itself if it is one."""
        numbers = {node_id: int(node_id) for node_id in self._nodes if _is_number(node_id)}
        following = max(numbers.values(), default=0)
        for node_id in self._nodes:
            if node_id not in numbers:
                following += 1
                numbers[node_id] = following
                self.lost.append(f"Node {node_id} is node {following} in the editor, which numbers nodes.")
        return numbers

    def _slots_of(self, node: WorkflowNode) -> Iterator[_Slot]:
        """Yield the input slots: every socket, and each widget that is linked."""
        node_type = self._registry.get(node.class_type)
        links = {name: value for name, value in node.inputs.items() if isinstance(value, Link)}
        if node_type is not None:
            extras = bool(self._extra_literals(node, node_type))
            for declared in self._declared(node, node_type):
                link = links.pop(declared.name, None)
                if link is not None or (extras and declared.has_widget):
                    yield _Slot(declared.name, declared.type, declared.has_widget, link)
                elif not declared.has_widget and (declared.required or "." not in declared.name):
                    yield _Slot(declared.name, declared.type, False, None)
            for name in self._extra_literals(node, node_type):
                yield _Slot(name, "*", True, None)
        for name, link in links.items():
            yield _Slot(name, self._type(link), False, link)

    def _declared(self, node: WorkflowNode, node_type: NodeType) -> list[Input]:
        shown = [declared for declared in node_type.inputs_under(node.inputs) if not declared.hidden]
        return sorted(shown, key=lambda declared: not declared.required)

    def _extra_literals(self, node: WorkflowNode, node_type: NodeType) -> list[str]:
        """Return the undeclared literals of a node that accepts them."""
        if not (node_type.accepts_extra_inputs and node_type.accepts_extra_literals):
            return []
        given = ((name, value) for name, value in node.inputs.items() if not isinstance(value, Link))
        return in_order([name for name, _ in given if name not in node_type.by_name], node_type)

    def _links(self) -> list[tuple[str, int, Link]]:
        """Return (target node, slot, link) of each link; links to missing nodes are left out."""
        found = []
        for node_id, slots in self._slots.items():
            for index, slot in enumerate(slots):
                if slot.link is None:
                    continue
                if slot.link.node in self._nodes:
                    found.append((node_id, index, slot.link))
                else:
                    self.lost.append(
                        f"{self._named(node_id)}: '{slot.name}' links to the missing node {slot.link.node}."
                    )
        return found

    def _node(
        self,
        node_id: str,
        place: _FullPlace,
        rank: int,
        entering: Mapping[tuple[str, int], int],
        leaving: Mapping[Link, list[int]],
    ) -> dict[str, Any]:
        """Return a node. ``entering`` has the number of the link to each slot, ``leaving`` those of each output."""
        node = self._nodes[node_id]
        slots: list[dict[str, Any]] = []
        for index, slot in enumerate(self._slots[node_id]):
            written: dict[str, Any] = {"name": slot.name, "type": slot.type, "link": entering.get((node_id, index))}
            if slot.is_widget:
                written["widget"] = {"name": slot.name}
            slots.append(written)
        outputs = [
            {"name": name, "type": kind, "links": leaving.get(Link(node_id, index)), "slot_index": index}
            for index, (name, kind) in enumerate(self._outputs[node_id])
        ]
        return {
            "id": self._numbers[node_id],
            "type": node.class_type,
            "pos": list(place.at),
            "size": list(place.size),
            "flags": {},
            "order": rank,
            "mode": 0,
            "inputs": slots,
            "outputs": outputs,
            **({"title": node.title} if node.title is not None else {}),
            "properties": {"Node name for S&R": node.class_type},
            "widgets_values": self._widgets_values(node_id, node),
            **place.look,
        }

    def _widgets_values(self, node_id: str, node: WorkflowNode) -> list[Any] | dict[str, Any]:
        literals = {name: value for name, value in node.inputs.items() if not isinstance(value, Link)}
        node_type = self._registry.get(node.class_type)
        if node_type is None:
            return literals
        written: list[Any] = []
        for declared in ordered_widgets(_as_placed(node_id, node.class_type, literals), node_type):
            value = literals.pop(declared.name, MISSING)
            if value is MISSING:
                value = first_value(declared)
                if declared.filled_in is MISSING and value is not MISSING and declared.name not in node.inputs:
                    self.lost.append(
                        f"{self._named(node_id)}: '{declared.name}' has no value; the editor gives it one."
                    )
            written += [None if value is MISSING else value, *companions(declared)]
        written += [literals.pop(name) for name in self._extra_literals(node, node_type)]
        for name in literals:
            self.lost.append(f"{self._named(node_id)}: '{name}' has a value, but no widget that could hold it.")
        return written

    def _outputs_of_all(self) -> dict[str, list[tuple[str, str]]]:
        """Return name and type of each node's outputs; for unknown classes as many as are linked."""
        known = {
            node_id: [(output.name, output.type) for output in node_type.outputs]
            if (node_type := self._registry.get(node.class_type)) is not None
            else []
            for node_id, node in self._nodes.items()
        }
        for node in self._nodes.values():
            for value in node.inputs.values():
                if isinstance(value, Link) and value.node in known and value.output >= 0:
                    outputs = known[value.node]
                    outputs += [("*", "*")] * (value.output + 1 - len(outputs))
        return known

    def _type(self, link: Link) -> str:
        node = self._nodes.get(link.node)
        node_type = self._registry.get(node.class_type) if node is not None else None
        outputs = node_type.outputs if node_type is not None else ()
        return outputs[link.output].type if 0 <= link.output < len(outputs) else "*"

    def _places(self) -> dict[str, _FullPlace]:
        """Return a place for each node. Nodes without one stand below all others, in columns."""
        given = self._around.places
        sizes = {node_id: self._size(node_id) for node_id in self._nodes}
        free = [node_id for node_id in self._nodes if node_id not in given or given[node_id].at is None]
        boxes = {node_id: Box(sizes[node_id], _sources(self._nodes[node_id])) for node_id in free}
        found = layered(boxes, self._corner(sizes))
        looks = {node_id: given[node_id].look if node_id in given else {} for node_id in self._nodes}
        for node_id in self._nodes:
            at = given[node_id].at if node_id in given else None
            found[node_id] = at if at is not None else found[node_id]
        return {name: _FullPlace(found[name], sizes[name], looks[name]) for name in self._nodes}

    def _corner(self, sizes: Mapping[str, Pair]) -> Pair:
        """Return the corner from which nodes without a place are laid out: below everything that has one."""
        placed = [(place.at, sizes[name]) for name, place in self._around.places.items() if place.at and name in sizes]
        placed += [(note.place.at, note.place.size or _NOTE_SIZE) for note in self._around.notes if note.place.at]
        placed += [(group.at, group.size) for group in self._around.groups]
        if not placed:
            return 40.0, 60.0
        return min(at[0] for at, _ in placed), max(at[1] + size[1] for at, size in placed) + 90.0

    def _size(self, node_id: str) -> Pair:
        given = self._around.places.get(node_id)
        if given is not None and given.size is not None:
            return given.size
        node = self._nodes[node_id]
        node_type = self._registry.get(node.class_type)
        rows = max(sum(not slot.is_widget for slot in self._slots[node_id]), len(self._outputs[node_id]))
        widgets = [] if node_type is None else ordered_widgets(_as_placed(node_id, "", node.inputs), node_type)
        boxes = sum(bool(declared.hints.get("multiline")) for declared in widgets)
        return _WIDTH, _MARGIN + rows * _ROW + (len(widgets) - boxes) * _ROW + boxes * _TEXT_BOX

    def _named(self, node_id: str) -> str:
        return f"Node {node_id} ({self._nodes[node_id].class_type})"


@dataclass(frozen=True, slots=True)
class _FullPlace:
    at: Pair
    size: Pair
    look: Mapping[str, Any]


def _as_placed(node_id: str, class_type: str, literals: Mapping[str, Any]) -> PlacedNode:
    return PlacedNode(node_id, class_type, 0, (), (), literals, (), None, None, "")


def _sources(node: WorkflowNode) -> list[str]:
    return [value.node for value in node.inputs.values() if isinstance(value, Link)]


def _is_number(node_id: str) -> bool:
    return node_id.isascii() and node_id.isdecimal() and str(int(node_id)) == node_id and len(node_id) < 10


def _note(note: Note, number: int, rank: int, places: Mapping[str, _FullPlace]) -> dict[str, Any]:
    size = note.place.size or _NOTE_SIZE
    left = min((place.at[0] for place in places.values()), default=40.0)
    top = min((place.at[1] for place in places.values()), default=60.0)
    at = note.place.at or (left, top - size[1] - 60.0)
    return {
        "id": number,
        "type": "MarkdownNote" if note.markdown else "Note",
        "pos": list(at),
        "size": list(size),
        "flags": {},
        "order": rank,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        **({"title": note.title} if note.title is not None else {}),
        "properties": {},
        "widgets_values": [note.text],
        **note.place.look,
    }


def _group(group: Group) -> dict[str, Any]:
    color = {"color": group.color} if group.color is not None else {}
    return {"title": group.title, "bounding": [*group.at, *group.size], **color, "font_size": 24, "flags": {}}
