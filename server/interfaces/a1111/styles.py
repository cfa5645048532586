"""Prompt styles: ``styles.csv`` in the user folder, in A1111's format (name, prompt, negative_prompt)."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from server.interfaces.a1111.fields import field_error

FILE: Final = "styles.csv"
_PLACE: Final = "{prompt}"


class Style(NamedTuple):
    """What a style adds to the prompts. ``{prompt}`` in its text is the place of the prompt."""

    name: str
    prompt: str
    negative: str


def read_styles(user: Path) -> dict[str, Style]:
    """Return the styles by name; none without a file."""
    try:
        text = (user / FILE).read_text(encoding="utf-8-sig", errors="replace")
        rows = list(csv.DictReader(text.splitlines(keepends=True), restval=""))
    except (OSError, csv.Error):
        return {}
    styles = [Style(row.get("name") or "", row.get("prompt") or "", row.get("negative_prompt") or "") for row in rows]
    return {style.name: style for style in styles if style.name}


def with_styles(prompt: str, negative: str, names: Sequence[str], styles: Mapping[str, Style]) -> tuple[str, str]:
    """Return the prompts with the styles. Raises RequestError (422) for a name that does not exist."""
    for name in names:
        if name not in styles:
            near = difflib.get_close_matches(name, styles, n=1)
            expected = f"a name in {FILE} in the user folder" + (f", such as {near[0]!r}" if near else "")
            raise field_error("styles", f"there is no style {name[:60]!r}", expected)
        prompt = _merged(prompt, styles[name].prompt)
        negative = _merged(negative, styles[name].negative)
    return prompt, negative


def _merged(text: str, style: str) -> str:
    if _PLACE in style:
        return style.replace(_PLACE, text)
    return ", ".join(part for part in (text.strip(), style.strip()) if part)
