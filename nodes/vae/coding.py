"""Between images as nodes pass them and latents as the VAE makes them.

Images are float32 [B, H, W, C] in 0..1, latents float32 [B, 4, H/8, W/8], both on the CPU. Latents
are unscaled: the factor that diffusion models want is applied by the sampler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from graph.context import current
from graph.errors import SumiError
from graph.machine_memory import available_memory
from nodes.models import residency
from nodes.tiles import tiled_thrice
from nodes.vae.autoencoder import AutoencoderKL

log = logging.getLogger(__name__)

POSTERIOR_SEED = 0
"""The seed of the posterior's noise, the same for every image, so that encoding is a function of the image."""

PEAK_ACTIVATIONS = 5
"""Memory that one picture takes at most, in feature maps of full resolution. Measured at 512 x 512: 4.3 in
the encoder, 2.9 in the decoder (whose widest map has twice the channels)."""

_FALLBACK_TILE, _FALLBACK_OVERLAP = 512, 64
"""In pixels: what is used when a whole picture does not fit in memory."""


class VaeInputError(SumiError):
    """An image or latent has a shape that the VAE cannot take; says which shape was expected."""


@torch.no_grad()
def decode(network: AutoencoderKL, samples: Tensor) -> Tensor:
    """Latents to images: clamp((x + 1) / 2, 0, 1), one item of the batch at a time.

    If memory is short, the other networks are unloaded. A picture that still does not fit is decoded in tiles, and the
    log says so.
    Raises VaeInputError.
    """
    _check_latents(network, samples)
    factor = network.config.factor
    height, width = samples.shape[2] * factor, samples.shape[3] * factor
    decoded = _each(network, network.decode, samples, network.config.decoder_widths, height, width)
    if decoded is None:
        _say_tiles("decoding", samples.shape)
        return decode_tiled(network, samples, _FALLBACK_TILE, _FALLBACK_OVERLAP)
    return _as_images(decoded)


@torch.no_grad()
def decode_tiled(network: AutoencoderKL, samples: Tensor, tile_size: int, overlap: int) -> Tensor:
    """:func:`decode` in tiles of ``tile_size`` pixels that overlap by ``overlap`` (at most a quarter of a tile)."""
    _check_latents(network, samples)
    factor = network.config.factor
    tile = max(1, tile_size // factor)
    decoded = tiled_thrice(
        network.decode, samples, tile, min(overlap // factor, tile // 4), Fraction(factor), tick=_tick
    )
    return _as_images(decoded)


@torch.no_grad()
def encode(network: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Images to latents: cropped to multiples of 8, first three channels, 2x - 1, posterior sampled.

    If memory is short, the other networks are unloaded. A picture that still does not fit is encoded in tiles, and the
    log says so.
    Raises VaeInputError.
    """
    pictures = _as_pictures(network, pixels)
    moments = _each(network, network.moments, pictures, network.config.encoder_widths, *pictures.shape[2:])
    if moments is None:
        _say_tiles("encoding", pictures.shape)
        return _encode_pictures_tiled(network, pictures, _FALLBACK_TILE, _FALLBACK_OVERLAP)
    return sample_posterior(moments)


@torch.no_grad()
def encode_tiled(network: AutoencoderKL, pixels: Tensor, tile_size: int, overlap: int) -> Tensor:
    """:func:`encode` in tiles of ``tile_size`` pixels that overlap by ``overlap`` (at most a quarter of a tile).

    Means and log-variances are feathered together, then sampled once.
    """
    return _encode_pictures_tiled(network, _as_pictures(network, pixels), tile_size, overlap)


def sample_posterior(moments: Tensor) -> Tensor:
    """mean + std * noise, with the log-variance clamped to [-30, 20] (as latent diffusion does).

    ``moments`` [B, 2C, h, w] to [B, C, h, w]. Every item of a batch gets the same noise, so
    that an image's latent does not depend on what it is encoded with.
    """
    mean, log_variance = moments.float().cpu().chunk(2, dim=1)
    generator = torch.Generator("cpu").manual_seed(POSTERIOR_SEED)
    noise = torch.randn((1, *mean.shape[1:]), generator=generator)
    return mean + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * noise


def crop_to_multiple(pixels: Tensor, factor: int) -> Tensor:
    """[B, H, W, ...] with height and width cut to multiples of ``factor``, centred."""
    height, width = (side // factor * factor for side in pixels.shape[1:3])
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    return pixels[:, top : top + height, left : left + width]


def _encode_pictures_tiled(network: AutoencoderKL, pictures: Tensor, tile_size: int, overlap: int) -> Tensor:
    factor = network.config.factor
    tile = max(1, tile_size // factor) * factor
    overlap = min(overlap, tile // 4) // factor * factor
    return sample_posterior(
        tiled_thrice(network.moments, pictures, tile, overlap, Fraction(1, factor), unit=factor, tick=_tick)
    )


def _say_tiles(what: str, shape: torch.Size) -> None:
    notice = f"Not enough memory for {what} {list(shape)} whole: it is done in tiles of {_FALLBACK_TILE} pixels"
    log.warning(notice)
    if (context := current()) is not None:
        context.show_text(notice)
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
    """``function`` of each item of the batch, float32 on the CPU: memory is needed for one at a time.

    If memory is short, the other networks are unloaded. None if that does not suffice.
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
    """None if a GPU's memory does not suffice. The error and its tensors are released by then."""
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
    """Progress of the running node, and the place where it can be interrupted."""
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
    """Whether one picture's activations fit in this machine's free memory, as far as that is known.

    On a GPU the attempt tells; on a CPU a process that asks for too much is killed.
    """
    weight = network.post_quant_conv.weight
    free = available_memory() if weight.device.type == "cpu" else None
    if free is None:
        return True
    wide = max(widths[:2]) * height * width * weight.element_size()
    return PEAK_ACTIVATIONS * wide < free
