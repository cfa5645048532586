"""``comfy.sampler_helpers``: CONDITIONING and masks as samplers take them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from nodes.sampling.inpainting import mask_for


def convert_cond(cond: Any) -> list[dict[str, Any]]:
    """Return a CONDITIONING, ``[[text, options], …]``, as dicts; dicts stay unchanged."""
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


def get_models_from_cond(cond: Iterable[Mapping[str, Any]], model_type: str) -> list[Any]:
    """Return the entries of a side's conditions under ``model_type``, such as ``control``."""
    return [entry[model_type] for entry in cond if entry.get(model_type) is not None]


def get_additional_models(conds: Mapping[str, Any], dtype: Any) -> tuple[list[Any], int]:
    """Return no additional models and 0 bytes: Sumi loads control networks itself."""
    return [], 0


def prepare_sampling(
    model: Any, noise_shape: Sequence[int], conds: Mapping[str, Any], model_options: Any = None, **_: Any
) -> tuple[Any, Mapping[str, Any], list[Any]]:
    """The model to sample with, the sides by name, and no additional models. Weights are loaded when they are used."""
    return model.patched_model(), conds, []


def cleanup_additional_models(models: Iterable[Any]) -> None:
    """Let models that a pack has loaded itself clean up after a run."""
    for model in models:
        if hasattr(model, "cleanup"):
            model.cleanup()


def cleanup_models(conds: Mapping[str, Any], models: Iterable[Any]) -> None:
    """:func:`cleanup_additional_models`, and the same for the control networks of the sides."""
    cleanup_additional_models(models)
    cleanup_additional_models(
        {id(m): m for side in conds.values() for m in get_models_from_cond(side, "control")}.values()
    )
