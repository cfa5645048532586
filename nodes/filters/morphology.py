"""Grey-level morphology with a square: J. Serra, "Image Analysis and Mathematical Morphology", 1982."""

from __future__ import annotations

import torch
import torch.nn.functional as F

OPERATIONS = ("erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat")


def morphology(images: torch.Tensor, operation: str, size: int) -> torch.Tensor:
    """Apply one of :data:`OPERATIONS` to pictures [B, H, W, C] with a ``size`` × ``size`` square.

    Pixels beyond the edges are ignored.
    """
    if operation == "erode":
        return erode(images, size)
    if operation == "dilate":
        return dilate(images, size)
    if operation == "open":
        return dilate(erode(images, size), size)
    if operation == "close":
        return erode(dilate(images, size), size)
    if operation == "gradient":
        return dilate(images, size) - erode(images, size)
    if operation == "top_hat":
        return images - dilate(erode(images, size), size)
    return erode(dilate(images, size), size) - images


def dilate(images: torch.Tensor, size: int) -> torch.Tensor:
    """Return the largest value in the square around each pixel; even squares reach one pixel further before it."""
    before, after = size // 2, size - 1 - size // 2
    padded = F.pad(images.movedim(-1, 1), (before, after, before, after), value=-torch.inf)
    # The maximum over a square is the maximum over rows of maxima over columns: 2k comparisons instead of k².
    rows = F.max_pool2d(padded, (1, size), stride=1)
    return F.max_pool2d(rows, (size, 1), stride=1).movedim(1, -1)


def erode(images: torch.Tensor, size: int) -> torch.Tensor:
    """Return the smallest value in the square around each pixel."""
    return -dilate(-images, size)
