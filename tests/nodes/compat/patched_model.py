"""Samples the embedded model as changed by packs; it is small enough to compare numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sample_latent import schedule_for
from nodes.sampling.sampler import SAMPLERS

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors"
needed = pytest.mark.skipif(not WEIGHTS.is_file(), reason="the embedded model is not here")
"""Mark of tests that sample it."""

SIDE = 8
CLOSE = {"rtol": 1e-3, "atol": 1e-3}


def text(seed: int, **options: Any) -> list[Any]:
    return [torch.randn(1, 77, 128, generator=torch.Generator().manual_seed(seed)), options]


POSITIVE, NEGATIVE = [text(1)], [text(2)]


def sampled(
    model: Any,
    *,
    sampler: str = "euler",
    scale: float = 4.0,
    steps: int = 2,
    positive: Any = None,
    negative: Any = None,
    batch: int = 1,
    mask: Tensor | None = None,
    latent: Tensor | None = None,
) -> Tensor:
    """Sample with Sumi's own sampler, like the KSampler node."""
    handle = getattr(model, "handle", model)
    shape = (batch, 4, SIDE, SIDE)
    return sample(
        handle,
        initial_noise(shape, 3),
        schedule_for(handle, sampler, "normal", steps),
        sampler=SAMPLERS[sampler],
        positive=POSITIVE if positive is None else positive,
        negative=NEGATIVE if negative is None else negative,
        scale=scale,
        latent=torch.zeros(shape) if latent is None else latent,
        seed=3,
        noise_mask=mask,
    )
