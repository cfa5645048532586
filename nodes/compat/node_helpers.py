"""``node_helpers``: small functions that nodes share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any


def conditioning_set_values(
    conditioning: Any, values: Mapping[str, Any] | None = None, append: bool = False
) -> list[list[Any]]:
    """Return a CONDITIONING with these options on every entry. ``append``: add to lists that exist."""
    changed = []
    for embedding, options in conditioning:
        new = dict(options)
        for name, value in (values or {}).items():
            new[name] = [*new[name], *value] if append and new.get(name) is not None else value
        changed.append([embedding, new])
    return changed


def pillow(fn: Callable[..., Any], arg: Any) -> Any:
    """Call ``fn(arg)``; if the file is damaged, call it again with truncated files allowed."""
    from PIL import ImageFile

    try:
        return fn(arg)
    except (OSError, ValueError):
        earlier = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return fn(arg)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = earlier


def hasher() -> Any:
    """Return the hash function for files."""
    return hashlib.sha256


def string_to_torch_dtype(string: str) -> Any:
    """``fp32``, ``fp16`` or ``bf16`` as torch's; None for another."""
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(string)


def image_alpha_fix(destination: Any, source: Any) -> tuple[Any, Any]:
    """Two pictures [B, H, W, C] with as many channels: alpha is dropped, or added as opaque."""
    import torch

    if destination.shape[-1] < source.shape[-1]:
        source = source[..., : destination.shape[-1]]
    elif destination.shape[-1] > source.shape[-1]:
        destination = torch.nn.functional.pad(destination, (0, 1))
        destination[..., -1] = 1.0
        source = torch.nn.functional.pad(source, (0, destination.shape[-1] - source.shape[-1]), value=1.0)
    return destination, source
