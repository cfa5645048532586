"""Tables: as Markdown, and as a part of a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import PIL.Image
import PIL.ImageDraw

from nodes.drawing.card import paper
from nodes.drawing.lettering import fitted, line_height, text_width, write
from nodes.drawing.style import GAP, INK, LINE, MUTED, SMALL, STRIPE

MOST_ROWS: Final = 40
"""Rows that a card shows; the Markdown has all."""
_PADDING: Final = 6
_NARROWEST: Final = 60
"""Width in pixels below which no column is shortened."""


@dataclass(frozen=True)
class Table:
    """Rows of texts under headers. Columns of numbers are aligned at the right."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headers):
                raise ValueError(f"a row of {len(row)} cells under {len(self.headers)} headers: {list(row)}")

    def markdown(self, most: int | None = None) -> str:
        """Return the table in GitHub's Markdown, with ``|`` and line breaks escaped.

        ``most`` limits the rows; a last row then says how many are left out.
        """
        lines = [self.headers, ["---:" if self._is_numeric(at) else "---" for at in range(len(self.headers))]]
        cells = [lines[0], *self.rows[:most]]
        if most is not None and len(self.rows) > most:
            cells.append([_left_out(len(self.rows) - most), *[""] * (len(self.headers) - 1)])
        written = [_markdown_row([_escaped(cell) for cell in row]) for row in cells]
        return "\n".join([written[0], _markdown_row(lines[1]), *written[1:]])

    def render(self, width: int) -> PIL.Image.Image:
        """Draw at most MOST_ROWS rows; a last line says how many are left out. Long cells end in an ellipsis."""
        shown = self.rows[:MOST_ROWS]
        widths = self._widths(shown, width)
        step = line_height(SMALL) + 2 * _PADDING
        left_out = len(self.rows) - len(shown)
        picture = paper(width, step * (1 + len(shown) + bool(left_out)))
        pen = PIL.ImageDraw.Draw(picture)
        self._draw_row(picture, self.headers, 0, widths, MUTED)
        pen.line([(0, step - 1), (width, step - 1)], fill=INK, width=2)
        for number, row in enumerate(shown, start=1):
            if number % 2 == 0:
                pen.rectangle((0, number * step, width, (number + 1) * step - 1), fill=STRIPE)
            self._draw_row(picture, row, number * step, widths, INK)
        pen.line([(0, picture.height - 1), (width, picture.height - 1)], fill=LINE, width=2)
        if left_out:
            write(picture, (0, (1 + len(shown)) * step + _PADDING), _left_out(left_out), SMALL, MUTED)
        return picture

    def _draw_row(
        self, picture: PIL.Image.Image, row: Sequence[str], top: int, widths: Sequence[int], colour: str
    ) -> None:
        left = 0
        for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
            text = fitted(_one_line(cell), width, SMALL)
            if self._is_numeric(at):
                write(picture, (left + width, top + _PADDING), text, SMALL, colour, anchor="ra")
            else:
                write(picture, (left, top + _PADDING), text, SMALL, colour)
            left += width + 2 * GAP

    def _widths(self, rows: Sequence[Sequence[str]], width: int) -> list[int]:
        """Return the width of each column: its widest cell, or less for the widest columns if all do not fit."""
        columns = [[_one_line(cell) for cell in column] for column in zip(self.headers, *rows, strict=True)]
        natural = [max(text_width(cell, SMALL) for cell in column) + 1 for column in columns]
        room = width - 2 * GAP * (len(natural) - 1)
        widest = max(natural, default=0)
        while sum(min(each, widest) for each in natural) > room and widest > _NARROWEST:
            widest -= 1
        return [min(each, widest) for each in natural]

    def _is_numeric(self, at: int) -> bool:
        cells = [row[at] for row in self.rows if row[at]]
        return bool(cells) and all(_is_number(cell) for cell in cells)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").replace("−", "-").removesuffix("×").removesuffix("%").strip())
    except ValueError:
        return False
    return True


def _left_out(rows: int) -> str:
    return f"… and {rows:,} more rows in the table"


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


def _escaped(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
