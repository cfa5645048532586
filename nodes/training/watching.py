"""Shows a run on its node: progress, the loss curve and sample grids."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
from torch import Tensor

from graph.context import Context, PreviewImage
from nodes.training.loop import Loss, Settings, Trained, train
from nodes.training.loss_graph import loss_graph, running_mean

Weights = Mapping[str, Tensor]
WriteFile = Callable[[Weights], None]
Draw = Callable[[Weights], Tensor]
_SHOWN = 10.0
"""Seconds between two updates of the text on the node."""
ROWS: Final = "rows"
"""The PNG text in which a sample grid names its rows, a JSON list."""


def train_in_folder(
    context: Context,
    parameters: Weights,
    loss: Loss,
    settings: Settings,
    folder: Path,
    write: WriteFile,
    *,
    draw: Draw | None = None,
    rows: Sequence[str] = (),
    sample_every: float = 900.0,
    sample_steps: int = 0,
    save_every: float = 300.0,
) -> Trained:
    """Train ``parameters`` and show the run on the node. ``folder`` receives the state from which the run can continue.

    ``write`` is called with the weights at every save, ``draw`` as :class:`Watcher` says. ``rows`` names the rows of
    the pictures that ``draw`` returns. Raises TrainingError.
    """
    watcher = Watcher(
        context,
        settings.steps,
        on_checkpoint=write,
        draw=draw,
        rows=rows,
        sample_every=sample_every,
        sample_steps=sample_steps,
        folder=folder,
    )
    state = folder / "state.safetensors"
    return train(parameters, loss, settings, state_path=state, save_every=save_every, observer=watcher)


class Watcher:
    """Reports a run to its node, and calls ``on_checkpoint`` and ``draw``.

    ``draw`` is called every ``sample_every`` seconds, at the end and, unless ``sample_steps`` is 0, after the first
    step and every ``sample_steps`` steps.

    The preview is the last sample grid above the loss curve. With a ``folder``, grids are saved there as
    ``samples_{step}.png`` beside ``loss.png``. The files carry the names of their ``rows``.
    """

    def __init__(
        self,
        context: Context,
        steps: int,
        *,
        on_checkpoint: WriteFile | None = None,
        draw: Draw | None = None,
        rows: Sequence[str] = (),
        sample_every: float = 900.0,
        sample_steps: int = 0,
        folder: Path | None = None,
    ):
        self._context = context
        self._steps = steps
        self._on_checkpoint = on_checkpoint
        self._draw = draw
        self._rows = list(rows)
        self._sample_every = sample_every
        self._sample_steps = sample_steps
        self._folder = folder
        self._grid: PIL.Image.Image | None = None
        self._drawn_at = -float("inf")
        self._drawn_step = -1
        self._shown_at = -float("inf")

    def after_step(self, step: int, losses: list[float], weights: Weights) -> None:
        """Show progress, and update the text every few seconds. Raises Interrupted if the run was asked to stop."""
        if time.monotonic() - self._shown_at > _SHOWN:
            self._shown_at = time.monotonic()
            self._context.show_text(f"step {step}/{self._steps}, loss {running_mean(losses)[-1]:.5f}")
        if self._sample_steps and (step == 1 or step % self._sample_steps == 0):
            self._draw_samples(step, weights)
        self._context.progress(step, self._steps, lambda: self._preview(losses))

    def after_checkpoint(self, step: int, losses: list[float], weights: Weights) -> None:
        """Write files and draw samples."""
        if self._on_checkpoint is not None:
            self._on_checkpoint(weights)
        due = time.monotonic() - self._drawn_at > self._sample_every or step >= self._steps
        if due:
            self._draw_samples(step, weights)
        if self._folder is not None and losses:
            loss_graph(losses).save(self._folder / "loss.png")

    def _draw_samples(self, step: int, weights: Weights) -> None:
        if self._draw is None or step == self._drawn_step:
            return
        grid = (self._draw(weights).clamp(0, 1).numpy() * 255).astype(np.uint8)
        self._grid = PIL.Image.fromarray(grid)
        self._drawn_at, self._drawn_step = time.monotonic(), step
        if self._folder is not None:
            names = PIL.PngImagePlugin.PngInfo()
            names.add_itxt(ROWS, json.dumps(self._rows, ensure_ascii=False))
            self._grid.save(self._folder / f"samples_{step:07}.png", pnginfo=names)

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
