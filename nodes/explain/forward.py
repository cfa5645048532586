"""Forward diffusion: noise is added to a picture or a latent, timestep by timestep (Ho et al., arXiv:2006.11239)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.explain.errors import ExplainError
from nodes.models.handle import Model, Vae
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.latents import fitting_latent, scaled_in, scaled_out
from nodes.sampling.noise import initial_noise
from nodes.vae import coding
from nodes.vae.network import autoencoder


@dataclass(frozen=True)
class Level:
    """One timestep of a model: x_t = ``signal`` · x + ``noise`` · ε with unit-variance noise ε.

    ``sigma`` is noise / signal. For Stable Diffusion, signal is √ᾱ and noise √(1 - ᾱ).
    """

    timestep: int
    sigma: float
    signal: float
    noise: float

    @property
    def snr(self) -> float:
        """Return the signal-to-noise ratio of a unit-variance latent, 1 / σ²."""
        return 1 / self.sigma**2

    def noised(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return x_t for a clean ``x`` and ``noise`` of any equal shape."""
        return self.signal * x + self.noise * noise


def levels_at(levels: NoiseLevels, timesteps: Sequence[int]) -> list[Level]:
    """Return the model's levels at timesteps of its table, 0 … T - 1.

    ``signal`` is the scale with which the network gets its input; that of a model with another ``sigma_data``
    (arXiv:2206.00364) is taken relative to it.
    """
    data: float = getattr(levels.prediction, "sigma_data", 1.0)
    found = []
    for timestep in timesteps:
        sigma = float(levels.sigmas[timestep])
        signal = float(levels.network_input(torch.ones((), dtype=torch.float64), sigma)) * data
        found.append(Level(timestep, sigma, signal, signal * sigma / data))
    return found


@dataclass(frozen=True)
class Spread:
    """How noise spreads, a frame for each of ``levels``; a row that was not asked for is None.

    ``pixels`` and ``decoded`` are pictures [H, W, 3], 0..1, ``latents`` [C, h, w] in the diffusion model's scale.
    """

    levels: Sequence[Level]
    pixels: Sequence[Tensor] | None
    latents: Sequence[Tensor] | None
    decoded: Sequence[Tensor] | None


def spread(
    model: Model, timesteps: Sequence[int], seed: int, picture: Tensor | None, samples: Tensor | None, vae: Vae | None
) -> Spread:
    """Add noise to ``picture`` [1, H, W, C], 0..1, and to the latent ``samples`` [1, C, h, w], unscaled.

    Without samples, the picture is encoded if there is a VAE. The latent's noise is that with which KSampler starts for
    the same seed. Raises ExplainError without picture and samples, SamplingError for samples of another kind of model,
    VaeInputError.
    """
    if picture is None and samples is None:
        raise ExplainError("neither image nor latent is connected; connect a picture, a latent, or both")
    levels = levels_at(model.sampling.levels(), timesteps)
    pixels = noised_pixels(picture[0], levels, seed) if picture is not None else None
    if samples is None and picture is not None and vae is not None:
        samples = coding.encode(autoencoder(vae), picture)
    if samples is None:
        return Spread(levels, pixels, None, None)
    clean = scaled_in(model, fitting_latent(model, samples.float().cpu()))
    noise = initial_noise(clean.shape, seed)
    latents = [level.noised(clean, noise) for level in levels]
    decoded = None
    if vae is not None:
        decoded = list(coding.decode(autoencoder(vae), scaled_out(model, torch.cat(latents))))
    return Spread(levels, pixels, [latent[0] for latent in latents], decoded)


def noised_pixels(picture: Tensor, levels: Sequence[Level], seed: int) -> list[Tensor]:
    """Add noise to ``picture`` [H, W, 3], 0..1: in -1..1, where the VAE works. Returns pictures in 0..1, clamped."""
    clean = picture[..., :3].float().cpu() * 2 - 1
    noise = torch.randn(clean.shape, generator=torch.Generator("cpu").manual_seed(seed))
    return [(level.noised(clean, noise) / 2 + 0.5).clamp(0, 1) for level in levels]
