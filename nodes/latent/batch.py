"""Latent batches: taking out, repeating, joining, without losing which noise an item draws.

``batch_index`` names the noise of each item: the sampler draws one noise per index, in order,
from the seed, so an item taken out of a batch becomes the same picture that it is in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nodes.batches import repeat_to
from nodes.latent.empty import PIXELS
from nodes.resize import SizeError, resize
from nodes.types import LatentDict


def indices(latent: LatentDict, start: int = 0) -> list[int]:
    """Which noise each item draws: the latent's own ``batch_index``, or counting from ``start``."""
    own = latent.get("batch_index")
    if own is not None:
        return list(own)
    return list(range(start, start + latent["samples"].shape[0]))


def take(latent: LatentDict, start: int, length: int) -> LatentDict:
    """Items ``start`` to ``start + length`` of a batch, or what there is of them; at least one."""
    size = latent["samples"].shape[0]
    start = min(start, size - 1)
    stop = min(start + length, size)
    taken: LatentDict = {**latent, "samples": latent["samples"][start:stop], "batch_index": indices(latent)[start:stop]}
    mask = latent.get("noise_mask")
    if mask is not None and mask.shape[0] > 1:
        taken["noise_mask"] = repeat_to(mask, size)[start:stop]
    return taken


def repeat(latent: LatentDict, amount: int) -> LatentDict:
    """The whole batch ``amount`` times over. Given indices go on counting, so that each repetition differs."""
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
    """Both batches as one; the second is scaled and cropped to the first's size."""
    joined = torch.cat((first["samples"], fit(second["samples"], first["samples"])))
    return {**first, "samples": joined, "batch_index": [*indices(first), *indices(second)]}


def fit(samples: torch.Tensor, like: torch.Tensor, method: str = "bilinear") -> torch.Tensor:
    """``samples`` [b, C, h, w] scaled and centre-cropped to the height and width of ``like`` [B, C, H, W].

    Raises SizeError if the number of channels differs.
    """
    if samples.shape[1] != like.shape[1]:
        raise SizeError(
            f"latents of {samples.shape[1]} and {like.shape[1]} channels cannot be put together: "
            "they belong to different kinds of models"
        )
    if samples.shape[2:] == like.shape[2:]:
        return samples
    return resize(samples, like.shape[-1], like.shape[-2], method, "center")


def rebatch(latents: Sequence[LatentDict], size: int) -> list[LatentDict]:
    """The items of all ``latents``, in order, in batches of ``size``.

    A batch ends early where the next item has another shape. Items keep the noise they would
    draw if all were one batch.
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
    """Latents of one shape → batches of ``size``, the last one perhaps shorter."""
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
    """The noise mask of every item in pixels, [B, 1, 8h, 8w]; ones where there is none."""
    count, _, rows, columns = latent["samples"].shape
    height, width = rows * PIXELS, columns * PIXELS
    mask = latent.get("noise_mask")
    if mask is None:
        return torch.ones(count, 1, height, width)
    return repeat_to(resize(mask.reshape(-1, 1, *mask.shape[-2:]), width, height, "bilinear"), count)
