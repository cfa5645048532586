"""Converts latents between the VAE's scale and the network's, and to its number of channels."""

from __future__ import annotations

from torch import Tensor

from graph.errors import SumiError
from nodes.models.handle import Model


class SamplingError(SumiError):
    """Latents or conditions do not fit the model, or its predictions hold NaN or infinity."""


def scaled_in(model: Model, latent: Tensor) -> Tensor:
    """Scale a latent [B, C, h, w] from the VAE for the network.

    An empty latent stays empty even if the space has a mean or a shift.
    """
    return latent if not latent.any() else (model.changes.latent_scaling or model.latent).scaled_in(latent)


def scaled_out(model: Model, latent: Tensor) -> Tensor:
    """Scale a latent [B, C, h, w] from the network for the VAE."""
    return (model.changes.latent_scaling or model.latent).scaled_out(latent)


def fitting_latent(model: Model, latent: Tensor) -> Tensor:
    """``latent`` with the model's number of channels, which an empty latent is given.

    Raises SamplingError for a latent with other channels that is not empty.
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
    """Return ``x``, the result of a run. Raises SamplingError if it holds NaN or infinity."""
    if not x.isfinite().all():
        raise SamplingError(
            "sampling ended in NaN or infinity: the model's file is damaged, the sampler's settings diverge, or "
            "its numbers do not fit half precision (try --precision fp32)"
        )
    return x
