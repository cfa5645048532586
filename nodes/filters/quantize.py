"""Reduces pictures to a palette made from their colours, with or without dithering."""

from __future__ import annotations

import numpy as np
import PIL.Image
import torch

from nodes.pictures.pixels import from_pillow, to_pillow

_DITHER = {
    "none": PIL.Image.Dither.NONE,
    "floyd-steinberg": PIL.Image.Dither.FLOYDSTEINBERG,
}


def quantize(images: torch.Tensor, colors: int, dither: str) -> torch.Tensor:
    """Reduce pictures [B, H, W, C] to at most ``colors`` colours each, chosen by median cut. Returns RGB.

    ``dither``: none, floyd-steinberg, or bayer-2 to bayer-16 (ordered, B. E. Bayer 1973).
    """
    return torch.stack([_one(image[..., :3], colors, dither) for image in images])


def _one(image: torch.Tensor, colors: int, dither: str) -> torch.Tensor:
    picture = to_pillow(image)
    palette = picture.quantize(colors=colors)
    if dither in _DITHER:
        return from_pillow(picture.quantize(palette=palette, dither=_DITHER[dither]).convert("RGB"))
    pattern = bayer(int(dither.removeprefix("bayer-")))
    chosen = len(palette.getpalette() or ()) // 3
    rows, columns = -(-picture.height // len(pattern)), -(-picture.width // len(pattern))
    tiled = np.tile(pattern, (rows, columns))[: picture.height, : picture.width, None]
    values = np.asarray(picture, dtype=np.float32) + (512.0 / chosen * tiled + 0.5)
    shifted = PIL.Image.fromarray(values.clip(0, 255).astype(np.uint8))
    return from_pillow(shifted.quantize(palette=palette, dither=PIL.Image.Dither.NONE).convert("RGB"))


def bayer(order: int) -> np.ndarray:
    """Return Bayer's matrix [order, order], order a power of 2: each value once, evenly spaced, mean 0, within ±½."""
    if order == 1:
        return np.zeros((1, 1), dtype=np.float32)
    half = bayer(order // 2)
    steps = ((-1.5, 0.5), (1.5, -0.5))
    return np.block([[half + np.float32(step / order**2) for step in row] for row in steps])
