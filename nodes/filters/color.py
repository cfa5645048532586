"""Luma and chroma: ITU-R BT.601 at full range, with kornia's (Apache-2.0) rounded constants."""

from __future__ import annotations

import torch

from nodes.filters.edges import LUMA


def to_yuv(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Convert RGB [B, H, W, 3+] to Y, U and V as grey pictures [B, H, W, 3]; U and V of grey are 0.5."""
    red, green, blue = images[..., 0], images[..., 1], images[..., 2]
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    planes = (luma, (blue - luma) * 0.564 + 0.5, (red - luma) * 0.713 + 0.5)
    y, u, v = (plane.unsqueeze(-1).expand(*plane.shape, 3).contiguous() for plane in planes)
    return y, u, v


def from_yuv(y: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Convert Y, U and V, pictures [B, H, W, C] of which the channels are averaged, to RGB [B, H, W, 3]."""
    luma, blue, red = y.mean(-1), u.mean(-1) - 0.5, v.mean(-1) - 0.5
    return torch.stack((luma + 1.403 * red, luma - 0.714 * red - 0.344 * blue, luma + 1.773 * blue), dim=-1)
