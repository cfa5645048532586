"""Matches, cuts and changes text, and converts any value to text."""

from __future__ import annotations

import json
import re
from typing import Any

from graph.errors import SumiError


class PatternError(SumiError):
    """A regular expression or its replacement is invalid."""


def as_text(value: Any) -> str:
    """Convert any value to readable text: strings unchanged, data as JSON, other values with ``str``."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (int, float, bool)):
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)


def compiled(pattern: str, ignore_case: bool, multiline: bool, dotall: bool) -> re.Pattern[str]:
    """Compile ``pattern``. Raises PatternError, with the position, if it is not a regular expression."""
    flags = re.IGNORECASE * ignore_case | re.MULTILINE * multiline | re.DOTALL * dotall
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        raise PatternError(f"{pattern!r} is not a regular expression: {error}") from error


def replace(pattern: re.Pattern[str], text: str, replacement: str, count: int) -> str:
    """Replace ``count`` matches (0: all); ``\\1`` stands for a group. Raises PatternError."""
    try:
        return pattern.sub(replacement, text, count=count)
    except (re.error, IndexError) as error:
        raise PatternError(f"{replacement!r} cannot replace matches of {pattern.pattern!r}: {error}") from error


def extract(pattern: re.Pattern[str], text: str, mode: str, group: int) -> str:
    """Return the first match or all matches, complete or one group; several are on separate lines, none is ""."""
    matches = list(pattern.finditer(text))
    if mode.endswith(("Group", "Groups")):
        found = [match[group] or "" for match in matches if group <= pattern.groups]
    else:
        found = [match[0] for match in matches]
    return "\n".join(found if mode.startswith("All") else found[:1])
