"""Blend modes of pictures [B, H, W, C], 0..1: W3C Compositing and Blending Level 1, section 10."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from nodes.batches import repeat_to
from nodes.pictures.fitting import scale, with_channels

Mode = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _screen(below: torch.Tensor, above: torch.Tensor) -> torch.Tensor:
    return 1.0 - (1.0 - below) * (1.0 - above)


def _overlay(below: torch.Tensor, above: torch.Tensor) -> torch.Tensor:
    return torch.where(below <= 0.5, 2.0 * below * above, 1.0 - 2.0 * (1.0 - below) * (1.0 - above))


def _soft_light(below: torch.Tensor, above: torch.Tensor) -> torch.Tensor:
    lighter = torch.where(below <= 0.25, ((16.0 * below - 12.0) * below + 4.0) * below, below.clamp(min=0.0).sqrt())
    return torch.where(
        above <= 0.5,
        below - (1.0 - 2.0 * above) * below * (1.0 - below),
        below + (2.0 * above - 1.0) * (lighter - below),
    )


MODES: Mapping[str, Mode] = {
    "normal": lambda below, above: above,
    "multiply": torch.mul,
    "screen": _screen,
    "overlay": _overlay,
    "soft_light": _soft_light,
    # Negative differences become black, as in ComfyUI; the W3C's definition uses the absolute value.
    "difference": torch.sub,
}


def blend(below: torch.Tensor, above: torch.Tensor, factor: float, mode: str) -> torch.Tensor:
    """Return ``factor`` of the blend plus 1 - ``factor`` of ``below``, clamped to 0..1.

    ``above`` is scaled and centre-cropped to ``below``'s size and gets its channels; a single picture is combined
    with every picture of the other batch.
    """
    above = with_channels(above.to(below), below.shape[-1])
    if above.shape[1:3] != below.shape[1:3]:
        above = scale(above, below.shape[2], below.shape[1], "bicubic", "center")
    if 1 not in (above.shape[0], below.shape[0]):
        above = repeat_to(above, below.shape[0])
    return torch.lerp(below, MODES[mode](below, above), factor).clamp(0.0, 1.0)
