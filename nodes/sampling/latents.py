"""Latents as a model's network takes them: with its number of channels, and in its scale."""

from __future__ import annotations

from torch import Tensor

from graph.errors import SumiError
from nodes.models.handle import Model


class SamplingError(SumiError):
    """Latents or conditions do not fit the model, or the model's predictions are not numbers."""


def scaled_in(model: Model, latent: Tensor) -> Tensor:
    """A latent [B, C, h, w] as the VAE gives it, in the network's scale.

    An empty one stays empty where a mean or a shift would be taken off.
    """
    return latent if not latent.any() else (model.changes.latent_scaling or model.latent).scaled_in(latent)


def scaled_out(model: Model, latent: Tensor) -> Tensor:
    """A latent [B, C, h, w] in the network's scale, as the VAE takes it."""
    return (model.changes.latent_scaling or model.latent).scaled_out(latent)


def fitting_latent(model: Model, latent: Tensor) -> Tensor:
    """``latent`` with the model's channels: an empty one is made to fit.

    Raises SamplingError if it is not empty.
    """
    channels = model.config.out_channels
    if latent.ndim == 4 and latent.shape[1] == channels:
        return latent
    if latent.ndim == 4 and not latent.any():
        return latent.new_zeros(latent.shape[0], channels, *latent.shape[2:])
    raise SamplingError(
        f"latent has shape {tuple(latent.shape)}, this model ({model.weights.path.name}) takes "
        f"[batch, {channels}, height, width]"
    )


def check_finite(x: Tensor) -> Tensor:
    """``x``, the result of a run. Raises SamplingError if it holds NaN or infinity."""
    if not x.isfinite().all():
        raise SamplingError(
            "sampling ended in NaN or infinity: the model's file is damaged, the sampler's settings diverge, or "
            "its numbers do not fit half precision (try --precision fp32)"
        )
    return x
