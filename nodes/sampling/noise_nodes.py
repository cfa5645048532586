"""The nodes that make a run's noise."""

from __future__ import annotations

from typing import Annotated, Final

from graph.node import Range, node
from nodes.types import Noise, Seed

SEEDS: Final = 1 << 64
_CATEGORY = "sampling/custom_sampling/noise"


@node("RandomNoise", category=_CATEGORY, environment=False)
def random_noise(*, noise_seed: Seed = 0) -> Noise:
    """Make the noise of a seed, the same on every device."""
    from nodes.sampling.noise import RandomNoise

    return RandomNoise(noise_seed)


@node("VariationNoise", category=_CATEGORY, environment=False)
def variation_noise(
    *,
    noise_seed: Seed = 0,
    variation_seed: Annotated[int, Range(0, SEEDS - 1)] = 0,
    variation_strength: Annotated[float, Range(0.0, 1.0, 0.01)] = 0.0,
    resize_from_width: Annotated[int, Range(0, 16384, 8)] = 0,
    resize_from_height: Annotated[int, Range(0, 16384, 8)] = 0,
) -> Noise:
    """Make another seed's noise for each picture of a batch, or variations of one seed's noise.

    At a strength of 0, picture i gets the noise of the seed plus i, the same as alone. Otherwise it gets the noise of
    the seed, turned towards that of the variation seed plus i. The noise of A1111's web UI on a CPU.
    """
    from nodes.sampling.noise import VariationNoise

    sides = resize_from_width // 8, resize_from_height // 8
    return VariationNoise(noise_seed, variation_seed, variation_strength, sides if all(sides) else None)


@node("DisableNoise", category=_CATEGORY, environment=False)
def disable_noise() -> Noise:
    """Add no noise: the run continues from a latent that is noisy already."""
    from nodes.sampling.noise import NoNoise

    return NoNoise()
