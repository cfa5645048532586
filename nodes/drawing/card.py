"""A card: a title and blocks below each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import PIL.Image
import PIL.ImageDraw
import torch

from nodes.drawing.lettering import line_height, wrapped, write
from nodes.drawing.style import BODY, GAP, INK, LINE, MARGIN, MUTED, PAPER, SMALL, TITLE, WIDTH
from nodes.pictures.pixels import from_pillow


class Block(Protocol):
    """A part of a card."""

    def render(self, width: int) -> PIL.Image.Image:
        """Draw the block on the card's paper, ``width`` pixels wide and as high as it needs to be."""


@dataclass(frozen=True)
class Text:
    """A paragraph, broken into lines."""

    text: str
    size: int = BODY
    colour: str = INK
    bold: bool = False

    def render(self, width: int) -> PIL.Image.Image:
        """Draw the lines."""
        lines, step = wrapped(self.text, width, self.size), line_height(self.size)
        picture = paper(width, step * len(lines))
        for number, line in enumerate(lines):
            write(picture, (0, number * step), line, self.size, self.colour, bold=self.bold)
        return picture


@dataclass(frozen=True)
class Columns:
    """Blocks beside each other, equally wide."""

    blocks: Sequence[Block]

    def render(self, width: int) -> PIL.Image.Image:
        """Draw the blocks, aligned at the top."""
        each = (width - MARGIN * (len(self.blocks) - 1)) // len(self.blocks)
        parts = [block.render(each) for block in self.blocks]
        picture = paper(width, max(part.height for part in parts))
        for number, part in enumerate(parts):
            picture.paste(part, (number * (each + MARGIN), 0))
        return picture


def caption(text: str) -> Text:
    """Return a paragraph of small, muted text."""
    return Text(text, SMALL, MUTED)


def paper(width: int, height: int) -> PIL.Image.Image:
    """Return an empty part of a card."""
    return PIL.Image.new("RGB", (width, max(1, height)), PAPER)


def stacked(pictures: Sequence[PIL.Image.Image], width: int, gap: int = GAP) -> PIL.Image.Image:
    """Return the pictures below each other, aligned at the left."""
    whole = paper(width, sum(each.height for each in pictures) + gap * max(0, len(pictures) - 1))
    top = 0
    for each in pictures:
        whole.paste(each, (0, top))
        top += each.height + gap
    return whole


def draw_card(title: str, blocks: Sequence[Block], width: int = WIDTH) -> PIL.Image.Image:
    """Draw ``blocks`` under ``title`` on a card that is ``width`` pixels wide."""
    inner = width - 2 * MARGIN
    parts = [Text(title, TITLE, bold=True).render(inner), *(block.render(inner) for block in blocks)]
    content = stacked(parts, inner, gap=MARGIN)
    card = paper(width, content.height + 2 * MARGIN)
    card.paste(content, (MARGIN, MARGIN))
    PIL.ImageDraw.Draw(card).rectangle((0, 0, card.width - 1, card.height - 1), outline=LINE, width=2)
    return card


def card(title: str, *blocks: Block) -> torch.Tensor:
    """Draw a card and return it as an IMAGE [1, H, W, 3]."""
    return from_pillow(draw_card(title, blocks)).unsqueeze(0)
