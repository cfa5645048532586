"""The weights that brackets give to parts of a prompt: ``a (red:1.4) (apple)``.

``(text)`` multiplies by 1.1, ``(text:1.4)`` sets 1.4 for what is inside, where further brackets
multiply on from there. ``\\(`` and ``\\)`` are brackets to be read, not obeyed. ``[text]`` means nothing.

What is no weight is text: ``(a:1.2.3)`` is ``a:1.2.3`` at 1.1, ``(:1.2)`` is ``:1.2`` at 1.1,
``(a:b:1.3)`` is ``a:b`` at 1.3. A ``(`` that nothing closes is text, with all that follows it, unless the
prompt ends in a ``)``, which then closes it; a ``)`` that closes nothing makes the next ``(`` text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from nodes.text.tokenizer import PromptError

EMPHASIS: Final = 1.1
MAX_DEPTH: Final = 32
"""Groups within groups; 1.1^32 is 21, far beyond what a text encoder makes sense of."""

_BRACKET = re.compile(r"\\[()]|[()]")
_ESCAPED = re.compile(r"\\([()])")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)


class Weighted(NamedTuple):
    """A run of text, its brackets obeyed and taken out, and its weight."""

    text: str
    weight: float


def parse(prompt: str) -> list[Weighted]:
    """The runs of ``prompt``, in order; a new one begins wherever a bracket opens or closes. None is empty.

    Raises PromptError for brackets nested deeper than MAX_DEPTH.
    """
    return list(_runs(prompt, 1.0, 0))


def _runs(text: str, weight: float, depth: int) -> Iterator[Weighted]:
    if depth > MAX_DEPTH:
        raise PromptError(f"the prompt nests brackets more than {MAX_DEPTH} deep; write (text:1.4) for a strong weight")
    for part in _parts(text):
        if part.startswith("(") and part.endswith(")") and not part.endswith("\\)"):
            yield from _runs(*_group(part[1:-1], weight), depth + 1)
        else:
            yield Weighted(_ESCAPED.sub(r"\1", part), weight)


def _parts(text: str) -> Iterator[str]:
    """``text`` cut where a bracket opens from, or closes to, the outermost level."""
    start = depth = 0
    for bracket in _BRACKET.finditer(text):
        if bracket[0] == "(":
            if depth == 0 and start < bracket.start():
                yield text[start : bracket.start()]
                start = bracket.start()
            depth += 1
        elif bracket[0] == ")":
            depth -= 1
            if depth == 0:
                yield text[start : bracket.end()]
                start = bracket.end()
    if start < len(text):
        yield text[start:]


def _group(content: str, weight: float) -> tuple[str, float]:
    """What a group holds and the weight within it."""
    text, _, number = content.rpartition(":")
    if text and _NUMBER.fullmatch(number) and math.isfinite(float(number)):
        return text, float(number)
    return content, weight * EMPHASIS
