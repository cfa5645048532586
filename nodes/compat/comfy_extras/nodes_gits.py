"""``comfy_extras.nodes_gits``: the tables of arXiv:2405.11326, and the node."""

from __future__ import annotations

from typing import Final

from nodes.compat.comfy_extras.nodes_align_your_steps import loglinear_interp
from nodes.sampling.published_schedules import levels_of

NOISE_LEVELS: Final = {
    float(coefficient): [list(row) for row in rows] for coefficient, rows in levels_of("gits").items()
}
"""Coefficient → the noise levels of 2 to 20 steps, descending."""

__all__ = ["NOISE_LEVELS", "loglinear_interp"]
