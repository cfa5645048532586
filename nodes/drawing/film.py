"""Film strips: rows of pictures with labels, broken into bands so that every picture stays large enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import PIL.Image
import PIL.ImageDraw
import torch

from nodes.drawing.card import paper, stacked
from nodes.drawing.lettering import fitted, line_height, wrapped, write
from nodes.drawing.style import GAP, INK, LINE, MUTED, SMALL
from nodes.pictures.pixels import to_pillow

MOST_COLUMNS: Final = 5
"""Pictures side by side: each is then at least 50 pixels wide on a node."""
LEAST_COLUMNS: Final = 3
"""Columns for which a strip has room at least, so that one picture does not fill the card."""
_TALLEST: Final = 1.5
"""Greatest height of a picture, as a multiple of its column's width."""
_CAPTION_LINES: Final = 3
"""Most lines of a caption."""


@dataclass(frozen=True)
class Row:
    """One row of a film strip: a name above it, and one picture [H, W, 3], 0..1, for each label of the strip.

    ``captions`` are written below the pictures instead of the strip's labels.
    """

    name: str
    pictures: Sequence[torch.Tensor]
    captions: Sequence[str] = ()


@dataclass(frozen=True)
class Film:
    """Rows of pictures under common labels, one for each column.

    With more than ``columns`` pictures in a row, the strip is broken into bands of equal length. With fewer than
    ``least_columns``, it leaves room at the right. A picture that is much higher than wide is narrower than its column.
    Small pictures, such as latents, are enlarged without smoothing.
    """

    labels: Sequence[str]
    rows: Sequence[Row]
    columns: int = MOST_COLUMNS
    smooth: bool = False
    least_columns: int = LEAST_COLUMNS

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.pictures) != len(self.labels):
                raise ValueError(f"row '{row.name}' has {len(row.pictures)} pictures for {len(self.labels)} labels")

    def render(self, width: int) -> PIL.Image.Image:
        """Draw the bands below each other."""
        bands = max(1, -(-len(self.labels) // self.columns))
        across = max(1, -(-len(self.labels) // bands))
        room = max(across, self.least_columns)
        cell = (width - GAP * (room - 1)) // room
        parts = [self._band(start, across, cell, width) for start in range(0, len(self.labels), across)]
        return stacked(parts, width, gap=2 * GAP)

    def _band(self, start: int, across: int, cell: int, width: int) -> PIL.Image.Image:
        chosen = slice(start, start + across)
        parts = [part for row in self.rows for part in self._row(row, chosen, cell, width)]
        labels = paper(width, line_height(SMALL))
        for number, label in enumerate(self.labels[chosen]):
            middle = number * (cell + GAP) + cell / 2
            write(labels, (middle, 0), fitted(label, cell, SMALL), SMALL, INK, anchor="ma")
        return stacked([labels, *parts], width, gap=4)

    def _row(self, row: Row, chosen: slice, cell: int, width: int) -> list[PIL.Image.Image]:
        parts = []
        if row.name:
            parts.append(paper(width, line_height(SMALL)))
            write(parts[0], (0, 0), fitted(row.name, width, SMALL), SMALL, MUTED)
        shown = [framed(picture, cell, self.smooth) for picture in row.pictures[chosen]]
        line = paper(width, max(each.height for each in shown))
        for number, each in enumerate(shown):
            line.paste(each, (number * (cell + GAP) + (cell - each.width) // 2, 0))
        parts.append(line)
        if row.captions:
            captions = [_caption_lines(text, cell) for text in row.captions[chosen]]
            below = paper(width, max(map(len, captions)) * line_height(SMALL))
            for number, lines in enumerate(captions):
                middle = number * (cell + GAP) + cell / 2
                for at, text in enumerate(lines):
                    write(below, (middle, at * line_height(SMALL)), text, SMALL, MUTED, anchor="ma")
            parts.append(below)
        return parts


def _caption_lines(text: str, width: int) -> list[str]:
    """Break a caption into lines; the last of _CAPTION_LINES ends in an ellipsis if there are more."""
    lines = wrapped(text, width, SMALL)
    if len(lines) <= _CAPTION_LINES:
        return lines
    rest = " ".join(lines[_CAPTION_LINES - 1 :])
    return [*lines[: _CAPTION_LINES - 1], fitted(rest, width, SMALL)]


def framed(picture: torch.Tensor, width: int, smooth: bool = False) -> PIL.Image.Image:
    """Return ``picture`` [H, W, 3], 0..1, scaled to ``width`` pixels, with a thin frame.

    A picture that would be higher than 1.5 times ``width`` is scaled to that height. It is enlarged without smoothing
    unless ``smooth`` is set.
    """
    image = to_pillow(picture[..., :3]).convert("RGB")
    scale = min(width / image.width, _TALLEST * width / image.height)
    width, height = (max(1, round(side * scale)) for side in image.size)
    enlarged = width > image.width and not smooth
    method = PIL.Image.Resampling.NEAREST if enlarged else PIL.Image.Resampling.LANCZOS
    image = image.resize((width, height), method)
    PIL.ImageDraw.Draw(image).rectangle((0, 0, width - 1, height - 1), outline=LINE)
    return image
