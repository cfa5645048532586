"""Draws the labelled grid of a sweep from the files that it saved.

The first axis goes from left to right, the second from top to bottom, and the third makes blocks below each other. A
sweep with one axis is broken into rows of about equal length, with a label above each picture.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import PIL.Image
import PIL.ImageDraw

from graph.context import warn
from graph.errors import InputFileError, SumiError
from graph.folders import Folders
from graph.results import SavedFile, file_in
from nodes.drawing.lettering import fitted, line_height, text_width, wrapped, write
from nodes.drawing.style import INK, LINE, MUTED, PAPER, STRIPE
from nodes.pictures.loading import first_frame

log = logging.getLogger(__name__)

MOST_PIXELS: Final = 48_000_000
"""Limit on a grid's pixels. Browsers and Pillow open such a picture without complaint."""
LONGEST_SIDE: Final = 16_384
_LONGEST_ROW: Final = 6
"""Number of pictures from which a sweep with one axis takes several rows."""
_NARROWEST: Final = 160
"""Least width of a column in pixels, so that labels can be read; smaller pictures are centred in it."""
_MOST_LINES: Final = 3


class GridError(SumiError):
    """The description of a grid is not what :mod:`graph.sweep.grid` writes."""


@dataclass(frozen=True)
class Axis:
    """The values along one direction of the grid."""

    title: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """``cells`` hold the files of each combination, the last axis fastest; a cell may have several files, or none."""

    axes: tuple[Axis, ...]
    cells: tuple[tuple[SavedFile, ...], ...]

    def files(self) -> list[SavedFile]:
        """Return all files, in order."""
        return [file for cell in self.cells for file in cell]


def read_grid(text: str) -> Grid:
    """Read a grid's description. Raises GridError."""
    try:
        data = json.loads(text)
        axes = tuple(Axis(str(axis["title"]), tuple(map(str, axis["labels"]))) for axis in data["axes"])
        cells = tuple(tuple(_file(entry) for entry in cell) for cell in data["cells"])
    except (ValueError, KeyError, TypeError) as error:
        raise GridError(f"the description of the grid cannot be read: {error}; a sweep writes it") from error
    if not 1 <= len(axes) <= 3 or len(cells) != math.prod(len(axis.labels) for axis in axes):
        raise GridError(f"the grid has {len(cells)} cells for {[len(axis.labels) for axis in axes]} labels")
    return Grid(axes, cells)


def _file(entry: Any) -> SavedFile:
    file = file_in(entry)
    if file is None:
        raise ValueError(f"{entry!r} does not name a file")
    return file


def prefix_beside(file: SavedFile) -> str:
    """Return the prefix of a grid that stands beside ``file``: for ``sub/ComfyUI_00001_.png``, ``sub/ComfyUI_grid``."""
    stem = re.sub(r"_\d+_?$", "", file.filename.rsplit(".", 1)[0]) or "sweep"
    return f"{file.subfolder}/{stem}_grid" if file.subfolder else f"{stem}_grid"


def draw(grid: Grid, folders: Folders, progress: Callable[[int, int], None]) -> PIL.Image.Image | None:
    """Return the picture of the grid, or None if none of its files can be shown.

    A file that is missing or not a picture leaves its cell empty, with a warning. Large grids are scaled down to
    ``MOST_PIXELS``. ``progress`` is called with the number of files read and their total.
    """
    count = len(grid.files())
    sizes = [_size(file, folders) for file in grid.files()]
    known = [size for size in sizes if size is not None]
    if not known:
        return None
    most = max(len(cell) for cell in grid.cells)
    layout = _Layout.of(grid.axes, (max(w for w, _ in known), max(h for _, h in known)), most)
    picture = PIL.Image.new("RGB", layout.size, PAPER)
    layout.write_labels(picture)
    done = 0
    for cell, place in zip(grid.cells, layout.places(), strict=True):
        frames = []
        for file in cell:
            done += 1
            frames.append(_read(file, folders))
            progress(done, count)
        layout.paste(picture, place, frames)
    return picture


