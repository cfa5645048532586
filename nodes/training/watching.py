"""A run's display on its node: progress, the loss curve and sample grids."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import PIL.Image
from torch import Tensor

from graph.context import Context, PreviewImage
from nodes.training.loss_graph import loss_graph, running_mean

Weights = Mapping[str, Tensor]
_SHOWN = 10.0
"""Seconds between two lines of text on the node."""


class Watcher:
    """Reports a run to its node, and calls ``on_checkpoint`` and, every ``sample_every`` seconds, ``draw``.

    The preview is the loss curve, above it the last sample grid. With a ``folder``, grids are kept there as
    ``samples_{step}.png`` beside ``loss.png``.
    """

    def __init__(
        self,
        context: Context,
        steps: int,
        *,
        on_checkpoint: Callable[[Weights], None] | None = None,
        draw: Callable[[Weights], Tensor] | None = None,
        sample_every: float = 900.0,
        folder: Path | None = None,
    ):
        self._context = context
        self._steps = steps
        self._on_checkpoint = on_checkpoint
        self._draw = draw
        self._sample_every = sample_every
        self._folder = folder
        self._grid: PIL.Image.Image | None = None
        self._drawn_at = -float("inf")
        self._drawn_step = -1
        self._shown_at = -float("inf")

    def after_step(self, step: int, losses: list[float], weights: Weights) -> None:
        """Show progress, and every few seconds a line of text. Raises Interrupted if the run was asked to stop."""
        if time.monotonic() - self._shown_at > _SHOWN:
            self._shown_at = time.monotonic()
            self._context.show_text(f"step {step}/{self._steps}, loss {running_mean(losses)[-1]:.5f}")
        self._context.progress(step, self._steps, lambda: self._preview(losses))

    def after_checkpoint(self, step: int, losses: list[float], weights: Weights) -> None:
        """Write files and draw samples."""
        if self._on_checkpoint is not None:
            self._on_checkpoint(weights)
        due = time.monotonic() - self._drawn_at > self._sample_every or step >= self._steps
        if self._draw is not None and due and step != self._drawn_step:
            grid = (self._draw(weights).clamp(0, 1).numpy() * 255).astype(np.uint8)
            self._grid = PIL.Image.fromarray(grid)
            self._drawn_at, self._drawn_step = time.monotonic(), step
            if self._folder is not None:
                self._grid.save(self._folder / f"samples_{step:07}.png")
        if self._folder is not None and losses:
            loss_graph(losses).save(self._folder / "loss.png")

    def _preview(self, losses: list[float]) -> PreviewImage:
        curve = loss_graph(losses)
        shown = curve
        if self._grid is not None:
            width = max(curve.width, self._grid.width)
            shown = PIL.Image.new("RGB", (width, curve.height + self._grid.height), "white")
            shown.paste(self._grid, (0, 0))
            shown.paste(curve, (0, self._grid.height))
        file = io.BytesIO()
        shown.save(file, "PNG", compress_level=1)
        return PreviewImage("PNG", file.getvalue())
