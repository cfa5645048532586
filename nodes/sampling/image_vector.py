"""The vector of networks that are conditioned on pictures: unCLIP (Ramesh et al., arXiv:2204.06125).

It holds the picture's CLIP embedding with noise, and an embedding of the noise level. Noise blurs the picture's
meaning, which gives the text more influence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor

from graph.errors import SumiError
from nodes.unet.timestep_embedding import timestep_embedding

LEVELS: Final = 1000
"""Noise levels of the augmentation."""
_SEED_OFFSET: Final = 10
"""Subtracted from the run's seed for the augmentation's noise, so that it differs from the latent's noise."""


class PictureEmbeddingError(SumiError):
    """A picture's embedding does not fit the model. The message gives both widths and the encoder that fits."""


def image_vector(
    pictures: Sequence[Mapping[str, Any]], width: int, seed: int, merge_noise: float, model: str
) -> Tensor:
    """Return the vector [1, 2 · ``width``] of the pictures of a CONDITIONING's entry (option ``unclip_conditioning``).

    Each picture has its own strength and noise. Several pictures are summed, and the sum gets noise of the level
    ``merge_noise``, 0..1. Noise comes from a CPU generator seeded with ``seed`` - 10. The error names ``model``.

    Raises PictureEmbeddingError for embeddings that are not ``width`` wide.
    """
    generator = torch.Generator("cpu")
    vectors = []
    for picture in pictures:
        for embedding in picture["clip_vision_output"].image_embeds.float().cpu():
            if embedding.shape[-1] != width:
                raise PictureEmbeddingError(
                    f"the picture's embedding is {embedding.shape[-1]} wide, but {model} takes {width}: "
                    "encode the picture with the model's own CLIP vision model"
                )
            generator.manual_seed(_augmentation_seed(seed))
            level = round((LEVELS - 1) * picture["noise_augmentation"])
            vectors.append(_noised(embedding[None], level, generator) * picture["strength"])
    if len(vectors) == 1:
        return vectors[0]
    total = torch.stack(vectors).sum(0)
    return _noised(total[:, :width], round((LEVELS - 1) * merge_noise), generator)


def augmentation_noise(shape: Sequence[int], seed: int) -> Tensor:
    """Draw noise for a picture in a run with ``seed``, on the CPU."""
    return torch.randn(tuple(shape), generator=torch.Generator("cpu").manual_seed(_augmentation_seed(seed)))


def _augmentation_seed(seed: int) -> int:
    return (seed - _SEED_OFFSET) % 2**64


def _noised(embedding: Tensor, level: int, generator: torch.Generator) -> Tensor:
    """Return the embedding [1, width] with noise, and an equally wide embedding of its level."""
    kept = _alpha_bars()[level]
    noise = torch.randn(embedding.shape, generator=generator)
    noised = kept.sqrt().float() * embedding + (1 - kept).sqrt().float() * noise
    return torch.cat([noised, timestep_embedding(torch.tensor([level]), embedding.shape[1])], dim=1)


@cache
def _alpha_bars() -> Tensor:
    """Return the signal's share at each level: the cosine schedule of arXiv:2102.09672, equation 17."""

    def signal(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - signal((i + 1) / LEVELS) / signal(i / LEVELS), 0.999) for i in range(LEVELS)]
    return (1 - torch.tensor(betas, dtype=torch.float64)).cumprod(0)
