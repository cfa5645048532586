"""``comfy.lora``: functions for LoRA files: names of layers, weight patches, and weights with patches applied."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nodes.compat.comfy.weight_adapter import adapter_of, change_of
from nodes.lora.key_names import UNET, flat, part_of
from nodes.lora.layer_changes import ALPHA, BIASES, has_change
from nodes.lora.parsing import parse
from nodes.models.diffusers_names import diffusers_names
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.weight_patches import WeightPatch

log = logging.getLogger(__name__)

_MISSING: tuple[Any, ...] = (1.0, None, 1.0, None, None)
_WEIGHT = ".weight"
_ALONE = {"g": ["lora_te2_", "lora_te_"]}
"""Name prefixes for a family's only text encoder, if they differ from the usual ones."""


def model_lora_keys_unet(model: Any, key_map: dict[str, Any] | None = None) -> dict[str, Any]:
    """Map layer names of LoRA files, in every spelling, to tensors of the U-Net, as ``add_patches`` takes them.

    ``model`` is the MODEL's ``model``. The names are added to ``key_map``, which is returned.
    """
    found = {} if key_map is None else key_map
    config = model.translation.predictor.model.config
    tensors = unet_shapes(config)
    for layer, published in diffusers_names(config).items():
        target = f"diffusion_model.{layer}{_WEIGHT}"
        if layer + _WEIGHT not in tensors:
            continue
        found[f"diffusion_model.{layer}"] = target
        for name in (layer, published):
            found[f"lora_unet_{flat(name)}"] = target
            found[f"lycoris_{flat(name)}"] = target
            found[f"unet.{name}"] = target
            if name.endswith("to_out.0"):
                found[f"unet.{name.removesuffix('.0')}"] = target
    return found


def model_lora_keys_clip(model: Any, key_map: dict[str, Any] | None = None) -> dict[str, Any]:
    """The same for text encoders. ``model`` is the CLIP's ``cond_stage_model``."""
    found = {} if key_map is None else key_map
    encoders = model.clip_handle.encoders
    for number, encoder in enumerate(encoders, start=1):
        name = encoder.role.name
        prefixes = [f"lora_te{number}_"] if len(encoders) > 1 else _ALONE.get(name, ["lora_te_", "lora_te1_"])
        dotted = "text_encoder" if number == 1 else f"text_encoder_{number}"
        for tensor in text_shapes(encoder.config):
            layer = tensor.removesuffix(_WEIGHT)
            if layer == tensor:
                continue
            target = f"clip_{name}.transformer.{tensor}"
            found |= {f"{prefix}{flat(layer)}": target for prefix in prefixes}
            found[f"{dotted}.{layer}"] = found[f"text_encoders.clip_{name}.transformer.{layer}"] = target
    return found


def load_lora(lora: Mapping[str, Tensor], to_load: Mapping[str, Any], log_missing: bool = True) -> dict[Any, Any]:
    """Return the changes that a LoRA's tensors describe, by the tensors that they change: what ``add_patches`` takes.

    ``to_load`` is what :func:`model_lora_keys_unet` and :func:`model_lora_keys_clip` give. Tensors for other layers
    are left out, which the log says. Raises LoraError for tensors that form no change.
    """
    targets: dict[Any, Any] = {_place(key): target for key, target in to_load.items()} | dict(to_load)
    contents = parse(lora)
    patches: dict[Any, Any] = {}
    missing = list(contents.rest)
    for layer in contents.layers:
        target = targets.get(layer.key, targets.get(_place(layer.key)))
        if target is None:
            missing += layer.names.values()
            continue
        tensors = {ending: lora[name] for ending, name in layer.names.items()}
        alpha = tensors.pop(ALPHA, None)
        for ending in BIASES:
            if ending in tensors and isinstance(target, str):
                patches[target.removesuffix(_WEIGHT) + ".bias"] = ("diff", (tensors.pop(ending),))
        if has_change(tensors):
            number = None if alpha is None else float(alpha)
            patches[target] = adapter_of(set(layer.names.values()), tensors, number)
    if missing and log_missing:
        log.warning("%d of %d tensors of a LoRA have no place in the model: %s …", len(missing), len(lora), missing[0])
    return patches


def calculate_weight(
    patches: Sequence[Any],
    weight: Tensor,
    key: str,
    intermediate_dtype: torch.dtype = torch.float32,
    original_weights: Any = None,
) -> Tensor:
    """``weight`` after ``patches``, each (strength, change, scale, part, function). Raises WeightPatchError."""
    for patch in patches:
        strength, change, scale, part, function = (*tuple(patch), *_MISSING[len(patch) :])
        made = WeightPatch(key, change_of(key, change), strength, scale, part, function)
        weight = made(weight.to(intermediate_dtype))
    return weight


def _place(key: str) -> tuple[str, str]:
    """Return the network that a layer's name addresses, and the layer, however the name is spelled."""
    part, rest = part_of(key)
    return {None: UNET, "l": "first", "g": "second"}.get(part, part) or UNET, flat(rest)
