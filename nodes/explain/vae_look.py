"""Measures what an autoencoder does to a picture (arXiv:1312.6114, arXiv:2112.10752)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod

from torch import Tensor

from nodes.models.handle import Vae
from nodes.vae import coding
from nodes.vae.network import autoencoder


@dataclass(frozen=True)
class VaeLook:
    """A picture [H, W, 3], its latent's mean and standard deviation [C, h, w], and the decoded mean [H, W, 3].

    ``picture`` is cropped to multiples of the VAE's ``factor``, as encoding does; pictures are 0..1. ``uncropped``
    is its width and height before.
    """

    picture: Tensor
    mean: Tensor
    deviation: Tensor
    decoded: Tensor
    factor: int
    uncropped: tuple[int, int]

    @property
    def ratio(self) -> float:
        """Return how many times fewer numbers the latent has."""
        return prod(self.picture.shape) / prod(self.mean.shape)

    @property
    def difference(self) -> Tensor:
        """Return the absolute difference of picture and reconstruction, averaged over the colours, [H, W]."""
        return (self.decoded - self.picture).abs().mean(dim=-1)

    @property
    def psnr(self) -> float:
        """Return the peak signal-to-noise ratio of the reconstruction in decibels; infinite if it is exact."""
        error = float((self.decoded - self.picture).square().mean())
        return math.inf if error == 0 else -10 * math.log10(error)


def look(vae: Vae, picture: Tensor) -> VaeLook:
    """Encode ``picture`` [H, W, C], 0..1, and decode the mean of its latents. Raises VaeInputError."""
    network = autoencoder(vae)
    pixels = picture.unsqueeze(0)
    found = coding.posterior(network, pixels)
    decoded = coding.decode(network, found.mean)
    factor = network.config.factor
    cropped = coding.crop_to_multiple(pixels, factor)[0, ..., :3].detach().float().cpu().clamp(0, 1)
    size = (picture.shape[1], picture.shape[0])
    return VaeLook(cropped, found.mean[0], found.deviation[0], decoded[0], factor, size)
