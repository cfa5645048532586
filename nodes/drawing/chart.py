"""Line charts with axes, a grid and a legend."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import PIL.Image
import PIL.ImageDraw

from nodes.drawing.card import paper
from nodes.drawing.lettering import fitted, line_height, number_text, text_width, write
from nodes.drawing.style import FAINT, GAP, INK, LINE, MUTED, SERIES, SMALL

_TICKS: Final = 5
_LINE_WIDTH: Final = 5
_FAINT_WIDTH: Final = 2
_DASH: Final = (24, 14)
"""Length of a dash and of the gap after it, in pixels."""
_SAMPLE: Final = 48
"""Length of a line's sample in the legend, in pixels."""

_Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Series:
    """One line: its name in the legend, and its points. A point that is not finite interrupts the line.

    A ``faint`` line is thin and grey, for values behind another line.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    faint: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines over common axes.

    With ``log_y`` the y axis is logarithmic: values of 0 and below are left out. ``markers`` draws a dot at each
    point. ``x_ticks`` and ``y_ticks`` replace the automatic positions of labels.
    """

    series: Sequence[Series]
    x_label: str
    y_label: str
    log_y: bool = False
    markers: bool = False
    height: int = 480
    x_ticks: Sequence[float] | None = None
    y_ticks: Sequence[float] | None = None

    def render(self, width: int) -> PIL.Image.Image:
        """Draw the label of the y axis, the plot, the label of the x axis, and the legend if there are two lines."""
        xs = _Axis.over([x for each in self.series for x in each.x], False, self.x_ticks)
        ys = _Axis.over([y for each in self.series for y in each.y], self.log_y, self.y_ticks)
        step = line_height(SMALL)
        legend = _legend_rows([each.name for each in self.series], width) if len(self.series) > 1 else []
        picture = paper(width, self.height + (3 + len(legend)) * step + 2 * GAP)
        left = max((text_width(label, SMALL) for _, label in ys.ticks), default=0) + GAP
        right = width - max(GAP, text_width(xs.ticks[-1][1], SMALL) // 2 if xs.ticks else 0)
        box = (left, step + GAP, right, step + self.height)
        write(picture, (0, 0), self.y_label, SMALL, MUTED)
        self._draw_grid(picture, xs, ys, box)
        strokes = _strokes(self.series)
        for each, stroke in zip(self.series, strokes, strict=True):
            self._draw_line(picture, each, stroke, xs, ys, box)
        write(picture, ((left + right) / 2, box[3] + step + 4), self.x_label, SMALL, MUTED, anchor="ma")
        top = box[3] + 2 * step + GAP
        for row in legend:
            for number, x in row:
                _draw_sample(picture, (x, top + step / 2), strokes[number])
                write(picture, (x + _SAMPLE + GAP, top + step / 2), self.series[number].name, SMALL, anchor="lm")
            top += step
        return picture

    def _draw_grid(self, picture: PIL.Image.Image, xs: _Axis, ys: _Axis, box: _Box) -> None:
        left, top, right, bottom = box
        pen = PIL.ImageDraw.Draw(picture)
        for value, label in ys.ticks:
            y = bottom - ys.place(value) * (bottom - top)
            pen.line([(left, y), (right, y)], fill=LINE, width=2)
            write(picture, (left - GAP, y), label, SMALL, MUTED, anchor="rm")
        for value, label in xs.ticks:
            x = left + xs.place(value) * (right - left)
            pen.line([(x, bottom), (x, bottom + 8)], fill=INK, width=2)
            write(picture, (x, bottom + 10), label, SMALL, MUTED, anchor="ma")
        pen.line([(left, top), (left, bottom), (right, bottom)], fill=INK, width=2)

    def _draw_line(
        self,
        picture: PIL.Image.Image,
        series: Series,
        stroke: _Stroke,
        xs: _Axis,
        ys: _Axis,
        box: _Box,
    ) -> None:
        left, top, right, bottom = box
        pen = PIL.ImageDraw.Draw(picture)
        runs: list[list[tuple[float, float]]] = [[]]
        for x, y in zip(series.x, series.y, strict=True):
            if math.isfinite(x) and math.isfinite(y) and (y > 0 or not self.log_y):
                place = (left + xs.place(x) * (right - left), bottom - ys.place(y) * (bottom - top))
                runs[-1].append(place)
            elif runs[-1]:
                runs.append([])
        for run in runs:
            _draw_path(pen, run, stroke)
            if self.markers or len(run) == 1:
                for x, y in run:
                    pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=stroke.colour)


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    log: bool
    ticks: Sequence[tuple[float, str]]

    @classmethod
    def over(cls, values: Sequence[float], log: bool, ticks: Sequence[float] | None) -> _Axis:
        """Return an axis that holds all finite values, and ``ticks`` or round numbers on it."""
        shown = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        low, high = (min(shown), max(shown)) if shown else (1.0, 10.0)
        if ticks is not None:
            low, high = min(low, *ticks), max(high, *ticks)
        if log:
            low, high = (low, high) if high > low else (low / 2, high * 2)
            placed = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
            if len(placed) > 8:
                placed = placed[:: math.ceil(len(placed) / 8)]
            low, high = min(low, placed[0]), max(high, placed[-1])
        else:
            low, high = (low, high) if high - low > 1e-12 * max(1.0, abs(high)) else (low - 0.5, high + 0.5)
            placed = _round_numbers(low, high, whole=all(float(value).is_integer() for value in shown))
            if ticks is None:
                low, high = min(low, placed[0]), max(high, placed[-1])
        chosen = placed if ticks is None else ticks
        return cls(low, high, log, [(value, _number(value)) for value in chosen])

    def place(self, value: float) -> float:
        """Return the place of ``value`` between the ends of the axis, 0 to 1."""
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


