"""Noise of runs and of their steps. The same seed gives the same noise on every device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.sampling.denoiser import Sigma
from nodes.types import LatentDict

StepNoise: TypeAlias = Callable[[Sigma, Sigma], Tensor]
"""``noise(sigma, sigma_next)`` returns unit-variance noise for a step between two noise levels."""

NoiseLike: TypeAlias = Callable[[Tensor], Tensor]
"""``noise(x)`` returns unit-variance noise with the shape of ``x``."""

SEEDS: Final = 1 << 64
"""Seeds are 0 … 2^64 - 1; arithmetic on them wraps."""


_TREE_DIGITS: Final = 6
_PARALLEL: Final = 0.9995
"""Mean cosine above which two tensors count as parallel."""


class NoiseSource(Protocol):
    """The value of a NOISE socket: makes the noise with which a run starts."""

    @property
    def seed(self) -> int:
        """The seed for samplers that add noise between their steps."""

    def generate_noise(self, latent: LatentDict) -> Tensor:
        """Return unit-variance noise with the shape of ``latent["samples"]``, float32 on the CPU."""


@dataclass(frozen=True)
class RandomNoise:
    """:func:`initial_noise` of one seed."""

    seed: int

    def generate_noise(self, latent: LatentDict) -> Tensor:
        """Return the noise for the latent's shape and batch indices."""
        return initial_noise(latent["samples"].shape, self.seed, latent.get("batch_index"))


@dataclass(frozen=True)
class VariationNoise:
    """The noise of a seed for each item of a batch, turned towards the noise of another seed.

    With a ``strength`` of 0, item i has the noise of ``seed`` + i. Otherwise all items have the noise of ``seed``, and
    item i is turned towards that of ``variation_seed`` + i. ``first_size`` (width, height) in latent pixels is the size
    for which the noise is drawn, before it is put in the middle of the latent; None for the latent's own. This is the
    noise of A1111's web UI with its random number generator set to CPU.
    """

    seed: int
    variation_seed: int = 0
    strength: float = 0.0
    first_size: tuple[int, int] | None = None

    def generate_noise(self, latent: LatentDict) -> Tensor:
        """Return the noise for the latent's shape and batch indices."""
        count, *shape = latent["samples"].shape
        return torch.stack([self._item(index, shape) for index in latent.get("batch_index") or range(count)])

    def _item(self, index: int, shape: Sequence[int]) -> Tensor:
        """Return the noise [C, h, w] of one item."""
        channels, height, width = shape
        if self.first_size is not None:
            width, height = self.first_size
        first = (channels, height, width)
        seed = self.seed if self.strength else (self.seed + index) % SEEDS
        noise = _drawn(first, seed)
        if self.strength:
            noise = turned(noise, _drawn(first, (self.variation_seed + index) % SEEDS), self.strength)
        return noise if first == tuple(shape) else _in_the_middle(noise, _drawn(shape, seed))


def turned(start: Tensor, end: Tensor, amount: float) -> Tensor:
    """Interpolate between two tensors [C, h, w] along the arc between their columns: 0 is ``start``, 1 is ``end``.

    Spherical interpolation (Shoemake, "Animating rotation with quaternion curves", 1985). Columns are what A1111
    interpolates. Columns of almost the same direction are interpolated linearly.
    """
    cosine = (F.normalize(start, dim=1) * F.normalize(end, dim=1)).sum(1, keepdim=True)
    if cosine.mean() > _PARALLEL:
        return start + (end - start) * amount
    angle = torch.acos(cosine.clamp(-1.0, 1.0))
    parts = torch.sin((1.0 - amount) * angle) * start + torch.sin(amount * angle) * end
    return torch.where(torch.sin(angle) == 0, start, parts / torch.sin(angle))


def _drawn(shape: Sequence[int], seed: int) -> Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator("cpu").manual_seed(seed))


def _in_the_middle(noise: Tensor, around: Tensor) -> Tensor:
    """Return ``around`` with ``noise`` in its middle; what is larger is cut off on both sides."""
    (rows, from_row), (columns, from_column) = (_overlap(around.shape[axis], noise.shape[axis]) for axis in (1, 2))
    around[:, rows, columns] = noise[:, from_row, from_column]
    return around


def _overlap(outer: int, inner: int) -> tuple[slice, slice]:
    """Return where a length of ``inner`` lies in the middle of ``outer``, and the part of it that fits."""
    before = (outer - inner) // 2
    length = min(inner, inner + 2 * before) if before < 0 else inner
    return slice(max(before, 0), max(before, 0) + length), slice(max(-before, 0), max(-before, 0) + length)


@dataclass(frozen=True)
class NoNoise:
    """No noise: the run starts from the latent itself."""

    seed: int = 0

    def generate_noise(self, latent: LatentDict) -> Tensor:
        """Return zeros with the latent's shape."""
        return torch.zeros(latent["samples"].shape)


def initial_noise(shape: Sequence[int], seed: int, batch_index: Sequence[int] | None = None) -> Tensor:
    """Draw noise, float32 [B, C, h, w] on the CPU.

    With ``batch_index``, item k gets the noise of item ``batch_index[k]`` in a complete batch drawn item by item, so
    that an item gives the same picture alone or in the batch.
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
    """Return a function that draws new noise like ``x`` for every step, from one generator on the device of ``x``.

    The generator is seeded with ``seed``, or on the CPU with ``seed`` + 1: the CPU's generator with ``seed`` has drawn
    the initial noise, of which the steps' noise must be independent.
    """
    draw = noise_like(x.device, seed)
    return lambda sigma, sigma_next: draw(x)


def noise_like(device: torch.device, seed: int) -> NoiseLike:
    """Return a function that draws new noise like any tensor on ``device``; see :func:`independent_noise`."""
    generator = torch.Generator(device).manual_seed(step_seed(seed, device))
    return lambda x: torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)


def step_seed(seed: int, device: torch.device) -> int:
    """Return the seed of the noise that stochastic samplers draw between steps on ``device``."""
    return (seed + 1) % SEEDS if device.type == "cpu" else seed


def brownian_noise(x: Tensor, sigmas: Tensor, seed: int, device: torch.device | str = "cpu") -> StepNoise:
    """Return the increments of one Brownian motion over the positive part of ``sigmas``, as unit-variance noise.

    Steps over the same range of sigma get the same noise, however they divide it, so a run with more steps approaches
    the same picture. This is the virtual Brownian tree of arXiv:2001.01328, from torchsde. The tree is made on
    ``device``; the noise is returned on the device of ``x``.
    """
    from torchsde import BrownianTree

    positive = sigmas[sigmas > 0]

    @cache  # A run of one step to 0 has no range of sigma for a tree, and draws no noise.
    def tree() -> BrownianTree:
        start, end = positive.min(), positive.max()
        return BrownianTree(start, torch.zeros_like(x, device=device), end, entropy=seed)

    def noise(sigma: Sigma, sigma_next: Sigma) -> Tensor:
        times = sorted((float(sigma), float(sigma_next)))
        # The tree rounds times to its tolerance, and warns of an end beyond its own rounded end.
        increment = tree()(*(round(time, _TREE_DIGITS) for time in times)).to(x.device)
        return increment / math.copysign(math.sqrt(times[1] - times[0]), sigma_next - sigma)

    return noise
