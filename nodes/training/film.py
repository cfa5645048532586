"""Draws a training run as a card: its sample grids side by side, and its loss."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import PIL.Image
import torch

from nodes.drawing.card import caption, card
from nodes.drawing.chart import Chart, Series
from nodes.drawing.film import MOST_COLUMNS, Film, Row
from nodes.drawing.table import Table
from nodes.training.errors import TrainingError
from nodes.training.loss_graph import running_mean
from nodes.training.pictures import load_picture
from nodes.training.watching import ROWS

_GRID: Final = re.compile(r"samples_(\d+)\.png")


def sample_grids(folder: Path, steps: int) -> list[tuple[int, Path]]:
    """Return at most five of the run's sample grids up to ``steps``, evenly chosen, with the step of each."""
    found = [(int(match[1]), path) for path in folder.glob("samples_*.png") if (match := _GRID.fullmatch(path.name))]
    grids = sorted(entry for entry in found if entry[0] <= steps)
    if len(grids) <= MOST_COLUMNS:
        return grids
    last = len(grids) - 1
    return [grids[round(at * last / (MOST_COLUMNS - 1))] for at in range(MOST_COLUMNS)]


def training_film(folder: Path, losses: Sequence[float]) -> tuple[torch.Tensor, Table]:
    """Draw the run in ``folder`` with the loss of each step. Returns the card [1, H, W, 3], and a table.

    The card has a row for each prompt. Grids of different prompts, and grids that do not name them, stay whole.
    Raises TrainingError for a run without samples, DatasetError for a file that cannot be read.
    """
    grids = sample_grids(folder, len(losses))
    if not grids:
        raise TrainingError(f"{folder}: holds no sample grids; write sample_prompts in the node that trains")
    means = running_mean(losses)
    table = Table(
        ["step", "loss", "mean loss"],
        [[f"{step:,}", f"{losses[step - 1]:.4f}", f"{means[step - 1]:.4f}"] for step, _ in grids],
    )
    steps = [float(step) for step in range(1, len(losses) + 1)]
    picture = card(
        "Training, step by step",
        Film([f"step {step:,}" for step, _ in grids], _rows([path for _, path in grids])),
        caption("Side by side: the same prompt with two seeds, which begin with different noise."),
        Chart([Series("loss", steps, losses), Series("mean", steps, means)], "step", "loss"),
    )
    return picture, table


def row_names(path: Path) -> list[str]:
    """Return the prompts of the sample grid ``path``, from top to bottom; empty if the file does not name them."""
    with PIL.Image.open(path) as file:
        try:
            names = json.loads(file.info.get(ROWS, "[]"))
        except ValueError:
            return []  # another program's text
    return [str(name) for name in names] if isinstance(names, list) else []


def _rows(paths: Sequence[Path]) -> list[Row]:
    """Return a row for each prompt, or one row of whole grids if the grids do not share their prompts."""
    grids = [load_picture(path) for path in paths]
    names = row_names(paths[0])
    if not names or any(row_names(path) != names for path in paths[1:]):
        return [Row("", grids)]
    parts = [grid.chunk(len(names)) for grid in grids]
    return [Row(name, [part[number] for part in parts]) for number, name in enumerate(names)]
