"""Compares two workflows: nodes that are only in one, inputs, links and titles that differ, nodes that moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graph.schema import MISSING
from graph.workflow import Link, Workflow, WorkflowNode
from graph.writing.places import Surroundings, read_surroundings

_MOST_PAIRS: Final = 250_000
"""Number of pairs of nodes of one class above which nodes are paired in their order, not by similarity."""
_ALIKE: Final = 0.5
"""Share of equal inputs from which two nodes with different IDs count as the same node."""


@dataclass(frozen=True, slots=True)
class Change:
    """A value before and after: JSON, a Link, or MISSING."""

    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node that both workflows have, with what differs. ``title`` is None if the titles are equal."""

    before_id: str
    after_id: str
    inputs: Mapping[str, Change]
    title: Change | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between two workflows.

    ``removed`` are ids of the first one, ``added`` of the second. ``renumbered`` pairs the ids of nodes that are the
    same under another ID. ``moved``, ``resized``: how many nodes have another place or size in the editor, if both
    files have places. ``notes`` and ``groups``: how many of the editor's are only in the first and in the second.
    """

    removed: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[NodeChange, ...]
    renumbered: tuple[tuple[str, str], ...]
    moved: int = 0
    resized: int = 0
    notes: tuple[int, int] = (0, 0)
    groups: tuple[int, int] = (0, 0)

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        counted = self.moved or self.resized or any(self.notes) or any(self.groups)
        return not (self.removed or self.added or self.changed or self.renumbered or counted)


def compare(before: Workflow, after: Workflow) -> Comparison:
    """Compare two workflows. Nodes are paired by id and class, then by class and similar inputs and title."""
    pairs = _pairs(before.nodes, after.nodes)
    paired = set(pairs.values())
    changed = []
    for before_id, after_id in pairs.items():
        old, new = before.nodes[before_id], after.nodes[after_id]
        inputs = dict(_input_changes(old, new, pairs))
        title = Change(old.title, new.title) if (old.title or "") != (new.title or "") else None
        if inputs or title is not None:
            changed.append(NodeChange(before_id, after_id, inputs, title))
    return Comparison(
        removed=tuple(node_id for node_id in before.nodes if node_id not in pairs),
        added=tuple(node_id for node_id in after.nodes if node_id not in paired),
        changed=tuple(changed),
        renumbered=tuple((old, new) for old, new in pairs.items() if old != new),
        **_canvas_changes(before, after, pairs),
    )


def _pairs(before: Mapping[str, WorkflowNode], after: Mapping[str, WorkflowNode]) -> dict[str, str]:
    """Return the node of ``after`` for each node of ``before`` that has one."""
    pairs = {
        node_id: node_id
        for node_id, node in before.items()
        if node_id in after and after[node_id].class_type == node.class_type
    }
    left = _by_class({node_id: node for node_id, node in before.items() if node_id not in pairs})
    right = _by_class({node_id: node for node_id, node in after.items() if node_id not in pairs})
    for class_type in left.keys() & right.keys():
        pairs.update(_similar(left[class_type], right[class_type], before, after))
    return {node_id: pairs[node_id] for node_id in before if node_id in pairs}


def _similar(
    olds: Sequence[str], news: Sequence[str], before: Mapping[str, WorkflowNode], after: Mapping[str, WorkflowNode]
) -> dict[str, str]:
    """Pair the nodes of one class, the most similar ones first."""
    if len(olds) * len(news) > _MOST_PAIRS:
        return dict(zip(olds, news, strict=False))
    scored = [(_likeness(before, old, after, new), old, new) for old in olds for new in news]
    pairs: dict[str, str] = {}
    taken: set[str] = set()
    for score, old, new in sorted(scored, key=lambda each: -each[0]):
        alone = len(olds) == 1 == len(news)
        if old not in pairs and new not in taken and (score >= _ALIKE or alone):
            pairs[old] = new
            taken.add(new)
    return pairs


def _likeness(before: Mapping[str, WorkflowNode], old: str, after: Mapping[str, WorkflowNode], new: str) -> float:
    """Return the share of equal inputs, 0..1, and 1 more for an equal title."""
    left, right = before[old], after[new]
    names = left.inputs.keys() | right.inputs.keys()
    alike = sum(
        _looks_alike(left.inputs.get(name, MISSING), right.inputs.get(name, MISSING), before, after) for name in names
    )
    same_title = left.title is not None and left.title == right.title
    return (alike / len(names) if names else 1.0) + (1.0 if same_title else 0.0)


def _looks_alike(old: Any, new: Any, before: Mapping[str, WorkflowNode], after: Mapping[str, WorkflowNode]) -> bool:
    if not (isinstance(old, Link) and isinstance(new, Link)):
        return _equal(old, new)
    left, right = before.get(old.node), after.get(new.node)
    classes = (left.class_type if left else None, right.class_type if right else None)
    return old.output == new.output and classes[0] == classes[1]


def _input_changes(old: WorkflowNode, new: WorkflowNode, pairs: Mapping[str, str]) -> Iterator[tuple[str, Change]]:
    for name in dict.fromkeys([*old.inputs, *new.inputs]):
        left, right = old.inputs.get(name, MISSING), new.inputs.get(name, MISSING)
        moved = left._replace(node=pairs.get(left.node, left.node)) if isinstance(left, Link) else left
        if not _equal(moved, right):
            yield name, Change(left, right)


def _equal(old: Any, new: Any) -> bool:
    """Whether two values are equal; 1 and 1.0 are, 1 and true are not."""
    if isinstance(old, Link) != isinstance(new, Link) or isinstance(old, bool) != isinstance(new, bool):
        return False
    if isinstance(old, float) and isinstance(new, float) and old != old:
        return new != new
    return bool(old == new)


def _by_class(nodes: Mapping[str, WorkflowNode]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node_id, node in nodes.items():
        found.setdefault(node.class_type, []).append(node_id)
    return found


def _canvas_changes(before: Workflow, after: Workflow, pairs: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a Comparison that count what differs on the canvas."""
    if before.editor is None or after.editor is None:
        return {}
    left, right = read_surroundings(before.editor), read_surroundings(after.editor)
    placed = [(old, new) for old, new in pairs.items() if old in left.places and new in right.places]
    return {
        "moved": sum(left.places[old].at != right.places[new].at for old, new in placed),
        "resized": sum(left.places[old].size != right.places[new].size for old, new in placed),
        "notes": _only_in_one(_note_texts(left), _note_texts(right)),
        "groups": _only_in_one(
            [(group.title, group.at, group.size) for group in left.groups],
            [(group.title, group.at, group.size) for group in right.groups],
        ),
    }


def _note_texts(around: Surroundings) -> list[Any]:
    return [(note.text, note.title) for note in around.notes]


def _only_in_one(before: Sequence[Any], after: Sequence[Any]) -> tuple[int, int]:
    left, right = Counter(before), Counter(after)
    return (left - right).total(), (right - left).total()