def _size(file: SavedFile, folders: Folders) -> tuple[int, int] | None:
    try:
        with PIL.Image.open(folders.find(file.folder, file.relative)) as opened:
            return opened.size
    except (InputFileError, OSError, ValueError, PIL.Image.DecompressionBombError):
        return None


def _read(file: SavedFile, folders: Folders) -> PIL.Image.Image | None:
    try:
        return first_frame(folders.find(file.folder, file.relative))
    except InputFileError as error:
        warn(log, f"The grid lacks {file.filename}: {error}")
        return None


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, in pixels.

    ``inner`` is the size of one picture, ``cell`` that of a cell, whose first ``label`` rows of pixels hold its label.
    """

    axes: tuple[Axis, ...]
    columns: int
    rows: int
    blocks: int
    inner: tuple[int, int]
    across: int
    cell: tuple[int, int]
    label: int
    font: int
    left: int
    top: int
    heading: int

    @classmethod
    def of(cls, axes: tuple[Axis, ...], picture: tuple[int, int], files: int) -> _Layout:
        """Lay out cells for ``files`` pictures of the size ``picture``, scaled down as far as the limits require."""
        columns, rows, blocks = _shape(axes)
        across = math.ceil(math.sqrt(files))
        down = math.ceil(files / across)
        scale = 1.0
        while True:
            inner = (max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale)))
            cell = (max(_NARROWEST, inner[0] * across), inner[1] * down)
            font = max(16, min(64, cell[0] // 16))
            step = line_height(font)
            single = len(axes) == 1
            left = 0 if single else min(cell[0], _widest([axes[1].title, *axes[1].labels], font)) + font
            top = step if single else step * (1 + _lines(axes[0].labels, cell[0], font)) + font // 2
            heading = step + font // 2 if len(axes) == 3 else 0
            label = step * _lines(axes[0].labels, cell[0], font) if single else 0
            cell = (cell[0], cell[1] + label)
            layout = cls(axes, columns, rows, blocks, inner, across, cell, label, font, left, top, heading)
            width, height = layout.size
            factor = min(LONGEST_SIDE / max(width, height), math.sqrt(MOST_PIXELS / (width * height)))
            if factor >= 1 or max(inner) <= 16:
                return layout
            scale *= min(factor, 0.98)

    @property
    def gap(self) -> int:
        return max(4, self.font // 3)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole grid."""
        width = self.left + self.columns * (self.cell[0] + self.gap) + self.gap
        return width, self.blocks * self._block + self.gap

    @property
    def _block(self) -> int:
        return self.heading + self.top + self.rows * (self.cell[1] + self.gap) + self.gap

    def _corner(self, column: int, row: int, block: int) -> tuple[int, int]:
        x = self.left + self.gap + column * (self.cell[0] + self.gap)
        y = block * self._block + self.heading + self.top + self.gap + row * (self.cell[1] + self.gap)
        return x, y

    def places(self) -> Iterator[tuple[int, int]]:
        """Yield the corner of each cell, in the order of the combinations."""
        if len(self.axes) == 1:
            for index in range(len(self.axes[0].labels)):
                yield self._corner(index % self.columns, index // self.columns, 0)
            return
        for column in range(self.columns):
            for row in range(self.rows):
                for block in range(self.blocks):
                    yield self._corner(column, row, block)

    def write_labels(self, picture: PIL.Image.Image) -> None:
        """Write the titles and labels of all axes."""
        first = self.axes[0]
        step = line_height(self.font)
        if len(self.axes) == 1:
            write(picture, (self.gap, self.gap), fitted(first.title, picture.width, self.font), self.font, MUTED)
            for label, place in zip(first.labels, self.places(), strict=True):
                self._column_label(picture, label, place, place[1])
            return
        for block in range(self.blocks):
            start = block * self._block + self.gap
            if self.heading:
                third = self.axes[2]
                text = fitted(f"{third.title}: {third.labels[block]}", picture.width - 2 * self.gap, self.font)
                write(picture, (self.gap, start), text, self.font, INK, bold=True)
                start += self.heading
            across = picture.width - self.left
            middle = self.left + across // 2
            write(picture, (middle, start), fitted(first.title, across, self.font), self.font, MUTED, anchor="ma")
            for column, label in enumerate(first.labels):
                self._column_label(picture, label, self._corner(column, 0, block), start + step)
            second = self.axes[1]
            room = self.left - self.font // 2
            write(picture, (self.gap, start + step), fitted(second.title, room, self.font), self.font, MUTED)
            for row, label in enumerate(second.labels):
                _, y = self._corner(0, row, block)
                lines = _shortened(label, room, self.font, max(1, self.cell[1] // step))
                y += (self.cell[1] - len(lines) * step) // 2
                for number, line in enumerate(lines):
                    write(picture, (self.gap, y + number * step), line, self.font, INK)

    def _column_label(self, picture: PIL.Image.Image, label: str, place: tuple[int, int], y: int) -> None:
        middle = place[0] + self.cell[0] // 2
        for number, line in enumerate(_shortened(label, self.cell[0], self.font, _MOST_LINES)):
            write(picture, (middle, y + number * line_height(self.font)), line, self.font, INK, anchor="ma")

    def paste(self, picture: PIL.Image.Image, place: tuple[int, int], frames: Sequence[PIL.Image.Image | None]) -> None:
        """Paste the pictures of one cell; a cell without pictures shows a cross."""
        bottom = place[1] + self.cell[1]
        top = place[1] + self.label
        width = self.inner[0] * self.across
        left = place[0] + (self.cell[0] - width) // 2
        if not any(frames):
            box = (left, top, left + width - 1, bottom - 1)
            pen = PIL.ImageDraw.Draw(picture)
            pen.rectangle(box, fill=STRIPE, outline=LINE)
            pen.line(box, fill=LINE)
            pen.line((box[0], box[3], box[2], box[1]), fill=LINE)
        for index, frame in enumerate(frames):
            if frame is None:
                continue
            shown = frame.copy()
            shown.thumbnail(self.inner, PIL.Image.Resampling.LANCZOS)
            x = left + (index % self.across) * self.inner[0] + (self.inner[0] - shown.width) // 2
            y = top + (index // self.across) * self.inner[1] + (self.inner[1] - shown.height) // 2
            picture.paste(shown, (x, y))


def _shape(axes: Sequence[Axis]) -> tuple[int, int, int]:
    """Return the numbers of columns, rows and blocks."""
    counts = [len(axis.labels) for axis in axes]
    if len(counts) == 1:
        columns = counts[0] if counts[0] <= _LONGEST_ROW else math.ceil(math.sqrt(counts[0]))
        return columns, math.ceil(counts[0] / columns), 1
    return counts[0], counts[1], counts[2] if len(counts) == 3 else 1


def _widest(texts: Sequence[str], size: int) -> int:
    return max(text_width(text, size) for text in texts)


def _lines(labels: Sequence[str], width: int, size: int) -> int:
    """Return how many lines the longest label takes, at most ``_MOST_LINES``."""
    return max(len(_shortened(label, width, size, _MOST_LINES)) for label in labels)


def _shortened(text: str, width: int, size: int, most: int) -> list[str]:
    """Break ``text`` into lines; what does not fit into ``most`` lines ends in an ellipsis."""
    lines = wrapped(text, width, size)
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], fitted(" ".join(lines[most - 1 :]), width, size)]


def path_of(file: SavedFile, folders: Folders) -> Path:
    """Return the path of a file that an output node has shown, which may be missing."""
    return folders.place(file.folder) / file.relative
