"""Chips: short texts in boxes, in lines like the words of a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import PIL.Image
import PIL.ImageDraw

from nodes.drawing.card import paper
from nodes.drawing.lettering import fitted, line_height, text_width, write
from nodes.drawing.style import BODY, GAP, INK, LINE, MUTED, SMALL, STRIPE

_PADDING: Final = 10
_JOINED: Final = 2
"""Gap in pixels between the pieces of one word."""


@dataclass(frozen=True)
class Chip:
    """A text, a smaller text below it, and the colour of the box. ``joined``: it continues the chip before it."""

    text: str
    below: str = ""
    ground: str = STRIPE
    joined: bool = False


@dataclass(frozen=True)
class Chips:
    """Chips in lines, broken where the width ends."""

    chips: Sequence[Chip]

    def render(self, width: int) -> PIL.Image.Image:
        """Draw the lines."""
        has_second_line = any(chip.below for chip in self.chips)
        height = line_height(BODY) + (line_height(SMALL) if has_second_line else 0) + _PADDING
        places: list[tuple[int, int, int]] = []
        x = line = 0
        for number, chip in enumerate(self.chips):
            needed = max(text_width(chip.text, BODY), text_width(chip.below, SMALL)) + 2 * _PADDING
            needed = min(needed, width)
            x += 0 if not number else _JOINED if chip.joined else GAP
            if x + needed > width and x:
                x, line = 0, line + 1
            places.append((x, line, needed))
            x += needed
        picture = paper(width, (line + 1) * (height + GAP) - GAP)
        pen = PIL.ImageDraw.Draw(picture)
        for chip, (left, row, needed) in zip(self.chips, places, strict=True):
            top = row * (height + GAP)
            box = (left, top, left + needed - 1, top + height - 1)
            pen.rounded_rectangle(box, radius=8, fill=chip.ground, outline=LINE, width=2)
            middle = left + needed / 2
            inner = needed - 2 * _PADDING
            write(picture, (middle, top + 2), fitted(chip.text, inner, BODY), BODY, INK, anchor="ma")
            if chip.below:
                text = fitted(chip.below, inner, SMALL)
                write(picture, (middle, top + line_height(BODY)), text, SMALL, MUTED, anchor="ma")
        return picture
