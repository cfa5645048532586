"""Reads the weights that brackets give to parts of a prompt: ``a (red:1.4) (apple)``.

``(text)`` multiplies the weight by 1.1, ``(text:1.4)`` sets it to 1.4, and brackets inside
multiply it further. ``\\(`` and ``\\)`` are plain brackets. ``[text]`` has no special meaning.

Anything that is not a weight is text: ``(a:1.2.3)`` is ``a:1.2.3`` at 1.1, ``(:1.2)`` is ``:1.2`` at 1.1,
``(a:b:1.3)`` is ``a:b`` at 1.3. An unclosed ``(`` is text, with everything after it in its
group, unless the group ends in a ``)``, which then closes it. An unmatched ``)`` makes the next ``(`` text.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from nodes.text.tokenizer import PromptError

EMPHASIS: Final = 1.1
MAX_DEPTH: Final = 32
"""Maximum depth of nested groups; 1.1^32 is 21, far beyond useful weights."""

_BRACKET = re.compile(r"\\[()]|[()]")
_ESCAPED = re.compile(r"\\([()])")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)


class Weighted(NamedTuple):
    """A run of text, without its weight brackets, and its weight."""

    text: str
    weight: float


class _Level(NamedTuple):
    """The inside of a group, or the whole prompt: its weight, and where its text ends."""

    weight: float
    end: int


def parse(prompt: str) -> list[Weighted]:
    """Return the non-empty runs of ``prompt``, in order; a new one begins where a bracket opens or closes.

    Raises PromptError for brackets nested deeper than MAX_DEPTH.
    """
    return [
        Weighted(_ESCAPED.sub(r"\1", prompt[start:end]), weight) for start, end, weight in _runs(prompt) if start < end
    ]


def _runs(prompt: str) -> Iterator[tuple[int, int, float]]:
    """Return start, end and weight of each run, including empty ones."""
    closer_of, unclosed = _pairs(prompt)
    closers = set(closer_of.values())
    levels = [_Level(1.0, len(prompt))]
    start = 0
    for place in sorted([*closer_of, *closers, *unclosed]):
        weight, end = levels[-1]
        yield start, end if place in closers else place, weight
        start = place + 1
        if place in closers:
            levels.pop()
        elif place not in closer_of:
            start = place
        elif len(levels) > MAX_DEPTH:
            raise _too_deep()
        else:
            levels.append(_inside(prompt, place, closer_of[place], weight))
    yield start, len(prompt), 1.0


def _pairs(prompt: str) -> tuple[dict[int, int], list[int]]:
    """Match the ``(`` and ``)`` of every group; also returns the first unclosed ``(``, if any: text begins there."""
    opener_of: dict[int, int] = {}
    waiting: deque[int] = deque()
    surplus = 0
    for bracket in _BRACKET.finditer(prompt):
        if bracket[0] == "(" and surplus:
            surplus -= 1
        elif bracket[0] == "(":
            waiting.append(bracket.start())
        elif bracket[0] == ")" and waiting:
            opener_of[bracket.start()] = waiting.pop()
        elif bracket[0] == ")":
            surplus += 1
    taken: dict[int, int] = {}
    end = len(prompt)
    while waiting and end - 1 in opener_of:
        # The outermost open bracket takes the last closing one, which leaves an inner bracket open.
        opener, closer = waiting.popleft(), end - 1
        waiting.append(opener_of.pop(closer))
        taken[opener] = closer
        end = _inside(prompt, opener, closer, 1.0).end
        if len(taken) > MAX_DEPTH:
            raise _too_deep()
    unclosed = [waiting[0]] if waiting else []
    before = {opener: closer for closer, opener in opener_of.items() if not unclosed or closer < unclosed[0]}
    return before | taken, unclosed


def _inside(prompt: str, opener: int, closer: int, around: float) -> _Level:
    """Return the inside of the group between two brackets; ``around`` is the weight outside it."""
    colon = prompt.rfind(":", opener + 1, closer)
    if colon > opener + 1 and _NUMBER.fullmatch(prompt, colon + 1, closer):
        weight = float(prompt[colon + 1 : closer])
        if math.isfinite(weight):
            return _Level(weight, colon)
    return _Level(around * EMPHASIS, closer)


def _too_deep() -> PromptError:
    return PromptError(f"the prompt nests brackets more than {MAX_DEPTH} deep; write (text:1.4) for a strong weight")
