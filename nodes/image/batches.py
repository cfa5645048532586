"""Joins pictures, masks or latents of different sizes as one batch: later ones are resized to the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from graph.errors import SumiError
from nodes.image.arrange import join
from nodes.resize import resize


class BatchError(SumiError):
    """Values of different kinds cannot be joined. The message names the kinds."""


def joined_images(images: Sequence[Tensor]) -> Tensor:
    """All pictures [B, H, W, C] in one batch; a missing alpha is 1."""
    batch = images[0]
    for other in images[1:]:
        batch = join(batch, other)
    return batch.contiguous()


def joined_masks(masks: Sequence[Tensor]) -> Tensor:
    """All masks [B, H, W] in one batch."""
    listed = [mask.reshape(-1, *mask.shape[-2:]) for mask in masks]
    height, width = listed[0].shape[1:]
    return torch.cat([resize(mask.unsqueeze(1), width, height, "bilinear", "center").squeeze(1) for mask in listed])


def joined_latents(latents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All latents in one batch, with noise masks and batch indices if any has them.

    Raises BatchError for latents of different channels.
    """
    first = latents[0]["samples"]
    height, width = first.shape[-2:]
    channels = {latent["samples"].shape[1] for latent in latents}
    if len(channels) > 1:
        raise BatchError(f"latents with {' and '.join(map(str, sorted(channels)))} channels cannot be joined")
    samples = [resize(latent["samples"], width, height, "bilinear", "center") for latent in latents]
    result: dict[str, Any] = {**latents[0], "samples": torch.cat(samples)}
    if any("noise_mask" in latent for latent in latents):
        masks = []
        for latent, own in zip(latents, samples, strict=True):
            mask = latent.get("noise_mask")
            flat = torch.ones(1, height * 8, width * 8) if mask is None else mask.reshape(-1, *mask.shape[-2:])
            masks.append(flat[torch.arange(len(own)) % len(flat)])
        result["noise_mask"] = joined_masks(masks)
    if any("batch_index" in latent for latent in latents):
        indices: list[int] = []
        for latent, own in zip(latents, samples, strict=True):
            start = max(indices, default=-1) + 1
            indices += latent.get("batch_index", range(start, start + len(own)))
        result["batch_index"] = indices
    return result


def joined(values: Sequence[Any]) -> Any:
    """Pictures, masks or latents, whichever they are. Raises BatchError if they are of different kinds."""
    kinds = {_kind(value) for value in values}
    if len(kinds) > 1:
        raise BatchError(f"{' and '.join(sorted(kinds))} cannot be joined; connect values of one kind")
    kind = kinds.pop()
    if kind == "latents":
        return joined_latents(values)
    return joined_images(values) if kind == "images" else joined_masks(values)


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "latents"
    return "images" if value.ndim == 4 else "masks"
