"""Takes items out of latent batches, repeats and joins them, and keeps track of each item's noise.

``batch_index`` identifies the noise of each item: the sampler draws one noise per index, in order,
from the seed, so an item alone gives the same picture as in its batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nodes.batches import repeat_to
from nodes.latent.empty import PIXELS
from nodes.resize import SizeError, resize
from nodes.types import LatentDict


def indices(latent: LatentDict, start: int = 0) -> list[int]:
    """Return the index of each item's noise: the latent's own ``batch_index``, or numbers from ``start`` on."""
    own = latent.get("batch_index")
    if own is not None:
        return list(own)
    return list(range(start, start + latent["samples"].shape[0]))


def take(latent: LatentDict, start: int, length: int) -> LatentDict:
    """Return the existing items from ``start`` to ``start + length`` of a batch; at least one."""
    size = latent["samples"].shape[0]
    start = min(start, size - 1)
    stop = min(start + length, size)
    taken: LatentDict = {**latent, "samples": latent["samples"][start:stop], "batch_index": indices(latent)[start:stop]}
    mask = latent.get("noise_mask")
    if mask is not None and mask.shape[0] > 1:
        taken["noise_mask"] = repeat_to(mask, size)[start:stop]
    return taken


def repeat(latent: LatentDict, amount: int) -> LatentDict:
    """Repeat the whole batch ``amount`` times. Existing indices are continued, so that each repetition differs."""
    samples = latent["samples"]
    repeated: LatentDict = {**latent, "samples": samples.repeat(amount, *[1] * (samples.ndim - 1))}
    mask = latent.get("noise_mask")
    if mask is not None and mask.shape[0] > 1:
        repeated["noise_mask"] = repeat_to(repeat_to(mask, samples.shape[0]), samples.shape[0] * amount)
    own = latent.get("batch_index")
    if own is not None:
        span = max(own) - min(own) + 1
        repeated["batch_index"] = [index + turn * span for turn in range(amount) for index in own]
    return repeated


def join(first: LatentDict, second: LatentDict) -> LatentDict:
    """Join both batches; the second is scaled and cropped to the first's size."""
    joined = torch.cat((first["samples"], fit(second["samples"], first["samples"])))
    return {**first, "samples": joined, "batch_index": [*indices(first), *indices(second)]}


def fit(samples: torch.Tensor, like: torch.Tensor, method: str = "bilinear") -> torch.Tensor:
    """Scale and centre-crop ``samples`` [b, C, h, w] to the height and width of ``like`` [B, C, H, W].

    Raises SizeError if the number of channels differs.
    """
    if samples.shape[1] != like.shape[1]:
        raise SizeError(
            f"latents of {samples.shape[1]} and {like.shape[1]} channels cannot be combined: "
            "they belong to different kinds of models"
        )
    if samples.shape[2:] == like.shape[2:]:
        return samples
    return resize(samples, like.shape[-1], like.shape[-2], method, "center")


def rebatch(latents: Sequence[LatentDict], size: int) -> list[LatentDict]:
    """Regroup the items of all ``latents``, in order, into batches of ``size``.

    A batch ends early if the next item has another shape. Items keep the noise that they would
    draw in a single batch.
    """
    batches: list[LatentDict] = []
    seen = 0
    run: list[LatentDict] = []
    for latent in latents:
        if run and latent["samples"].shape[1:] != run[0]["samples"].shape[1:]:
            batches += _split(run, size)
            run = []
        run.append({**latent, "batch_index": indices(latent, seen)})
        seen += latent["samples"].shape[0]
    return batches + (_split(run, size) if run else [])


def _split(run: Sequence[LatentDict], size: int) -> list[LatentDict]:
    """Split latents of one shape into batches of ``size``; the last one may be shorter."""
    samples = torch.cat([latent["samples"] for latent in run])
    batch_index = [index for latent in run for index in latent["batch_index"]]
    masked = any("noise_mask" in latent for latent in run)
    masks = torch.cat([_full_mask(latent) for latent in run]) if masked else None
    batches: list[LatentDict] = []
    for start in range(0, samples.shape[0], size):
        part = slice(start, start + size)
        batch: LatentDict = {"samples": samples[part], "batch_index": batch_index[part]}
        if masks is not None and bool((masks[part] != 1.0).any()):
            batch["noise_mask"] = masks[part]
        batches.append(batch)
    return batches


def _full_mask(latent: LatentDict) -> torch.Tensor:
    """Return the noise mask of every item in pixels, [B, 1, 8h, 8w]; ones for items without a mask."""
    count, _, rows, columns = latent["samples"].shape
    height, width = rows * PIXELS, columns * PIXELS
    mask = latent.get("noise_mask")
    if mask is None:
        return torch.ones(count, 1, height, width)
    return repeat_to(resize(mask.reshape(-1, 1, *mask.shape[-2:]), width, height, "bilinear"), count)
