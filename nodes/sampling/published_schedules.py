"""Optimised schedules, published as tables of noise levels: AlignYourSteps, OptimalSteps, GITS.

The tables are in ``published_schedules.json`` beside this module, each with its source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy
import torch
from torch import Tensor

from nodes.sampling.schedules import ScheduleError

_FILE: Final = Path(__file__).with_suffix(".json")
_MOST_GITS_STEPS: Final = 20
"""The largest number of steps with its own table in GITS."""


def align_your_steps(model_type: str, steps: int, denoise: float = 1.0) -> Tensor:
    """Return the schedule of Sabour et al. (arXiv:2404.14507) for ``model_type``; see :func:`from_table`."""
    return from_table(_tables()["align_your_steps"]["sigmas"][model_type], steps, denoise)


def optimal_steps(model_type: str, steps: int, denoise: float = 1.0) -> Tensor:
    """Return the schedule of Pei et al. (arXiv:2503.21774) for ``model_type``; see :func:`from_table`."""
    return from_table(_tables()["optimal_steps"]["sigmas"][model_type], steps, denoise)


def gits(coefficient: float, steps: int, denoise: float = 1.0) -> Tensor:
    """Return the schedule of Chen et al. (arXiv:2405.11326) for ``coefficient``, 0.8 … 1.5 in steps of 0.05.

    ``steps`` is 2 or more. Up to 20 steps have their own tables; see :func:`from_table` for more.
    Raises ScheduleError if there is no table for the coefficient or the number of steps.
    """
    tables = _tables()["gits"]["sigmas"]
    rows = tables.get(f"{coefficient:.2f}")
    if rows is None:
        raise ScheduleError(f"coeff is {coefficient:g}; GITS has tables for {', '.join(tables)}")
    if steps < 2:
        raise ScheduleError(f"steps is {steps}; GITS has tables from 2 steps up")
    return from_table(rows[min(steps, _MOST_GITS_STEPS) - 2], steps, denoise)


def from_table(table: Sequence[float], steps: int, denoise: float = 1.0) -> Tensor:
    """Return sigmas, float32 [steps + 1], from a table of positive noise levels; the last one is 0.

    A table with another length is interpolated linearly in log-sigma. With ``denoise`` below 1, only the last
    round(``steps`` · ``denoise``) steps are kept; 0 gives no sigmas at all.
    """
    if denoise <= 0:
        return torch.empty(0)
    sigmas = torch.tensor(table if len(table) == steps + 1 else interpolated(table, steps + 1))
    kept = round(steps * denoise) if denoise < 1 else steps
    sigmas = sigmas[-(kept + 1) :]
    sigmas[-1] = 0
    return sigmas


def interpolated(table: Sequence[float], count: int) -> list[float]:
    """Return ``count`` levels at equal distances along the table, linear in log-sigma between its entries."""
    at = numpy.linspace(0, 1, count)
    log_sigmas = numpy.interp(at, numpy.linspace(0, 1, len(table)), numpy.log(table))
    levels: list[float] = numpy.exp(log_sigmas).tolist()
    return levels


def levels_of(schedule: str) -> Mapping[str, Any]:
    """Return the tables of ``align_your_steps``, ``optimal_steps`` or ``gits``: by model type, or by coefficient."""
    levels: Mapping[str, Any] = _tables()[schedule]["sigmas"]
    return levels


@cache
def _tables() -> Mapping[str, Any]:
    tables: Mapping[str, Any] = json.loads(_FILE.read_text())
    return tables
