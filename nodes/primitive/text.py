"""Text: matched, cut, changed, and any value shown as text."""

from __future__ import annotations

import json
import re
from typing import Any

from graph.errors import SumiError


class PatternError(SumiError):
    """A regular expression or its replacement that cannot be read."""


def as_text(value: Any) -> str:
    """Any value as readable text: strings as they are, data as JSON, the rest by its own name."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (int, float, bool)):
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)


def compiled(pattern: str, ignore_case: bool, multiline: bool, dotall: bool) -> re.Pattern[str]:
    """Raises PatternError, with the place, if ``pattern`` is no regular expression."""
    flags = re.IGNORECASE * ignore_case | re.MULTILINE * multiline | re.DOTALL * dotall
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        raise PatternError(f"{pattern!r} is not a regular expression: {error}") from error


def replace(pattern: re.Pattern[str], text: str, replacement: str, count: int) -> str:
    """``count`` matches, all if 0, replaced; ``\\1`` stands for a group. Raises PatternError."""
    try:
        return pattern.sub(replacement, text, count=count)
    except (re.error, IndexError) as error:
        raise PatternError(f"{replacement!r} cannot replace matches of {pattern.pattern!r}: {error}") from error


def extract(pattern: re.Pattern[str], text: str, mode: str, group: int) -> str:
    """What matches: the first or all, whole or one group; several one a line, nothing as ""."""
    matches = list(pattern.finditer(text))
    if mode.endswith(("Group", "Groups")):
        found = [match[group] or "" for match in matches if group <= pattern.groups]
    else:
        found = [match[0] for match in matches]
    return "\n".join(found if mode.startswith("All") else found[:1])
