"""Areas and masks of conditions, and the weights of their predictions there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from graph.errors import SumiError

_RAMP = 8
"""Largest number of latent pixels over which an area's weight rises from its inner edges."""
_SMALLEST_MASKED_AREA = 8


class ConditionError(SumiError):
    """An area lies outside the picture. The message gives the area and the picture's size."""


class Area(NamedTuple):
    """A rectangle of the latent, in latent pixels."""

    height: int
    width: int
    top: int
    left: int

    @property
    def size(self) -> int:
        return self.height * self.width

    def encloses(self, other: Area) -> bool:
        return (
            self.top <= other.top
            and self.left <= other.left
            and self.top + self.height >= other.top + other.height
            and self.left + self.width >= other.left + other.width
        )

    def crop(self, x: Tensor) -> Tensor:
        """Return the view of ``x`` [..., h, w] inside the area."""
        return x[..., self.top : self.top + self.height, self.left : self.left + self.width]


class Extent(NamedTuple):
    """The part of the picture that a CONDITIONING's entry applies to. ``mask`` [B, h, w] covers the whole latent."""

    area: Area
    explicit: bool
    mask: Tensor | None

    def weight(self, options: Mapping[str, Any], latent: Tensor) -> Tensor:
        """Weight [1 or B, 1, height, width] of the entry's prediction for each latent pixel of the area."""
        height, width = latent.shape[-2:]
        if self.mask is not None:
            weight = self.area.crop(self.mask).unsqueeze(1) * options.get("mask_strength", 1.0)
        elif self.explicit:
            weight = _ramped(self.area, height, width)
        else:
            weight = torch.ones(1, 1, height, width)
        return weight.to(latent.device) * options.get("strength", 1.0)


def extent_of(options: Mapping[str, Any], latent: Tensor) -> Extent:
    """Return the extent in a latent [B, C, h, w] of an entry with these options. Raises ConditionError."""
    height, width = latent.shape[-2:]
    mask = options.get("mask")
    area = _area(options.get("area"), height, width)
    if mask is not None:
        mask = _resized_mask(mask.to(latent.device), height, width)
        if options.get("set_area_to_bounds"):
            area = _bounds(mask)
    inside = Area(height, width, 0, 0) if area is None else _within(area, height, width)
    return Extent(inside, area is not None, mask)


def _area(area: Sequence[Any] | None, height: int, width: int) -> Area | None:
    """Read ``(h, w, y, x)`` in latent pixels, or ``("percentage", h, w, y, x)`` in fractions of the latent."""
    if area is None:
        return None
    if area[0] == "percentage":
        h, w, y, x = area[1:]
        return Area(max(1, round(h * height)), max(1, round(w * width)), round(y * height), round(x * width))
    return Area(*area)


def _within(area: Area, height: int, width: int) -> Area:
    """Clip ``area`` to the latent. Raises ConditionError if it lies outside."""
    if not (0 <= area.top < height and 0 <= area.left < width and area.height > 0 and area.width > 0):
        raise ConditionError(
            f"a condition's area, {area.width} by {area.height} latent pixels at x {area.left}, y {area.top}, "
            f"lies outside the latent of {width} by {height}"
        )
    return area._replace(height=min(area.height, height - area.top), width=min(area.width, width - area.left))


def _resized_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """Resize a mask [H, W] or [B, H, W] to [B, height, width]."""
    mask = mask.reshape(-1, *mask.shape[-2:]).float()
    if mask.shape[-2:] != (height, width):
        mask = F.interpolate(mask.unsqueeze(1), size=(height, width), mode="bilinear").squeeze(1)
    return mask


def _bounds(mask: Tensor) -> Area:
    """Return the smallest area, at least 8 pixels a side, that contains all positive values of a mask [B, h, w]."""
    covered = mask.abs().amax(0) > 0
    rows, columns = covered.any(1).nonzero(), covered.any(0).nonzero()
    if len(rows) == 0:
        return Area(_SMALLEST_MASKED_AREA, _SMALLEST_MASKED_AREA, 0, 0)
    top, bottom = int(rows[0]), int(rows[-1])
    left, right = int(columns[0]), int(columns[-1])
    return Area(max(_SMALLEST_MASKED_AREA, bottom - top + 1), max(_SMALLEST_MASKED_AREA, right - left + 1), top, left)


def _ramped(area: Area, height: int, width: int) -> Tensor:
    """Weights [1, 1, area.height, area.width] that fall towards the edges inside the picture."""
    vertical = _ramp(area.height, area.top > 0, area.top + area.height < height)
    horizontal = _ramp(area.width, area.left > 0, area.left + area.width < width)
    return (vertical[:, None] * horizontal[None, :])[None, None]


def _ramp(side: int, at_start: bool, at_end: bool) -> Tensor:
    weights = torch.ones(side)
    length = min(_RAMP, side // 4)
    rise = torch.arange(1, length + 1) / length if length else torch.ones(0)
    if at_start:
        weights[:length] *= rise
    if at_end:
        weights[side - length :] *= rise.flip(0)
    return weights
