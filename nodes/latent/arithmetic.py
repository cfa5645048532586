"""Adds, mixes, cuts and pastes latents. The second operand is scaled and repeated to fit the first."""

from __future__ import annotations

import torch

from nodes.batches import repeat_to
from nodes.feather import ramp
from nodes.latent.batch import fit
from nodes.resize import SizeError


def matched(samples: torch.Tensor, like: torch.Tensor, method: str = "bilinear") -> torch.Tensor:
    """Return ``samples`` with exactly the shape of ``like`` [B, C, H, W]."""
    return repeat_to(fit(samples, like, method), like.shape[0])


def interpolate(first: torch.Tensor, second: torch.Tensor, ratio: float) -> torch.Tensor:
    """Mix ``ratio`` of ``first`` with 1 - ``ratio`` of ``second``; directions and lengths are mixed separately.

    Both are [B, C, H, W]; the vectors are along C. The mean of opposite directions is zero.
    """
    first_length = torch.linalg.vector_norm(first, dim=1, keepdim=True)
    second_length = torch.linalg.vector_norm(second, dim=1, keepdim=True)
    mixed = _direction(first, first_length) * ratio + _direction(second, second_length) * (1.0 - ratio)
    length = torch.linalg.vector_norm(mixed, dim=1, keepdim=True)
    return _direction(mixed, length) * (first_length * ratio + second_length * (1.0 - ratio))


def _direction(vectors: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    return torch.where(length > 0, vectors / length, 0.0)


AXES = {"x": -1, "y": -2, "t": -3}
"""Axis by name, from the end; ``t`` is time in latents of videos and the channels in latents of pictures."""


def cut(samples: torch.Tensor, axis: str, index: int, amount: int) -> torch.Tensor:
    """Return ``amount`` rows, columns or frames from ``index`` on; a negative index counts from the end."""
    size = samples.shape[AXES[axis]]
    start = min(index, size - 1) if index >= 0 else max(size + index, 0)
    return samples.narrow(AXES[axis], start, min(amount, size - start)).contiguous()


def concatenate(first: torch.Tensor, second: torch.Tensor, axis: str) -> torch.Tensor:
    """Join two latents along ``axis``; ``-x`` puts the second one first. Raises SizeError if other sides differ."""
    dim = AXES[axis.removeprefix("-")]
    second = repeat_to(second, first.shape[0])
    pair = (second, first) if axis.startswith("-") else (first, second)
    try:
        return torch.cat(pair, dim)
    except RuntimeError as error:
        raise SizeError(
            f"latents of {list(first.shape)} and {list(second.shape)} cannot be joined along {axis}: "
            "their other sides must be equal"
        ) from error


def paste(destination: torch.Tensor, source: torch.Tensor, x: int, y: int, feather: int) -> torch.Tensor:
    """Paste ``source`` on ``destination`` [B, C, H, W] at column ``x``, row ``y``, in latent values.

    The source fades in over ``feather`` values from each of its edges inside the destination.
    """
    height, width = destination.shape[-2:]
    source = repeat_to(source, destination.shape[0])[..., : max(height - y, 0), : max(width - x, 0)]
    rows, columns = source.shape[-2:]
    down = ramp(rows, feather, y > 0, y + rows < height).to(source)
    across = ramp(columns, feather, x > 0, x + columns < width).to(source)
    weight = down[:, None] * across
    result = destination.clone()
    place = result[..., y : y + rows, x : x + columns]
    place.copy_(source * weight + place * (1.0 - weight))
    return result


def crop(samples: torch.Tensor, width: int, height: int, x: int, y: int) -> torch.Tensor:
    """Return a window of ``samples`` [B, C, H, W], all in latent values; it is at least 8 × 8 if possible."""
    rows, columns = samples.shape[-2:]
    x, y = max(min(x, columns - 8), 0), max(min(y, rows - 8), 0)
    return samples[..., y : y + height, x : x + width].contiguous()
