"""Matrices: a coloured cell for each pair of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import PIL.Image
import torch

from nodes.drawing.card import paper, stacked
from nodes.drawing.colours import SEQUENTIAL, Anchors, coloured
from nodes.drawing.lettering import fitted, line_height, number_text, text_width, upright, write
from nodes.drawing.style import GAP, INK, SMALL, contrast
from nodes.pictures.pixels import to_pillow

_LABELS: Final = 0.3
"""Share of the width that row labels take at most, unless the columns leave more."""
_CELL_HEIGHT: Final = line_height(SMALL) + 4
_WIDEST_CELL: Final = 4 * _CELL_HEIGHT
_LONGEST_COLUMN_LABEL: Final = 220


@dataclass(frozen=True)
class Matrix:
    """``values`` [rows, columns] as colours from ``low`` to ``high``, with the number in each cell that is wide enough.

    A matrix with more columns than fit continues below. Column labels are upright unless all fit their columns.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: torch.Tensor
    low: float = 0.0
    high: float = 1.0
    anchors: Anchors = SEQUENTIAL
    format: str = ".2f"

    def __post_init__(self) -> None:
        if tuple(self.values.shape) != (len(self.rows), len(self.columns)):
            raise ValueError(
                f"values of shape {list(self.values.shape)} for {len(self.rows)} rows and {len(self.columns)} columns"
            )

    def render(self, width: int) -> PIL.Image.Image:
        """Draw the matrix, in bands of columns if it is too wide."""
        room = max(int(width * _LABELS), width - GAP - len(self.columns) * _WIDEST_CELL)
        left = min(room, max((text_width(row, SMALL) for row in self.rows), default=0)) + GAP
        most = max(1, (width - left) // _CELL_HEIGHT)
        bands = -(-max(1, len(self.columns)) // most)
        across = -(-max(1, len(self.columns)) // bands)
        cell = min((width - left) // across, _WIDEST_CELL)
        return stacked(
            [
                self._band(slice(start, start + across), left, cell, width)
                for start in range(0, len(self.columns), across)
            ],
            width,
            gap=2 * GAP,
        )

    def _band(self, chosen: slice, left: int, cell: int, width: int) -> PIL.Image.Image:
        labels = [_column_label(text, self._has_level_labels(cell)) for text in self.columns[chosen]]
        top = max(label.height for label in labels) + 6
        values = self.values[:, chosen].detach().float().cpu()
        picture = paper(width, top + _CELL_HEIGHT * len(self.rows))
        for number, label in enumerate(labels):
            picture.paste(label, (left + number * cell + (cell - label.width) // 2, top - 6 - label.height))
        colours = coloured((values - self.low) / max(self.high - self.low, 1e-12), self.anchors)
        cells = to_pillow(colours)
        picture.paste(
            cells.resize((cell * cells.width, _CELL_HEIGHT * cells.height), PIL.Image.Resampling.NEAREST), (left, top)
        )
        for at, name in enumerate(self.rows):
            middle = top + at * _CELL_HEIGHT + _CELL_HEIGHT / 2
            write(picture, (left - GAP, middle), fitted(name, left - GAP, SMALL), SMALL, INK, anchor="rm")
            for number, value in enumerate(values[at].tolist()):
                text = number_text(value, self.format)
                if text_width(text, SMALL) + 8 <= cell:
                    ground = "#" + bytes((255 * colours[at, number]).byte().tolist()).hex()
                    ink = max(("#000000", "#ffffff"), key=lambda colour: contrast(colour, ground))
                    write(picture, (left + number * cell + cell / 2, middle), text, SMALL, ink, anchor="mm")
        return picture

    def _has_level_labels(self, cell: int) -> bool:
        return all(text_width(text, SMALL) + 8 <= cell for text in self.columns)


def _column_label(text: str, level: bool) -> PIL.Image.Image:
    """Return a picture of a column's label, ``level`` or upright."""
    if not level:
        return upright(fitted(text, _LONGEST_COLUMN_LABEL, SMALL), SMALL)
    label = paper(text_width(text, SMALL) + 2, line_height(SMALL))
    write(label, (1, 0), text, SMALL, INK)
    return label
