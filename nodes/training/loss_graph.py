"""The loss of a run as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import PIL.Image
import PIL.ImageDraw

WIDTH, HEIGHT = 800, 480
_LEFT, _TOP, _RIGHT, _BOTTOM = 72, 28, 20, 48
_INK, _GRID, _RAW, _SMOOTH = "#333333", "#dddddd", "#b9cde8", "#1f5fb4"
_WINDOW: Final = 50
"""A run is smoothed over a fiftieth of its steps."""


def loss_graph(losses: Sequence[float], width: int = WIDTH, height: int = HEIGHT) -> PIL.Image.Image:
    """Loss against steps: each value in pale, a running mean in dark, both axes labelled. RGB."""
    picture = PIL.Image.new("RGB", (width, height), "white")
    draw = PIL.ImageDraw.Draw(picture)
    shown = [loss for loss in losses if math.isfinite(loss)]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    right, bottom = width - _RIGHT, height - _BOTTOM

    def place(step: float, loss: float) -> tuple[float, float]:
        across = step / max(1, len(losses) - 1)
        return _LEFT + across * (right - _LEFT), bottom - (loss - low) / (high - low) * (bottom - _TOP)

    for line in range(5):
        loss = low + (high - low) * line / 4
        y = place(0, loss)[1]
        draw.line([(_LEFT, y), (right, y)], fill=_GRID)
        draw.text((_LEFT - 8, y), f"{loss:.4g}", fill=_INK, anchor="rm")
        step = round((len(losses) - 1) * line / 4) if losses else 0
        draw.text((place(step, low)[0], bottom + 8), f"{step + 1}", fill=_INK, anchor="mt")
    draw.line([(_LEFT, _TOP), (_LEFT, bottom), (right, bottom)], fill=_INK)
    draw.text(((_LEFT + right) / 2, height - 6), "step", fill=_INK, anchor="mb")
    draw.text((_LEFT, 8), "loss", fill=_INK, anchor="mt")
    for values, colour, thickness in ((losses, _RAW, 1), (running_mean(losses), _SMOOTH, 2)):
        points = [place(step, loss) for step, loss in enumerate(values) if math.isfinite(loss)]
        if len(points) > 1:
            draw.line(points, fill=colour, width=thickness)
        elif points:
            (x, y) = points[0]
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
    return picture


def running_mean(losses: Sequence[float]) -> list[float]:
    """The mean of each loss and those before it, over a fiftieth of the run."""
    window = max(1, len(losses) // _WINDOW)
    means, total = [], 0.0
    for step, loss in enumerate(losses):
        total += loss - (losses[step - window] if step >= window else 0.0)
        means.append(total / min(step + 1, window))
    return means
