"""``main.py diff``: says in words what differs between two workflows or pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commands.options import folders_of, registry_of
from graph.errors import FormatError, SumiError

if TYPE_CHECKING:
    from graph import Registry, Workflow
    from graph.comparison import Change, Comparison

SAME, DIFFERENT, TROUBLE = 0, 1, 2

_SHOWN: Final = 60
"""Number of characters of a text that are shown."""


@dataclass(frozen=True, slots=True)
class PictureDifference:
    """Sizes in pixels. ``pixels`` of the picture differ, by ``largest`` of 255 at most; None if the sizes differ."""

    before: tuple[int, int]
    after: tuple[int, int]
    pixels: int | None
    largest: int | None

    @property
    def is_same(self) -> bool:
        return self.pixels == 0


def diff(options: argparse.Namespace) -> int:
    """Compare two files. Returns 0 if they are the same, 1 if they differ, 2 if one cannot be read."""
    from graph.comparison import compare

    try:
        folders = folders_of(options)
        registry = registry_of(options, folders)
        pictures = _picture_difference(options.before, options.after)
        workflows = _workflows(options.before, options.after, registry, pictures is not None)
    except SumiError as error:
        print(f"error: {error}", file=sys.stderr)
        return TROUBLE
    found = compare(*workflows) if workflows is not None else None
    is_same = (found is None or found.is_same) and (pictures is None or pictures.is_same)
    if options.json:
        print(json.dumps(_as_json(found, workflows, pictures, is_same), ensure_ascii=False, default=repr))
    else:
        for line in in_words(found, workflows, registry, pictures):
            print(line)
    return SAME if is_same else DIFFERENT


def in_words(
    found: Comparison | None,
    workflows: tuple[Workflow, Workflow] | None,
    registry: Registry,
    pictures: PictureDifference | None,
) -> Iterator[str]:
    """Yield a line for each difference; one line that says so if there is none."""
    if pictures is not None:
        yield _pictures_in_words(pictures)
    if found is None or workflows is None:
        yield "Neither picture carries a workflow."
        return
    before, after = workflows
    if found.is_same:
        yield "The workflows are the same."
        return
    for node_id in found.removed:
        yield f"Removed: {_node(before, node_id)}{_switched_off(after, node_id, 'second')}"
    for node_id in found.added:
        yield f"Added: {_node(after, node_id)}{_switched_off(before, node_id, 'first')}"
    for change in found.changed:
        parts = [_title_in_words(change.title)] if change.title is not None else []
        parts += [f"{name} {_change_in_words(each, before, after, registry)}" for name, each in change.inputs.items()]
        yield f"Changed: {_node(after, change.after_id)}: {', '.join(parts)}"
    if found.renumbered:
        listed = ", ".join(f"{old} → {new}" for old, new in found.renumbered)
        yield f"Other IDs for the same {_count(len(found.renumbered), 'node')}: {listed}"
    if found.moved:
        yield f"Moved: {_count(found.moved, 'node')}"
    if found.resized:
        yield f"Resized: {_count(found.resized, 'node')}"
    for what, (old, new) in (("note", found.notes), ("group", found.groups)):
        if old or new:
            yield f"{what.title()}s: {old} only in the first file, {new} only in the second"


def _workflows(before: Path, after: Path, registry: Registry, are_pictures: bool) -> tuple[Workflow, Workflow] | None:
    """Read both workflows. None if both files are pictures without one. Raises FormatError."""
    from graph import load

    try:
        first = load(before, registry)
    except FormatError:
        if are_pictures and not _carries_workflow(before) and not _carries_workflow(after):
            return None
        raise
    return first, load(after, registry)


def _carries_workflow(path: Path) -> bool:
    from graph.formats.picture import KEYS, texts_in

    return not texts_in(path.read_bytes()).keys().isdisjoint(KEYS)


def _picture_difference(before: Path, after: Path) -> PictureDifference | None:
    """Compare the pixels of two pictures; None if one of the files is not a picture. Raises FormatError."""
    from graph.formats.picture import is_picture

    for path in (before, after):
        try:
            with path.open("rb") as file:
                start = file.read(64)
        except OSError:  # the workflow's reader says what is wrong
            return None
        if not is_picture(start):
            return None
    return _pixel_difference(before, after)


def _pixel_difference(before: Path, after: Path) -> PictureDifference:
    from PIL import Image, ImageChops

    from graph.formats.picture_files import DAMAGE, with_8_bits

    opened = []
    for path in (before, after):
        try:
            with Image.open(path) as picture:
                opened.append(with_8_bits(picture).convert("RGBA"))
        except DAMAGE as error:
            raise FormatError(f"{path}: the picture cannot be decoded: {error}") from error
    first, second = opened
    if first.size != second.size:
        return PictureDifference(first.size, second.size, None, None)
    channels = ImageChops.difference(first, second).split()
    most = channels[0]
    for channel in channels[1:]:
        most = ImageChops.lighter(most, channel)
    counts = most.histogram()
    largest = max(value for value, count in enumerate(counts) if count)
    return PictureDifference(first.size, second.size, sum(counts[1:]), largest)


def _pictures_in_words(pictures: PictureDifference) -> str:
    if pictures.pixels is None:
        sizes = [f"{width}×{height}" for width, height in (pictures.before, pictures.after)]
        return f"The pictures have different sizes: {sizes[0]} and {sizes[1]} pixels."
    if not pictures.pixels:
        return "The pictures have the same pixels."
    share = 100 * pictures.pixels / (pictures.before[0] * pictures.before[1])
    number = _count(pictures.pixels, "pixel")
    return f"The pictures differ in {number} ({share:.3g} %), by at most {pictures.largest} of 255."


def _node(workflow: Workflow, node_id: str) -> str:
    node = workflow.nodes[node_id]
    title = f" “{node.title}”" if node.title else ""
    return f"node {node_id}{title} ({node.class_type})"


def _switched_off(workflow: Workflow, node_id: str, file: str) -> str:
    """Return the end of a sentence about a node that does not run because it is muted or bypassed in this file."""
    from graph.formats.canvas import BYPASSED, MUTED

    nodes = (workflow.editor or {}).get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict) and str(node.get("id")) == node_id and node.get("mode") in (MUTED, BYPASSED):
            return f", {'muted' if node['mode'] == MUTED else 'bypassed'} in the {file} file"
    return ""


def _title_in_words(title: Change) -> str:
    return f"title {_value(title.before or '')} → {_value(title.after or '')}"


def _change_in_words(change: Change, before: Workflow, after: Workflow, registry: Registry) -> str:
    from graph.schema import MISSING

    if isinstance(change.before, str) and isinstance(change.after, str):
        old, new = _differing_parts(change.before, change.after)
        return f"{_quoted(old)} → {_quoted(new)}"
    old = "(none)" if change.before is MISSING else _input(change.before, before, registry)
    new = "(none)" if change.after is MISSING else _input(change.after, after, registry)
    return f"{old} → {new}"


def _input(value: Any, workflow: Workflow, registry: Registry) -> str:
    from graph.workflow import Link

    if not isinstance(value, Link):
        return _value(value)
    node = workflow.nodes.get(value.node)
    if node is None:
        return f"missing node {value.node}"
    node_type = registry.get(node.class_type)
    outputs = node_type.outputs if node_type is not None else ()
    output = outputs[value.output].name if 0 <= value.output < len(outputs) else str(value.output)
    return f"{output} of {_node(workflow, value.node)}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _differing_parts(before: str, after: str) -> tuple[str, str]:
    """Return both texts; of long ones only the part that differs, with some words around it."""
    if max(len(before), len(after)) <= _SHOWN:
        return before, after
    shorter = min(len(before), len(after))
    start = next((index for index in range(shorter) if before[index] != after[index]), shorter)
    end = 0
    while end < shorter - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return _excerpt(before, start, len(before) - end), _excerpt(after, start, len(after) - end)


def _excerpt(text: str, start: int, end: int, around: int = 12) -> str:
    first, last = max(0, start - around), min(len(text), end + around)
    if first:
        first = text.find(" ", first, start) + 1 or first  # begin and end with whole words
    if last < len(text):
        last = max(text.rfind(" ", end, last), end) if " " in text[end:last] else last
    middle = text[first:last]
    if len(middle) > 2 * _SHOWN:
        middle = f"{middle[:_SHOWN]} … {middle[-_SHOWN:]}"
    return f"{'…' if first else ''}{middle}{'…' if last < len(text) else ''}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _as_json(
    found: Comparison | None,
    workflows: tuple[Workflow, Workflow] | None,
    pictures: PictureDifference | None,
    is_same: bool,
) -> dict[str, Any]:
    body: dict[str, Any] = {"same": is_same}
    if pictures is not None:
        body["pictures"] = {
            "sizes": [list(pictures.before), list(pictures.after)],
            "differing_pixels": pictures.pixels,
            "largest_difference": pictures.largest,
        }
    if found is None or workflows is None:
        return body
    before, after = workflows
    return body | {
        "removed": [_node_as_json(before, node_id) for node_id in found.removed],
        "added": [_node_as_json(after, node_id) for node_id in found.added],
        "changed": [
            {
                **_node_as_json(after, change.after_id),
                "before_id": change.before_id,
                "inputs": {name: _change_as_json(each) for name, each in change.inputs.items()},
                **({"title_change": _change_as_json(change.title)} if change.title is not None else {}),
            }
            for change in found.changed
        ],
        "renumbered": [list(pair) for pair in found.renumbered],
        "moved": found.moved,
        "resized": found.resized,
        "notes": {"removed": found.notes[0], "added": found.notes[1]},
        "groups": {"removed": found.groups[0], "added": found.groups[1]},
    }


def _node_as_json(workflow: Workflow, node_id: str) -> dict[str, Any]:
    node = workflow.nodes[node_id]
    return {"id": node_id, "class_type": node.class_type, "title": node.title}


def _change_as_json(change: Change) -> Mapping[str, Any]:
    """Return ``before`` and ``after``; a side without a value is left out, a link is [node id, output]."""
    from graph.schema import MISSING

    sides = {"before": change.before, "after": change.after}
    return {side: value for side, value in sides.items() if value is not MISSING}
