"""Turns numbers into colours: signed values, amounts from 0 to 1, and heat over a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import PIL.Image
import PIL.ImageDraw
import torch
import torch.nn.functional as F

from nodes.drawing.card import paper
from nodes.drawing.lettering import line_height, write
from nodes.drawing.style import MUTED, SMALL
from nodes.pictures.pixels import to_pillow

Anchors = Sequence[tuple[int, int, int]]

DIVERGING: Final[Anchors] = ((13, 71, 161), (100, 160, 220), (246, 246, 244), (236, 130, 90), (160, 20, 30))
"""Blue for negative numbers, white for 0, red for positive ones."""
SEQUENTIAL: Final[Anchors] = ((20, 12, 60), (95, 25, 120), (185, 45, 105), (245, 125, 60), (253, 240, 150))
"""Dark for little, light for much; rises evenly in lightness."""

_BAR_HEIGHT: Final = 24
_HEAT_SHOWN: Final = 0.7
"""Share of the heat's colour over a picture."""
_DIMMED: Final = 0.85
"""Brightness of the grey picture under the heat."""


def coloured(amounts: torch.Tensor, anchors: Anchors) -> torch.Tensor:
    """Interpolate ``anchors`` at ``amounts`` of any shape, 0..1 (clamped); returns [..., 3], 0..1. NaN is grey."""
    table = torch.tensor(anchors, dtype=torch.float32) / 255
    values = amounts.detach().float().cpu()
    place = values.nan_to_num(0.0).clamp(0, 1) * (len(table) - 1)
    below = place.floor().long().clamp(max=len(table) - 2)
    mixed = table[below].lerp(table[below + 1], (place - below).unsqueeze(-1))
    return torch.where(values.isnan().unsqueeze(-1), torch.tensor(0.5), mixed)


def signed(values: torch.Tensor, limit: float) -> torch.Tensor:
    """Colour values from -``limit`` (blue) over 0 (white) to ``limit`` (red): [h, w] to [h, w, 3], 0..1."""
    return coloured(values.detach().float().cpu() / (2 * max(limit, 1e-12)) + 0.5, DIVERGING)


def amounts(values: torch.Tensor, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """Colour values from ``low`` (dark) to ``high`` (light): [h, w] to [h, w, 3], 0..1."""
    return coloured((values.detach().float().cpu() - low) / max(high - low, 1e-12), SEQUENTIAL)


def heat_over(picture: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """Lay ``heat`` [h, w], 0..1, over ``picture`` [H, W, 3], 0..1, which is shown in grey. Returns [H, W, 3].

    The picture is dark where there is little heat, and light where there is much.
    """
    base = picture[..., :3].detach().float().cpu().clamp(0, 1)
    size = (base.shape[0], base.shape[1])
    heat = heat.detach().float().cpu().nan_to_num(0.0).clamp(0, 1)
    large = F.interpolate(heat[None, None], size=size, mode="bicubic", align_corners=False)[0, 0].clamp(0, 1)
    dimmed = base.mean(-1, keepdim=True).expand(-1, -1, 3) * _DIMMED
    return torch.lerp(dimmed, coloured(large, SEQUENTIAL), _HEAT_SHOWN)


def limit_of(values: torch.Tensor) -> float:
    """Return the absolute value that 99.5 % of ``values`` do not exceed: a limit for :func:`signed`."""
    sizes = values.detach().float().cpu().abs().flatten()
    finite = sizes[sizes.isfinite()].numpy()
    return (float(np.quantile(finite, 0.995)) if len(finite) else 0.0) or 1.0


@dataclass(frozen=True)
class HeatBar:
    """The colours of :func:`heat_over` from no heat to 1, over white above and over black below."""

    low: str
    high: str

    def render(self, width: int) -> PIL.Image.Image:
        """Draw the bar and the labels below it."""
        picture = torch.linspace(1, 0, _BAR_HEIGHT)[:, None, None].expand(-1, width, 3)
        return _labelled(heat_over(picture, torch.linspace(0, 1, width)[None]), self.low, self.high)


@dataclass(frozen=True)
class ColourBar:
    """The colours between two numbers, with a label for each end and optionally for the middle."""

    anchors: Anchors
    low: str
    high: str
    middle: str = ""

    def render(self, width: int) -> PIL.Image.Image:
        """Draw the bar and the labels below it."""
        ramp = torch.linspace(0, 1, width).expand(_BAR_HEIGHT, -1)
        return _labelled(coloured(ramp, self.anchors), self.low, self.high, self.middle)


def _labelled(bar: torch.Tensor, low: str, high: str, middle: str = "") -> PIL.Image.Image:
    """Return the picture of ``bar`` [H, W, 3] with the labels below it."""
    height, width = bar.shape[:2]
    picture = paper(width, height + line_height(SMALL) + 4)
    picture.paste(to_pillow(bar), (0, 0))
    top = height + 4
    write(picture, (0, top), low, SMALL, MUTED)
    write(picture, (width / 2, top), middle, SMALL, MUTED, anchor="ma")
    write(picture, (width, top), high, SMALL, MUTED, anchor="ra")
    return picture
