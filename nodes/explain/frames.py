"""Chooses the frames of a film strip."""

from __future__ import annotations

import re
from typing import Final

from nodes.explain.errors import ExplainError

MOST_FRAMES: Final = 20
"""Most frames that a list may name."""


def chosen_frames(field: str, listed: str, frames: int, first: int, last: int) -> list[int]:
    """Return the numbers that ``listed`` names, or ``frames`` at equal distances if it is empty.

    They rise and are ``first`` … ``last``; there are none if ``last`` is less than ``first``. Raises ExplainError, with
    the name of the ``field``, for anything but whole numbers in this range, and for more than MOST_FRAMES.
    """
    words = [word for word in re.split(r"[\s,;，、；]+", listed) if word]
    span = last - first
    if span < 0:
        return []
    if not words:
        gaps = max(1, min(frames, span + 1) - 1)
        return sorted({first + round(span * number / gaps) for number in range(min(frames, span + 1))})
    examples = sorted({first, first + (span + 1) // 4, first + (span + 1) // 2, last} & set(range(first, last + 1)))
    expected = f"expected whole numbers from {first} to {last}, such as {', '.join(map(str, examples))}"
    wrong = [word for word in words if not re.fullmatch(r"\d{1,9}", word, re.ASCII) or not first <= int(word) <= last]
    if wrong:
        raise ExplainError(f"{field} has '{wrong[0]}'; {expected}")
    found = sorted({int(word) for word in words})
    if len(found) > MOST_FRAMES:
        raise ExplainError(f"{field} lists {len(found)} numbers; expected at most {MOST_FRAMES}")
    return found
