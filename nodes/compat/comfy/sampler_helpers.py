"""``comfy.sampler_helpers``: CONDITIONING and masks as samplers take them."""

from __future__ import annotations

import uuid
from typing import Any

from torch import Tensor

from nodes.sampling.inpainting import mask_for


def convert_cond(cond: Any) -> list[dict[str, Any]]:
    """A CONDITIONING, ``[[text, options], …]``, as dicts; what is a dict already stays one."""
    converted = []
    for entry in cond:
        if isinstance(entry, dict):
            converted.append(dict(entry))
            continue
        text, options = entry
        made = {**options, "model_conds": dict(options.get("model_conds", {})), "uuid": uuid.uuid4()}
        if text is not None:
            made["cross_attn"] = text
        converted.append(made)
    return converted


def prepare_mask(noise_mask: Tensor, shape: Any, device: Any) -> Tensor:
    """A noise mask of any size in the shape of a latent."""
    return mask_for(noise_mask.new_zeros(tuple(shape)).float(), noise_mask).to(device)
