"""Encodes images from nodes to latents, and decodes latents to images.

Images are float32 [B, H, W, C] in 0..1, latents float32 [B, 4, H/8, W/8], both on the CPU. Latents
are unscaled: the sampler applies the factor that diffusion models need.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from graph.context import current, warn
from graph.errors import SumiError
from graph.machine_memory import available_memory
from nodes.compiling import compiled_by_option
from nodes.heap import give_back_freed_memory
from nodes.models import residency
from nodes.tiles import tiled_thrice
from nodes.vae.autoencoder import AutoencoderKL

log = logging.getLogger(__name__)

POSTERIOR_SEED = 0
"""The seed of the posterior's noise. It is fixed, so that the latent depends on the image alone."""

PEAK_ACTIVATIONS = 5
"""Peak memory of one picture, in feature maps of full resolution. Measured at 512 x 512: 4.3 in
the encoder, 2.9 in the decoder (whose widest map has twice the channels)."""

_FALLBACK_TILE, _FALLBACK_OVERLAP = 512, 64
"""Tile size in pixels for pictures that do not fit in memory as a whole."""


class VaeInputError(SumiError):
    """The shape of an image or latent does not fit the VAE. The message gives the expected shape."""


class Posterior(NamedTuple):
    """The encoder's distribution of latents: mean and standard deviation, float32 [B, C, h, w] on the CPU."""

    mean: Tensor
    deviation: Tensor


@torch.no_grad()
def decode(network: AutoencoderKL, samples: Tensor) -> Tensor:
    """Decode latents to images: clamp((x + 1) / 2, 0, 1), one item of the batch at a time.

    If memory is short, the other networks are unloaded. A picture that still does not fit is decoded in tiles, and the
    log says so.
    Raises VaeInputError.
    """
    _check_latents(network, samples)
    factor = network.config.factor
    height, width = samples.shape[2] * factor, samples.shape[3] * factor
    give_back_freed_memory()  # what sampling used; decoding needs other sizes
    decoded = _each(network, _decoder(network), samples, network.config.decoder_widths, height, width)
    if decoded is None:
        _say_tiles("decoding", samples.shape)
        return decode_tiled(network, samples, _FALLBACK_TILE, _FALLBACK_OVERLAP)
    return _as_images(decoded)


