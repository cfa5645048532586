"""Where randomness comes from. The same seed gives the same noise, whatever device samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, TypeAlias

import torch
from torch import Tensor

from nodes.sampling.denoiser import Sigma

StepNoise: TypeAlias = Callable[[Sigma, Sigma], Tensor]
"""``noise(sigma, sigma_next)``: unit-variance noise for a step between two noise levels."""

SEEDS: Final = 1 << 64
"""Seeds are 0 … 2^64 - 1; arithmetic on them wraps."""


_TREE_DIGITS: Final = 6


def initial_noise(shape: Sequence[int], seed: int, batch_index: Sequence[int] | None = None) -> Tensor:
    """Noise float32 [B, C, h, w] on the CPU.

    With ``batch_index`` item k of the batch gets the noise that item ``batch_index[k]`` of a whole
    batch drawn one by one would get, so that it is the same picture alone or with the rest.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    if batch_index is None:
        return torch.randn(tuple(shape), generator=generator)
    needed = set(batch_index)
    drawn: dict[int, Tensor] = {}
    for index in range(max(needed) + 1):
        one = torch.randn((1, *shape[1:]), generator=generator)
        if index in needed:
            drawn[index] = one
    return torch.cat([drawn[index] for index in batch_index])


def independent_noise(x: Tensor, seed: int) -> StepNoise:
    """Fresh noise like ``x`` for every step, from one generator on the device of ``x``.

    The generator is seeded with ``seed``; on the CPU, whose generator with that seed has drawn the initial noise,
    with ``seed`` + 1, so that the first step's noise is independent of the initial one.
    """
    generator = torch.Generator(x.device).manual_seed(step_seed(seed, x.device))

    def noise(sigma: Sigma, sigma_next: Sigma) -> Tensor:
        return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)

    return noise


def step_seed(seed: int, device: torch.device) -> int:
    """The seed of the noise that stochastic samplers draw between steps on ``device``."""
    return (seed + 1) % SEEDS if device.type == "cpu" else seed


def brownian_noise(x: Tensor, sigmas: Tensor, seed: int, device: torch.device | str = "cpu") -> StepNoise:
    """Increments of one Brownian motion over the positive part of ``sigmas``, as unit-variance noise.

    Steps that cover the same stretch of sigma see the same noise, however they divide it: a run
    with more steps approaches the same picture. Virtual Brownian tree of arXiv:2001.01328, in
    torchsde. The tree is made on ``device``; the noise arrives on that of ``x``.
    """
    from torchsde import BrownianTree

    positive = sigmas[sigmas > 0]

    @cache  # A run of one step to 0 has no stretch of sigma to make a tree over, and draws no noise.
    def tree() -> BrownianTree:
        start, end = positive.min(), positive.max()
        return BrownianTree(start, torch.zeros_like(x, device=device), end, entropy=seed)

    def noise(sigma: Sigma, sigma_next: Sigma) -> Tensor:
        times = sorted((float(sigma), float(sigma_next)))
        # The tree rounds times to its tolerance, and warns of an end that lies beyond its own rounded one.
        increment = tree()(*(round(time, _TREE_DIGITS) for time in times)).to(x.device)
        return increment / math.copysign(math.sqrt(times[1] - times[0]), sigma_next - sigma)

    return noise
