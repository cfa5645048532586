"""Resizes [B, C, H, W] tensors: latents and pictures."""

from __future__ import annotations

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F

from graph.errors import SumiError

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos", "bislerp")


class SizeError(SumiError):
    """A width or height of 0, or sizes that do not match."""


def resize(samples: torch.Tensor, width: int, height: int, method: str, crop: str = "disabled") -> torch.Tensor:
    """Resize ``samples`` [B, C, H, W] to [B, C, height, width].

    ``method``: nearest-exact, bilinear, area and bicubic are torch's, without antialiasing or
    aligned corners; lanczos is Pillow's on 8-bit values, for pictures 0..1; bislerp is for latents.
    ``crop="center"`` first crops to the new aspect ratio. Raises SizeError.
    """
    if width < 1 or height < 1:
        raise SizeError(f"the size {width}×{height} is empty: width and height must be at least 1")
    if crop == "center":
        samples = crop_to_aspect(samples, width, height)
    if samples.shape[-2:] == (height, width) and method != "lanczos":
        return samples.contiguous()
    if method == "bislerp":
        return bislerp(samples, width, height).contiguous()
    if method == "lanczos":
        return lanczos(samples, width, height).contiguous()
    return F.interpolate(samples, size=(height, width), mode=method).contiguous()


def crop_to_aspect(samples: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Return the largest centred part of ``samples`` [B, C, H, W] with the aspect ratio width : height."""
    old_height, old_width = samples.shape[-2:]
    x = y = 0
    if old_width * height > width * old_height:
        x = round((old_width - old_height * width / height) / 2)
    else:
        y = round((old_height - old_width * height / width) / 2)
    # With an extreme aspect ratio, at least the middle row or column is kept.
    x, y = min(x, (old_width - 1) // 2), min(y, (old_height - 1) // 2)
    return samples[..., y : old_height - y, x : old_width - x]


def lanczos(samples: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Resize pictures [B, C, H, W], 0..1, with Pillow's Lanczos-3 resampling, in 8 bits a channel."""
    resized = [_lanczos_one(picture, width, height) for picture in samples.detach().to("cpu", torch.float32)]
    return torch.stack(resized).to(samples)


def _lanczos_one(picture: torch.Tensor, width: int, height: int) -> torch.Tensor:
    values = np.clip(255.0 * picture.movedim(0, -1).numpy(), 0, 255).astype(np.uint8)
    mode = {3: "RGB", 4: "RGBA"}.get(values.shape[-1])
    # Pillow weights RGB by alpha when it resizes RGBA, so other numbers of channels are resized one by one.
    planes = [values] if mode else [values[..., channel] for channel in range(values.shape[-1])]
    resized = [
        np.asarray(PIL.Image.fromarray(plane).resize((width, height), PIL.Image.Resampling.LANCZOS)) for plane in planes
    ]
    stacked = resized[0] if mode else np.stack(resized, axis=-1)
    return torch.from_numpy(stacked.astype(np.float32) / 255.0).movedim(-1, 0)


def bislerp(samples: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Resize latents [B, C, H, W] by spherical instead of linear interpolation along channels.

    Bilinear resizing averages neighbouring latent vectors, which shortens them and makes the picture grey. This
    function rotates directions (slerp, Shoemake 1985) and interpolates lengths, first along the width, then along
    the height.
    """
    wide = _slerp_along(samples.float().movedim(1, -1), 2, width)
    return _slerp_along(wide, 1, height).movedim(-1, 1).to(samples.dtype)


def _slerp_along(vectors: torch.Tensor, dim: int, size: int) -> torch.Tensor:
    """Resample ``dim`` of vectors [..., C] to ``size`` points, at the positions of bilinear resizing."""
    old = vectors.shape[dim]
    position = ((torch.arange(size, dtype=torch.float64, device=vectors.device) + 0.5) * (old / size) - 0.5).clamp(
        0, old - 1
    )
    left = position.long()
    right = (left + 1).clamp(max=old - 1)
    shape = [1] * vectors.ndim
    shape[dim] = size
    ratio = (position - left).to(vectors.dtype).reshape(shape)
    return slerp(vectors.index_select(dim, left), vectors.index_select(dim, right), ratio)


PARALLEL = 1e-5
"""Distance of a cosine from 1 or -1 below which the angle between two vectors is unusable."""


def slerp(start: torch.Tensor, end: torch.Tensor, ratio: torch.Tensor) -> torch.Tensor:
    """Interpolate vectors [..., C] by ``ratio`` from ``start`` to ``end``, by rotation instead of averaging.

    The length is interpolated linearly. Parallel vectors return ``start`` and opposite ones the linear
    mean, as in ComfyUI's bislerp.
    """
    start_length = start.norm(dim=-1, keepdim=True)
    end_length = end.norm(dim=-1, keepdim=True)
    start_direction = torch.where(start_length > 0, start / start_length, 0.0)
    end_direction = torch.where(end_length > 0, end / end_length, 0.0)
    cosine = (start_direction * end_direction).sum(dim=-1, keepdim=True)
    angle = torch.acos(cosine.clamp(-1.0, 1.0))
    direction = start_direction * torch.sin((1.0 - ratio) * angle) + end_direction * torch.sin(ratio * angle)
    turned = direction / torch.sin(angle) * torch.lerp(start_length, end_length, ratio)
    turned = torch.where(cosine > 1.0 - PARALLEL, start, turned)
    return torch.where(cosine < PARALLEL - 1.0, torch.lerp(start, end, ratio.expand_as(start)), turned)