def _round_numbers(low: float, high: float, whole: bool = False) -> list[float]:
    """Return about five multiples of 1, 2, 2.5 or 5 times a power of ten that enclose ``low`` and ``high``.

    ``whole``: only whole numbers, such as steps.
    """
    rough = (high - low) / (_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    steps = [factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999]
    step = next((each for each in steps if each.is_integer()), 1.0) if whole else steps[0]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _number(value: float) -> str:
    if value and not 1e-4 <= abs(value) < 1e5:
        power = math.floor(math.log10(abs(value)) + 1e-9)
        factor = value / 10.0**power
        digits = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"10{digits}" if math.isclose(factor, 1) else f"{number_text(factor, '.3g')}×10{digits}"
    return number_text(value, ".6g")


@dataclass(frozen=True)
class _Stroke:
    colour: str
    width: int
    dashed: bool


def _strokes(series: Sequence[Series]) -> list[_Stroke]:
    """Return how each line is drawn: every second strong one dashed, so that lines differ without colours, too."""
    strokes, strong = [], 0
    for each in series:
        if each.faint:
            strokes.append(_Stroke(FAINT, _FAINT_WIDTH, dashed=False))
        else:
            strokes.append(_Stroke(SERIES[strong % len(SERIES)], _LINE_WIDTH, dashed=strong % 2 == 1))
            strong += 1
    return strokes


def _draw_path(pen: PIL.ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], stroke: _Stroke) -> None:
    if len(points) < 2:
        return
    if not stroke.dashed:
        pen.line(list(points), fill=stroke.colour, width=stroke.width, joint="curve")
        return
    for dash in _dashes(points):
        pen.line(dash, fill=stroke.colour, width=stroke.width)


def _dashes(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Cut a path into dashes."""
    on, left = True, float(_DASH[0])
    dashes: list[list[tuple[float, float]]] = [[points[0]]]
    for start, end in itertools.pairwise(points):
        length, done = math.dist(start, end), 0.0
        while length - done > left:
            done += left
            share = done / length
            place = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
            if on:
                dashes[-1].append(place)
            else:
                dashes.append([place])
            on, left = not on, float(_DASH[1] if on else _DASH[0])
        left -= length - done
        if on:
            dashes[-1].append(end)
    return [dash for dash in dashes if len(dash) > 1]


def _legend_rows(names: Sequence[str], width: int) -> list[list[tuple[int, int]]]:
    """Return rows of (number of the series, x) that fit into ``width``."""
    rows: list[list[tuple[int, int]]] = [[]]
    x = 0
    for number, name in enumerate(names):
        needed = _SAMPLE + GAP + text_width(fitted(name, width - _SAMPLE - GAP, SMALL), SMALL)
        if rows[-1] and x + needed > width:
            rows.append([])
            x = 0
        rows[-1].append((number, x))
        x += needed + 3 * GAP
    return rows


def _draw_sample(picture: PIL.Image.Image, place: tuple[float, float], stroke: _Stroke) -> None:
    x, y = place
    _draw_path(PIL.ImageDraw.Draw(picture), [(x, y), (x + _SAMPLE, y)], stroke)
