"""Horizontal bars: amounts side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import PIL.Image
import PIL.ImageDraw

from nodes.drawing.card import paper
from nodes.drawing.lettering import fitted, line_height, text_width, write
from nodes.drawing.style import GAP, LINE, MUTED, SERIES, SMALL, STRIPE

_BAR_HEIGHT: Final = 20


@dataclass(frozen=True)
class Bar:
    """A label, an amount of 0 or more, and its text."""

    label: str
    amount: float
    text: str


@dataclass(frozen=True)
class Bars:
    """Bars from 0 to ``maximum``, or to the largest amount, each under its label and its text."""

    bars: Sequence[Bar]
    maximum: float | None = None

    def render(self, width: int) -> PIL.Image.Image:
        """Draw the bars below each other."""
        step = line_height(SMALL) + _BAR_HEIGHT + GAP
        largest = self.maximum or max((bar.amount for bar in self.bars), default=0) or 1
        picture = paper(width, step * len(self.bars) - GAP)
        pen = PIL.ImageDraw.Draw(picture)
        for number, bar in enumerate(self.bars):
            top = number * step
            room = width - text_width(bar.text, SMALL) - GAP
            write(picture, (0, top), fitted(bar.label, room, SMALL), SMALL)
            write(picture, (width, top), bar.text, SMALL, MUTED, anchor="ra")
            top += line_height(SMALL)
            pen.rectangle((0, top, width - 1, top + _BAR_HEIGHT - 1), fill=STRIPE, outline=LINE)
            filled = round(width * min(1.0, max(0.0, bar.amount / largest)))
            if filled:
                pen.rectangle((0, top, filled - 1, top + _BAR_HEIGHT - 1), fill=SERIES[0])
        return picture
