"""AUTOMATIC1111's prompts that change during sampling, and prompts joined by AND.

``[from:to:when]`` changes from one text to another, ``[to:when]`` adds a text, ``[from::when]`` removes one, and
``[a|b]`` alternates between texts. ``when`` without a point is a step; with one it is a part of the steps. The syntax:
https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features, "Prompt editing", "Alternating words" and
"Composable Diffusion".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, NamedTuple, TypeAlias

from graph.errors import SumiError

MOST_NESTED: Final = 64
"""Brackets nested deeper than this are text."""
MOST_TEXTS: Final = 1000
"""Most different texts of one prompt over the steps of a run."""
_MOST_CHARACTERS: Final = 50_000_000
"""Most characters of a prompt's texts at all steps together."""

_PIECE: Final = re.compile(r"\\.|[()\[\]:|]|[^\\()\[\]:|]+|\\", re.DOTALL)
_OPENER: Final = {")": "(", "]": "["}
_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*", re.ASCII | re.IGNORECASE)
_AND: Final = re.compile(r"\bAND\b")
_WEIGHT: Final = re.compile(r"\s*:\s*([+-]?(?:\d+\.?|\d*\.\d+))\s*$", re.ASCII)


class PromptScheduleError(SumiError):
    """A prompt has more texts over the steps of a run than can be encoded."""


@dataclass(frozen=True)
class Change:
    """``[before:after:when]``: another text after a step. ``when`` is the number as written."""

    before: Content
    after: Content
    when: str
    written: str


@dataclass(frozen=True)
class Alternation:
    """``[a|b]``: the next text at every step."""

    choices: tuple[Content, ...]
    written: str


Content: TypeAlias = "tuple[str | Change | Alternation, ...]"
"""Texts, and what changes between them. Brackets that change nothing are text."""


class Part(NamedTuple):
    """One of the prompts that AND joins, and its weight."""

    text: str
    weight: float


class Span(NamedTuple):
    """A text, and the steps of the run that use it: pairs (first step, step after the last one), counted from 0.

    The end of the last pair is None: the text is used to the end of the run.
    """

    text: str
    steps: tuple[tuple[int, int | None], ...]


def split_parts(text: str) -> list[Part]:
    """Split a prompt at the word AND. ``: number`` at the end of a part is its weight, otherwise it is 1."""
    parts = []
    for part in _AND.split(text):
        match = _WEIGHT.search(part)
        parts.append(Part(part, 1.0) if match is None else Part(part[: match.start()], float(match[1])))
    return parts


def scheduled_texts(text: str, steps: int, steps_before: int = 0) -> list[Span]:
    """Return the texts of a prompt over a run of ``steps`` steps, in the order of their first use.

    ``steps_before`` are the steps of a first pass, if this is the second one (hires fix): whole numbers then count from
    the first pass's start, and numbers with a point from 1. As in A1111, ``[a:b:10]`` uses ``b`` from step 11 on when
    steps count from 0, and an alternation uses its first text twice.
    Raises PromptScheduleError for more than MOST_TEXTS different texts.
    """
    content = parse(text)
    starts = sorted(_starts(content, steps, steps_before))
    if len(starts) * len(text) > _MOST_CHARACTERS:
        raise PromptScheduleError(
            f"a prompt of {len(text):,} characters that changes at {len(starts):,} steps is too long; shorten it"
        )
    used: dict[str, list[tuple[int, int | None]]] = {}
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        spans = used.setdefault(_text_at(content, max(1, start), steps, steps_before), [])
        if spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    if len(used) > MOST_TEXTS:
        raise PromptScheduleError(
            f"the prompt has {len(used):,} different texts over {steps:,} steps; expected at most {MOST_TEXTS:,}"
        )
    return [Span(found, tuple(spans)) for found, spans in used.items()]


def parse(text: str) -> Content:
    """Return the content of a prompt. Brackets that are not closed, or not of these forms, are text."""
    groups = [_Group("", 0)]
    for match in _PIECE.finditer(text):
        piece, group = match[0], groups[-1]
        if piece in ("(", "[") and len(groups) <= MOST_NESTED:
            groups.append(_Group(piece, match.start()))
        elif piece in (")", "]") and group.opener == _OPENER[piece]:
            groups.pop()
            groups[-1].add(*group.closed(text[group.start : match.end()]))
        elif piece in (":", "|") and group.opener == "[":
            group.separate(piece)
        else:
            group.add(piece)
    while len(groups) > 1:
        group = groups.pop()
        groups[-1].add(group.opener, *group.whole())
    return _joined(groups[0].whole())