@torch.no_grad()
def decode_tiled(network: AutoencoderKL, samples: Tensor, tile_size: int, overlap: int) -> Tensor:
    """Decode in tiles of ``tile_size`` pixels with an ``overlap`` (at most a quarter of a tile); see :func:`decode`."""
    _check_latents(network, samples)
    factor = network.config.factor
    tile = max(1, tile_size // factor)
    decoded = tiled_thrice(
        _decoder(network), samples, tile, min(overlap // factor, tile // 4), Fraction(factor), tick=_tick
    )
    return _as_images(decoded)


def _decoder(network: AutoencoderKL) -> Callable[[Tensor], Tensor]:
    """Return the function that decodes, compiled with ``--compile``; a tiny autoencoder is fast enough without."""
    if not isinstance(network, AutoencoderKL):
        return network.decode
    function: Callable[[Tensor], Tensor] = compiled_by_option(network.decode, network)
    return function


@torch.no_grad()
def encode(network: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Encode images to latents: crop to multiples of 8, take three channels, compute 2x - 1, sample the posterior.

    If memory is short, the other networks are unloaded. A picture that still does not fit is encoded in tiles, and the
    log says so.
    Raises VaeInputError.
    """
    return sample_posterior(_moments(network, pixels))


@torch.no_grad()
def posterior(network: AutoencoderKL, pixels: Tensor) -> Posterior:
    """Encode images without sampling; see :func:`encode`. Raises VaeInputError."""
    mean, log_variance = _moments(network, pixels).float().cpu().contiguous().chunk(2, dim=1)
    return Posterior(mean, _deviation(log_variance))


@torch.no_grad()
def encode_tiled(network: AutoencoderKL, pixels: Tensor, tile_size: int, overlap: int) -> Tensor:
    """Encode in tiles of ``tile_size`` pixels with an ``overlap`` (at most a quarter of a tile); see :func:`encode`.

    The tiles' means and log-variances are blended, then sampled once.
    """
    return sample_posterior(_moments_tiled(network, _as_pictures(network, pixels), tile_size, overlap))


def sample_posterior(moments: Tensor) -> Tensor:
    """Compute mean + std * noise, with the log-variance clamped to [-30, 20] (as in latent diffusion).

    Maps ``moments`` [B, 2C, h, w] to [B, C, h, w]. Every item of a batch gets the same noise, so
    that an image's latent does not depend on the other images.
    """
    mean, log_variance = moments.float().cpu().contiguous().chunk(2, dim=1)
    generator = torch.Generator("cpu").manual_seed(POSTERIOR_SEED)
    noise = torch.randn((1, *mean.shape[1:]), generator=generator)
    return mean + _deviation(log_variance) * noise


def crop_to_multiple(pixels: Tensor, factor: int) -> Tensor:
    """Crop [B, H, W, ...] to the centre, with height and width multiples of ``factor``."""
    height, width = (side // factor * factor for side in pixels.shape[1:3])
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    return pixels[:, top : top + height, left : left + width]


def _deviation(log_variance: Tensor) -> Tensor:
    return torch.exp(0.5 * log_variance.clamp(-30.0, 20.0))


def _moments(network: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Return mean and log-variance [B, 2C, h, w], computed in tiles if memory is short."""
    pictures = _as_pictures(network, pixels)
    moments = _each(network, network.moments, pictures, network.config.encoder_widths, *pictures.shape[2:])
    if moments is None:
        _say_tiles("encoding", pictures.shape)
        return _moments_tiled(network, pictures, _FALLBACK_TILE, _FALLBACK_OVERLAP)
    return moments


def _moments_tiled(network: AutoencoderKL, pictures: Tensor, tile_size: int, overlap: int) -> Tensor:
    factor = network.config.factor
    tile = max(1, tile_size // factor) * factor
    overlap = min(overlap, tile // 4) // factor * factor
    return tiled_thrice(network.moments, pictures, tile, overlap, Fraction(1, factor), unit=factor, tick=_tick)


def _say_tiles(what: str, shape: torch.Size) -> None:
    notice = f"Not enough memory for {what} {list(shape)} as a whole; using tiles of {_FALLBACK_TILE} pixels"
    warn(log, notice)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _each(
    network: AutoencoderKL,
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    widths: tuple[int, ...],
    height: int,
    width: int,
) -> Tensor | None:
    """Compute ``function`` of each item of the batch, one at a time to save memory; the result is float32 on the CPU.

    If memory is short, the other networks are unloaded. Returns None if that is not enough.
    """
    for others_left in (False, True):
        if others_left:
            residency.free_others(network)
        if _fits(network, widths, height, width):
            results = _of_each_item(function, x)
            if results is not None:
                return results
    return None


def _of_each_item(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor | None:
    """Compute all items. Returns None if a GPU's memory is not enough; the error and its tensors are released."""
    results = []
    try:
        for index, item in enumerate(x.split(1)):
            if len(x) > 1:
                _tick(index, len(x))
            results.append(function(item).float().cpu())
    except torch.OutOfMemoryError:
        return None
    return torch.cat(results)


def _tick(done: int, total: int) -> None:
    """Report progress of the running node; an interruption is raised here."""
    if (context := current()) is not None:
        context.progress(done, total)


def _as_images(decoded: Tensor) -> Tensor:
    return decoded.add_(1.0).div_(2.0).clamp_(0.0, 1.0).movedim(1, -1).contiguous()


def _as_pictures(network: AutoencoderKL, pixels: Tensor) -> Tensor:
    channels, factor = network.config.image_channels, network.config.factor
    if pixels.ndim != 4 or pixels.shape[3] < channels or min(pixels.shape[1:3]) < factor or len(pixels) == 0:
        raise VaeInputError(
            f"the VAE cannot encode an image of shape {list(pixels.shape)}; expected [batch, height, width, "
            f"{channels} or more], each side at least {factor}"
        )
    return crop_to_multiple(pixels, factor)[..., :channels].movedim(-1, 1) * 2.0 - 1.0


def _check_latents(network: AutoencoderKL, samples: Tensor) -> None:
    channels = network.config.latent_channels
    if samples.ndim != 4 or samples.shape[1] != channels or 0 in samples.shape:
        raise VaeInputError(
            f"the VAE cannot decode a latent of shape {list(samples.shape)}; "
            f"expected [batch, {channels}, height / {network.config.factor}, width / {network.config.factor}]"
        )


def _fits(network: AutoencoderKL, widths: tuple[int, ...], height: int, width: int) -> bool:
    """Whether one picture's activations fit in this machine's free memory; True if the free memory is unknown.

    On a GPU, the attempt shows it; on a CPU, the system kills a process that allocates too much.
    """
    weight = next(network.parameters())
    free = available_memory() if weight.device.type == "cpu" else None
    if free is None:
        return True
    wide = max(widths[:2]) * height * width * weight.element_size()
    return PEAK_ACTIVATIONS * wide < free
