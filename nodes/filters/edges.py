"""Edges: J. Canny, "A Computational Approach to Edge Detection", IEEE PAMI 8(6), 1986.

The conventions are kornia's (Apache-2.0), except for ties between neighbours: a 5×5 Gaussian with deviation 1, Sobel
without normalisation, eight directions, thresholds on the gradient of values 0..1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from nodes.gaussian import convolve

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601."""

WEAK, STRONG = 0.5, 1.0


def canny(images: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Draw the edges of pictures [B, H, W, 3+] as white lines [B, H, W, 3].

    A ridge of the gradient above ``high`` is an edge, and so is a ridge above ``low`` that touches an edge.
    Raises SizeError for pictures with sides below 3 pixels.
    """
    grey = (images[..., :3] * images.new_tensor(LUMA)).sum(-1).unsqueeze(1)
    line = torch.exp(-torch.arange(-2.0, 3.0).square() / 2.0)
    smooth = convolve(grey, line[:, None] * line / line.sum() ** 2)
    ridges = _ridges(*_gradient(smooth))
    edges = torch.where(ridges > high, STRONG, torch.where(ridges > low, WEAK, 0.0))
    return _linked(edges).movedim(1, -1).expand(-1, -1, -1, 3).contiguous()


def _gradient(grey: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Sobel's derivatives along columns and rows, [B, 1, H, W] each."""
    across = grey.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, across[None, None]), F.conv2d(padded, across.T[None, None])


_NEIGHBOURS = ((1, 0), (1, 1), (0, 1), (-1, 1))
"""Column and row of the next pixel at 0°, 45°, 90° and 135°, rows counted downwards."""


def _ridges(across: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """Return the gradient's magnitude where it is larger than at both neighbours along its direction, else 0.

    Of two equal neighbours, the farther one counts, so that lines have no gaps.
    """
    magnitude = (across.square() + down.square() + 1e-6).sqrt()
    direction = (torch.atan2(down, across) / (torch.pi / 4)).round().long() % 4
    height, width = magnitude.shape[-2:]
    padded = F.pad(magnitude, (1, 1, 1, 1))
    highest = torch.zeros_like(magnitude, dtype=torch.bool)
    for index, (x, y) in enumerate(_NEIGHBOURS):
        ahead = padded[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width]
        behind = padded[..., 1 - y : 1 - y + height, 1 - x : 1 - x + width]
        highest |= (direction == index) & (magnitude > ahead) & (magnitude >= behind)
    return magnitude * highest


def _linked(edges: torch.Tensor) -> torch.Tensor:
    """Turn weak pixels that touch strong ones into strong ones until nothing changes; remove all other weak ones."""
    strong, weak = edges == STRONG, edges == WEAK
    while True:
        near = F.max_pool2d(strong.to(edges), 3, stride=1, padding=1) > 0
        grown = strong | (near & weak)
        if torch.equal(grown, strong):
            return strong.to(edges)
        strong = grown
