"""Enlarges pictures with an upscale model, in smaller tiles if memory is short."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import torch
from torch import Tensor

from graph.context import current, warn
from graph.machine_memory import available_memory
from nodes import device as devices
from nodes.models import residency
from nodes.tiles import tiled
from nodes.upscale.model import UpscaleModel
from nodes.upscale.spandrel_import import UpscaleModelError

log = logging.getLogger(__name__)

TILE: Final = 512
"""The side of the largest tile, in pixels of the small picture."""
SMALLEST_TILE: Final = 64
OVERLAP: Final = 32

_BYTES_A_PIXEL, _BYTES_AN_ENLARGED_PIXEL = 2000, 900
"""Memory that a tile takes for each of its pixels. Measured with ESRGAN's network at scales of 1 and 4."""


@torch.no_grad()
def enlarge(model: UpscaleModel, pictures: Tensor) -> Tensor:
    """Enlarge ``pictures`` [B, H, W, C] to [B, H · scale, W · scale, 3], 0..1, float32 on the CPU.

    Transparency is dropped. If memory is short, other networks are unloaded, then tiles get smaller; the log says so.
    Raises UpscaleModelError if not even the smallest tile fits, CheckpointError if the model's file changed.
    """
    device = devices.device()
    network = model.network(device)
    x = pictures[..., :3].movedim(-1, 1).float()
    tile = _fitting_tile(model.scale, device)
    freed = False
    while True:
        enlarged = _attempt(network, model, x, tile, device)
        if enlarged is not None:
            return enlarged.clamp_(0.0, 1.0).movedim(1, -1).contiguous()
        if not freed:
            freed = True
            residency.free_others(network.model)
        elif tile <= SMALLEST_TILE:
            raise UpscaleModelError(
                f"{model.path.name}: not enough memory for tiles of {tile} pixels; close other programs"
            )
        else:
            tile //= 2
            warn(log, f"Not enough memory: enlarging in tiles of {tile} pixels")


def _attempt(network: Any, model: UpscaleModel, x: Tensor, tile: int, device: torch.device) -> Tensor | None:
    """Return the enlarged pictures; None if memory is not enough. The error and its tensors are released by then."""
    try:
        overlap = min(OVERLAP, tile // 4)
        return tiled(_function(network, model, device), x, (tile, tile), overlap, Fraction(model.scale), tick=_tick)
    except torch.OutOfMemoryError:
        return None
    except RuntimeError as error:
        if "not enough memory" in str(error):  # the CPU's allocator has no error type
            return None
        raise


def _function(network: Any, model: UpscaleModel, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a function from [1, 3, h, w] to [1, 3, h · scale, w · scale]; one-channel models enlarge each colour."""

    def enlarged(piece: Tensor) -> Tensor:
        piece = piece.to(device)
        if model.channels == 1:
            return network(piece.transpose(0, 1)).transpose(0, 1)
        if model.channels == 4:
            piece = torch.cat([piece, torch.ones_like(piece[:, :1])], dim=1)
        return network(piece)[:, :3]

    return enlarged


def _fitting_tile(scale: int, device: torch.device) -> int:
    """Return the largest tile that fits in this machine's free memory. On a GPU, the attempt shows whether it fits."""
    free = available_memory() if device.type == "cpu" else None
    tile = TILE
    each = _BYTES_A_PIXEL + scale**2 * _BYTES_AN_ENLARGED_PIXEL
    while free is not None and tile > SMALLEST_TILE and tile**2 * each > free:
        tile //= 2
    if tile < TILE:
        warn(log, f"Memory is short: enlarging in tiles of {tile} pixels")
    return tile


def _tick(done: int, total: int) -> None:
    if (context := current()) is not None:
        context.progress(done, total)
