"""Draws the loss of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import PIL.Image

from nodes.drawing.card import draw_card
from nodes.drawing.chart import Chart, Series

_WINDOW: Final = 50
"""The running mean covers the run's steps divided by this number."""


def loss_graph(losses: Sequence[float]) -> PIL.Image.Image:
    """Draw the loss of each step as a card, RGB."""
    return draw_card("Training loss", [loss_chart(losses)])


def loss_chart(losses: Sequence[float]) -> Chart:
    """Return the chart of the loss of each step, faint, and its running mean. Losses that are not finite are gaps."""
    steps = range(1, len(losses) + 1)
    lines = [Series("loss", steps, losses, faint=True), Series("running mean", steps, running_mean(losses))]
    return Chart(lines, "step", "loss")


def running_mean(losses: Sequence[float]) -> list[float]:
    """Return the mean of each loss and the losses before it, over a fiftieth of the run.

    Losses that are not finite are left out; the mean of none is NaN.
    """
    window = max(1, len(losses) // _WINDOW)
    means, total, count = [], 0.0, 0
    for step, loss in enumerate(losses):
        if math.isfinite(loss):
            total, count = total + loss, count + 1
        if step >= window and math.isfinite(losses[step - window]):
            total, count = total - losses[step - window], count - 1
        means.append(total / count if count else math.nan)
    return means
