"""Crops, pads, stitches and batches pictures. IMAGE tensors are [B, H, W, C]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from nodes.allocation import check_fits
from nodes.composite import composite
from nodes.pictures.fitting import scale, with_channels
from nodes.resize import SizeError


def empty(width: int, height: int, batch_size: int, color: int) -> torch.Tensor:
    """Return [batch_size, height, width, 3] with one colour 0xRRGGBB. Raises TooLargeError."""
    shape = (batch_size, height, width, 3)
    check_fits(f"an empty picture of {width}×{height} pixels, batch size {batch_size},", shape)
    red_green_blue = [(color >> shift & 0xFF) / 255 for shift in (16, 8, 0)]
    return torch.tensor(red_green_blue).expand(shape).contiguous()


def crop(images: torch.Tensor, width: int, height: int, x: int, y: int) -> torch.Tensor:
    """Return a window of the pictures, cut off at their edges, with at least one pixel."""
    x, y = min(x, images.shape[2] - 1), min(y, images.shape[1] - 1)
    return images[:, y : y + height, x : x + width].contiguous()


def join(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Join both as one batch; the second is scaled and centre-cropped to the first's size."""
    channels = max(first.shape[-1], second.shape[-1])
    first, second = with_channels(first, channels), with_channels(second, channels)
    if first.shape[1:3] != second.shape[1:3]:
        second = scale(second, first.shape[2], first.shape[1], "bilinear", "center")
    return torch.cat((first, second))


def rebatch(batches: Sequence[torch.Tensor], size: int) -> list[torch.Tensor]:
    """Return the pictures of all ``batches``, in order, in batches of ``size``; the last may be shorter.

    Raises SizeError if pictures in a batch would have different sizes.
    """
    pictures = [picture for batch in batches for picture in batch]
    groups = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    for group in groups:
        shapes = {tuple(picture.shape) for picture in group}
        if len(shapes) > 1:
            sizes = ", ".join(f"{width}×{height}×{channels}" for height, width, channels in sorted(shapes))
            raise SizeError(f"pictures of different sizes ({sizes}) cannot share a batch: scale them first")
    return [torch.stack(group) for group in groups]


def paste(
    destination: torch.Tensor,
    source: torch.Tensor,
    x: int,
    y: int,
    mask: torch.Tensor | None = None,
    resize_source: bool = False,
) -> torch.Tensor:
    """Paste ``source`` on ``destination`` where ``mask`` [b, h, w] is 1; see :func:`nodes.composite.composite`."""
    source = with_channels(source, destination.shape[-1])
    pasted = composite(destination.movedim(-1, 1), source.movedim(-1, 1), x, y, mask, resize_source)
    return pasted.movedim(1, -1)


def pad_for_outpaint(
    images: torch.Tensor, left: int, top: int, right: int, bottom: int, feathering: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures with grey margins, and the mask [1, H + margins, W + margins] of the area to paint.

    The mask is 1 on the margins and falls as (1 - d/feathering)² over the ``feathering`` pixels inside each padded
    edge, where d is the distance to the edge. It is 0 inside if ``feathering`` is 0 or the picture is at most twice as
    large as it.
    """
    batch, height, width, channels = images.shape
    full = (batch, height + top + bottom, width + left + right, channels)
    check_fits(f"a padded picture of {full[2]}×{full[1]} pixels, batch size {batch},", full)
    padded = images.new_full(full, 0.5)
    padded[:, top : top + height, left : left + width] = images
    mask = torch.ones(full[1:3])
    inside = torch.zeros(height, width)
    if feathering > 0 and 2 * feathering < min(height, width):
        rows = _distance(height, top > 0, bottom > 0)
        columns = _distance(width, left > 0, right > 0)
        distance = torch.minimum(rows[:, None], columns)
        inside = ((feathering - distance) / feathering).clamp(min=0.0).square()
    mask[top : top + height, left : left + width] = inside
    return padded, mask.unsqueeze(0)


def _distance(length: int, from_start: bool, from_end: bool) -> torch.Tensor:
    """Return [length] distances to the nearest padded end."""
    index = torch.arange(length, dtype=torch.float32)
    distance = torch.full((length,), float("inf"))
    if from_start:
        distance = torch.minimum(distance, index)
    if from_end:
        distance = torch.minimum(distance, length - index)
    return distance


COLORS = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}


def stitch(
    first: torch.Tensor,
    second: torch.Tensor,
    direction: str,
    match_size: bool,
    spacing: int,
    color: str,
) -> torch.Tensor:
    """Put ``second`` to the ``right`` or ``left`` of ``first``, or above (``up``) or below (``down``) it.

    With ``match_size``, it is scaled to the common side; otherwise the smaller one is centred on black.
    ``spacing`` pixels of ``color``, rounded to an even number, are between them. The shorter batch repeats its last
    picture.
    """
    beside = direction in ("left", "right")
    batch = max(first.shape[0], second.shape[0])
    first, second = _repeat_last(first, batch), _repeat_last(second, batch)
    (height, width), (second_height, second_width) = first.shape[1:3], second.shape[1:3]
    if match_size and beside:
        second = scale(second, max(1, int(height * second_width / second_height)), height, "lanczos")
    elif match_size:
        second = scale(second, width, max(1, int(width * second_height / second_width)), "lanczos")
    else:
        shared = 1 if beside else 2
        longest = max(first.shape[shared], second.shape[shared])
        first, second = _centred(first, shared, longest), _centred(second, shared, longest)
    channels = max(first.shape[-1], second.shape[-1])
    parts = [with_channels(first, channels), with_channels(second, channels)]
    if direction in ("left", "up"):
        parts.reverse()
    if spacing > 0:
        gap = list(parts[0].shape)
        gap[2 if beside else 1] = spacing + spacing % 2
        fill = torch.tensor((*COLORS[color], *[1.0] * (channels - 3))[:channels])
        parts.insert(1, fill.to(first).expand(gap))
    return torch.cat(parts, dim=2 if beside else 1)


def _repeat_last(images: torch.Tensor, size: int) -> torch.Tensor:
    return images[torch.arange(size).clamp(max=images.shape[0] - 1)]


def _centred(images: torch.Tensor, dim: int, length: int) -> torch.Tensor:
    """Add black on both ends of ``dim`` to reach ``length``; an odd pixel goes to the end."""
    before, rest = divmod(length - images.shape[dim], 2)
    margins = [0] * 8
    margins[2 * (3 - dim)], margins[2 * (3 - dim) + 1] = before, before + rest
    return F.pad(images, margins)


def take(images: torch.Tensor, start: int, length: int) -> torch.Tensor:
    """Return the existing pictures from ``start`` to ``start + length``; at least one."""
    return images[min(start, images.shape[0] - 1) :][:length]


def fit_into(images: torch.Tensor, width: int, height: int, color: str, method: str) -> torch.Tensor:
    """Scale the complete pictures to fit in width × height, centred on ``white`` or ``black``."""
    old_height, old_width = images.shape[1:3]
    factor = min(width / old_width, height / old_height)
    inner_width, inner_height = max(1, int(old_width * factor)), max(1, int(old_height * factor))
    scaled = scale(images, inner_width, inner_height, method)
    x, y = (width - inner_width) // 2, (height - inner_height) // 2
    check_fits(f"a picture of {width}×{height} pixels", (images.shape[0], height, width, images.shape[-1]))
    result = images.new_full((images.shape[0], height, width, images.shape[-1]), COLORS[color][0])
    result[:, y : y + inner_height, x : x + inner_width] = scaled
    return result
