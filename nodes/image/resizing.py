"""Resizes pictures and masks by any of several rules. IMAGE is [B, H, W, C], MASK [B, H, W]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nodes.image import sizes
from nodes.resize import resize


def resized(value: torch.Tensor, rule: Mapping[str, Any], method: str) -> torch.Tensor:
    """``value``, an IMAGE or a MASK, at the size of ``rule``: its ``resize_type`` and that choice's inputs.

    Raises SizeError for an empty size.
    """
    samples = value.movedim(-1, 1) if value.ndim == 4 else value.unsqueeze(1)
    if rule["resize_type"] == "scale to multiple":
        done = to_multiple(samples, rule["multiple"], method)
    else:
        width, height = target(value, rule)
        done = resize(samples, width, height, method, rule.get("crop", "disabled"))
    return (done.movedim(1, -1) if value.ndim == 4 else done.squeeze(1)).contiguous()


def to_multiple(samples: torch.Tensor, multiple: int, method: str) -> torch.Tensor:
    """Scale ``samples`` [B, C, H, W] to cover the next lower multiples of its sides, then crop the centre.

    The aspect ratio is kept. Where one side already is a multiple, nothing is resampled, only cropped. As in ComfyUI,
    samples with a side below ``multiple`` are returned unchanged.
    """
    height, width = samples.shape[-2:]
    columns, rows = width - width % multiple, height - height % multiple
    if columns == 0 or rows == 0:
        return samples
    if columns * height >= rows * width:
        scaled_width, scaled_height = columns, -(-height * columns // width)
    else:
        scaled_width, scaled_height = -(-width * rows // height), rows
    if (scaled_width, scaled_height) != (width, height):
        samples = resize(samples, scaled_width, scaled_height, method)
    x, y = (scaled_width - columns) // 2, (scaled_height - rows) // 2
    return samples[..., y : y + rows, x : x + columns]


def target(value: torch.Tensor, rule: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height by a rule that keeps the whole picture, or crops to the given sides."""
    height, width = value.shape[1:3]
    match rule["resize_type"]:
        case "scale dimensions":
            return sizes.follow(value, rule["width"], rule["height"])
        case "scale by multiplier":
            return sizes.times(value, rule["multiplier"])
        case "scale longer dimension":
            return sizes.times(value, rule["longer_size"] / max(width, height))
        case "scale shorter dimension":
            return sizes.times(value, rule["shorter_size"] / min(width, height))
        case "scale width":
            return sizes.follow(value, rule["width"], 0)
        case "scale height":
            return sizes.follow(value, 0, rule["height"])
        case "scale total pixels":
            return sizes.of_megapixels(value, rule["megapixels"], rule["multiple"])
        case "match size":
            return rule["match"].shape[2], rule["match"].shape[1]
    raise ValueError(f"resize_type '{rule['resize_type']}'")
