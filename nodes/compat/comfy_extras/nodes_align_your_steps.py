"""``comfy_extras.nodes_align_your_steps``: the tables of arXiv:2404.14507, and the node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy

from nodes.sampling.published_schedules import interpolated, levels_of

NOISE_LEVELS: Final = {model: list(levels) for model, levels in levels_of("align_your_steps").items()}
"""Model type → 11 noise levels, descending."""


def loglinear_interp(t_steps: Sequence[float], num_steps: int) -> numpy.ndarray:
    """Return ``num_steps`` levels along the descending table ``t_steps``, linear in the logarithm."""
    return numpy.array(interpolated(t_steps, num_steps))
