"""Computes the size to which a picture is scaled. IMAGE tensors are [B, H, W, C]."""

from __future__ import annotations

import math

import torch

MEGAPIXEL = 1024 * 1024


def follow(images: torch.Tensor, width: int, height: int) -> tuple[int, int]:
    """Return the requested size; a side of 0 follows from the other, and two of 0 mean the picture's own size."""
    old_height, old_width = images.shape[1:3]
    if width == 0 and height == 0:
        return old_width, old_height
    if width == 0:
        return max(1, round(old_width * height / old_height)), height
    if height == 0:
        return width, max(1, round(old_height * width / old_width))
    return width, height


def times(images: torch.Tensor, factor: float) -> tuple[int, int]:
    """Return width and height, each ``factor`` times the picture's, rounded, at least 1."""
    return max(1, round(images.shape[2] * factor)), max(1, round(images.shape[1] * factor))


def of_megapixels(images: torch.Tensor, megapixels: float, multiple: int = 1) -> tuple[int, int]:
    """Return width and height with the same aspect ratio and ``megapixels`` × 1024 × 1024 pixels.

    Both are rounded to a ``multiple``.
    """
    factor = math.sqrt(megapixels * MEGAPIXEL / (images.shape[1] * images.shape[2]))
    width, height = images.shape[2] * factor, images.shape[1] * factor
    return max(1, round(width / multiple)) * multiple, max(1, round(height / multiple)) * multiple


def of_longest_side(images: torch.Tensor, longest: int) -> tuple[int, int]:
    """Return width and height with the same aspect ratio, of which the longer is ``longest``."""
    height, width = images.shape[1:3]
    if height > width:
        return round(width / height * longest), longest
    return longest, round(height / width * longest)
