"""Makes, grows, feathers, crops and combines masks. A mask is [B, H, W], 0..1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from nodes.allocation import check_fits
from nodes.batches import repeat_to
from nodes.feather import ramp
from nodes.resize import SizeError


def as_batch(mask: torch.Tensor) -> torch.Tensor:
    """Convert [H, W], [B, H, W] or [B, 1, H, W] to [B, H, W]."""
    return mask.reshape(-1, *mask.shape[-2:])


def solid(value: float, width: int, height: int) -> torch.Tensor:
    """Return [1, height, width] with one value. Raises TooLargeError."""
    check_fits(f"a mask of {width}×{height} pixels", (height, width))
    return torch.full((1, height, width), value)


def crop(mask: torch.Tensor, x: int, y: int, width: int, height: int) -> torch.Tensor:
    """Return a window of the mask, cut off at its edges. Raises SizeError if it lies outside."""
    mask = as_batch(mask)
    if x >= mask.shape[2] or y >= mask.shape[1]:
        raise SizeError(f"a window at x {x}, y {y} lies outside a mask of {mask.shape[2]}×{mask.shape[1]} pixels")
    return mask[:, y : y + height, x : x + width].contiguous()


def feather(mask: torch.Tensor, left: int, top: int, right: int, bottom: int) -> torch.Tensor:
    """Fade the mask out towards its edges: n pixels from an edge are multiplied by 1/n, 2/n … 1."""
    mask = as_batch(mask)
    height, width = mask.shape[1:]
    across = ramp(width, min(left, width), True, False) * _far_ramp(width, right)
    down = ramp(height, min(top, height), True, False) * _far_ramp(height, bottom)
    return mask * (down[:, None] * across).to(mask)


def _far_ramp(length: int, feather: int) -> torch.Tensor:
    """Return the ramp of a right or bottom edge.

    ComfyUI's ramp is one pixel further out, so that its lowest step falls on the opposite edge. This one is the same,
    so that saved workflows give the same masks.
    """
    return ramp(length, min(feather, length), False, True).roll(1)


def grow(mask: torch.Tensor, expand: int, tapered_corners: bool) -> torch.Tensor:
    """Grow the mask by ``expand`` pixels, or shrink it if negative, with that many 3×3 grey dilations or erosions.

    With tapered corners, these use the four side neighbours, so corners become diamonds;
    otherwise all eight, so corners stay square.
    """
    grown = as_batch(mask) if expand >= 0 else -as_batch(mask)
    for _ in range(abs(expand)):
        larger = _dilate(grown, tapered_corners)
        if torch.equal(larger, grown):
            break
        grown = larger
    return grown if expand >= 0 else -grown


def _dilate(mask: torch.Tensor, tapered: bool) -> torch.Tensor:
    """Return the largest of each pixel and its 4 or 8 neighbours.

    It uses shifted maxima, since torch's pooling takes ten times as long for one picture.
    """
    larger = mask.clone()
    torch.maximum(larger[:, :, 1:], mask[:, :, :-1], out=larger[:, :, 1:])
    torch.maximum(larger[:, :, :-1], mask[:, :, 1:], out=larger[:, :, :-1])
    # To cover all eight neighbours, grow the result of the side neighbours up and down.
    middle = mask if tapered else larger.clone()
    torch.maximum(larger[:, 1:], middle[:, :-1], out=larger[:, 1:])
    torch.maximum(larger[:, :-1], middle[:, 1:], out=larger[:, :-1])
    return larger


def combine(destination: torch.Tensor, source: torch.Tensor, x: int, y: int, operation: str) -> torch.Tensor:
    """Combine ``source`` with ``destination`` [B, H, W] at column ``x``, row ``y``; parts outside are cut off.

    ``operation``: multiply, add, subtract; and, or, xor on values rounded to 0 or 1. The result is 0..1.
    """
    combined = as_batch(destination).clone()
    height, width = combined.shape[1:]
    above = as_batch(source)[:, : max(height - y, 0), : max(width - x, 0)].to(combined)
    above = repeat_to(above, combined.shape[0])
    place = combined[:, y : y + above.shape[1], x : x + above.shape[2]]
    place.copy_(_OPERATIONS[operation](place, above))
    return combined.clamp(0.0, 1.0)


_OPERATIONS: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "multiply": torch.mul,
    "add": torch.add,
    "subtract": torch.sub,
    "and": lambda a, b: (a.round().bool() & b.round().bool()).to(a),
    "or": lambda a, b: (a.round().bool() | b.round().bool()).to(a),
    "xor": lambda a, b: (a.round().bool() ^ b.round().bool()).to(a),
}