def first_texts(content: Content, replaced: Callable[[Change | Alternation, str], None]) -> str:
    """Return the text at the start of a run. Calls ``replaced`` with each change and the text that is used for it."""
    found = []
    for piece in content:
        if isinstance(piece, str):
            found.append(piece)
            continue
        if isinstance(piece, Alternation):
            first = piece.choices[0]
        else:
            first = piece.before if piece.before and piece.before != ("",) else piece.after
        text = first_texts(first, replaced)
        replaced(piece, text)
        found.append(text)
    return "".join(found)


@dataclass
class _Group:
    """An open bracket and its content: the fields that ``|`` or ``:`` separate."""

    opener: str
    start: int
    fields: list[list[str | Change | Alternation]] = field(default_factory=lambda: [[]])
    separators: list[str] = field(default_factory=list)

    def add(self, *pieces: str | Change | Alternation) -> None:
        self.fields[-1] += pieces

    def separate(self, separator: str) -> None:
        self.separators.append(separator)
        self.fields.append([])

    def whole(self) -> list[str | Change | Alternation]:
        """Return the content with its separators as text."""
        found = self.fields[0]
        for separator, pieces in zip(self.separators, self.fields[1:], strict=True):
            found += [separator, *pieces]
        return found

    def closed(self, written: str) -> list[str | Change | Alternation]:
        """Return the content of the closed bracket, which is ``written`` in the prompt."""
        kinds = set(self.separators)
        if kinds == {"|"}:
            return [Alternation(tuple(map(_joined, self.fields)), written)]
        if kinds == {":"} and len(self.fields) <= 3 and (number := self._number()) is not None:
            before = _joined(self.fields[0]) if len(self.fields) == 3 else ()
            return [Change(before, _joined(self.fields[-2]), number, written)]
        return [self.opener, *self.whole(), written[-1]]

    def _number(self) -> str | None:
        last = _joined(self.fields[-1])
        match = _NUMBER.fullmatch(last[0]) if len(last) == 1 and isinstance(last[0], str) else None
        return None if match is None or not math.isfinite(float(match[1])) else match[1]


def _joined(pieces: Iterable[str | Change | Alternation]) -> Content:
    """Join texts that follow one another."""
    found: list[str | Change | Alternation] = []
    for is_text, group in groupby(pieces, key=lambda piece: isinstance(piece, str)):
        found += ["".join(map(str, group))] if is_text else list(group)  # noqa: B031 (used once)
    return tuple(found)


def _when(change: Change, steps: int, steps_before: int) -> int:
    """Return the last step, counted from 1, that uses the text before the change."""
    number = float(change.when)
    first = 1.0 if steps_before else 0.0
    step = (number - first) * steps if "." in change.when else number - steps_before
    return int(max(-1.0, min(float(steps), step)))


def _starts(content: Content, steps: int, steps_before: int) -> set[int]:
    """Return the steps, counted from 0, at which the text may change; 0 is one of them."""
    found = {0}
    for piece in content:
        if isinstance(piece, Alternation):
            return set(range(steps))
        if isinstance(piece, Change):
            when = _when(piece, steps, steps_before)
            if 1 <= when < steps - 1:
                found.add(when + 1)
            found |= _starts(piece.before, steps, steps_before) | _starts(piece.after, steps, steps_before)
    return found


def _text_at(content: Content, step: int, steps: int, steps_before: int) -> str:
    """Return the text of a step, counted from 1."""
    return "".join(_pieces_at(content, step, steps, steps_before))


def _pieces_at(content: Content, step: int, steps: int, steps_before: int) -> Iterable[str]:
    for piece in content:
        if isinstance(piece, str):
            yield piece
        elif isinstance(piece, Alternation):
            yield from _pieces_at(piece.choices[(step - 1) % len(piece.choices)], step, steps, steps_before)
        else:
            chosen = piece.before if step <= _when(piece, steps, steps_before) else piece.after
            yield from _pieces_at(chosen, step, steps, steps_before)
