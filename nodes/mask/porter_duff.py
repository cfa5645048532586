"""Compositing with alpha: T. Porter, T. Duff, "Compositing Digital Images", SIGGRAPH 1984.

In addition to the paper's twelve operators, it has the separable blend modes of Android's
``PorterDuff.Mode``. Colours are premultiplied by alpha for the combination.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from nodes.mask.shape import as_batch
from nodes.resize import resize

Operator = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(source, source alpha, destination, destination alpha), premultiplied → colour and alpha."""

OPERATORS: Mapping[str, Operator] = {
    "ADD": lambda s, sa, d, da: ((s + d).clamp(0, 1), (sa + da).clamp(0, 1)),
    "CLEAR": lambda s, sa, d, da: (torch.zeros_like(d), torch.zeros_like(da)),
    "DARKEN": lambda s, sa, d, da: ((1 - da) * s + (1 - sa) * d + torch.minimum(s, d), sa + da - sa * da),
    "DST": lambda s, sa, d, da: (d, da),
    "DST_ATOP": lambda s, sa, d, da: (sa * d + (1 - da) * s, sa),
    "DST_IN": lambda s, sa, d, da: (sa * d, sa * da),
    "DST_OUT": lambda s, sa, d, da: ((1 - sa) * d, (1 - sa) * da),
    "DST_OVER": lambda s, sa, d, da: (d + (1 - da) * s, da + (1 - da) * sa),
    "LIGHTEN": lambda s, sa, d, da: ((1 - da) * s + (1 - sa) * d + torch.maximum(s, d), sa + da - sa * da),
    "MULTIPLY": lambda s, sa, d, da: (s * d, sa * da),
    "OVERLAY": lambda s, sa, d, da: (
        torch.where(2 * d < da, 2 * s * d, sa * da - 2 * (da - d) * (sa - s)),
        sa + da - sa * da,
    ),
    "SCREEN": lambda s, sa, d, da: (s + d - s * d, sa + da - sa * da),
    "SRC": lambda s, sa, d, da: (s, sa),
    "SRC_ATOP": lambda s, sa, d, da: (da * s + (1 - sa) * d, da),
    "SRC_IN": lambda s, sa, d, da: (da * s, sa * da),
    "SRC_OUT": lambda s, sa, d, da: ((1 - da) * s, (1 - da) * sa),
    "SRC_OVER": lambda s, sa, d, da: (s + (1 - sa) * d, sa + (1 - sa) * da),
    "XOR": lambda s, sa, d, da: ((1 - da) * s + (1 - sa) * d, (1 - da) * sa + (1 - sa) * da),
}


def composite(
    source: torch.Tensor,
    source_mask: torch.Tensor,
    destination: torch.Tensor,
    destination_mask: torch.Tensor,
    mode: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Combine pictures [B, H, W, 3] and masks [B, H, W] (1 - alpha) to a picture and a mask.

    All are scaled and centre-cropped to the destination's size; the result is as long as the shortest batch.
    """
    height, width = destination.shape[1:3]
    inputs = (source, as_batch(source_mask)[..., None], destination, as_batch(destination_mask)[..., None])
    count = min(values.shape[0] for values in inputs)
    s, source_hidden, d, destination_hidden = (_fitted(values[:count], width, height) for values in inputs)
    sa, da = 1.0 - source_hidden, 1.0 - destination_hidden
    color, alpha = OPERATORS[mode](s[..., :3] * sa, sa, d[..., :3] * da, da)
    color = torch.where(alpha > _INVISIBLE, color / alpha.clamp(min=_INVISIBLE), 0.0).clamp(0.0, 1.0)
    return color, (1.0 - alpha[..., 0]).contiguous()


_INVISIBLE = 1e-5
"""Alpha below which the colour of a pixel cannot be recovered."""


def _fitted(values: torch.Tensor, width: int, height: int) -> torch.Tensor:
    return resize(values.movedim(-1, 1), width, height, "bicubic", "center").movedim(1, -1).contiguous()
