"""Opens control networks, and detects their kind from the names and shapes of the tensors."""

from __future__ import annotations

from typing import Final

from nodes.control.adapter_config import detect_adapter
from nodes.control.adapter_config import expected_shapes as adapter_shapes
from nodes.control.control_lora import MARKER
from nodes.control.controlnet_config import ControlNetConfig, detect_controlnet, expected_shapes
from nodes.control.handle import ControlHandle, ControlLora, ControlNet, T2IAdapter
from nodes.control.stored_changes import ModelWeight
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.contents import AbsentModelError, description_of
from nodes.models.handle import Model
from nodes.models.unet_config import encoder_shapes
from nodes.models.unet_detection import UnknownUNetError
from nodes.models.weight_patches import WeightPatch, by_name
from nodes.models.weights import Weights, weights_at

_PREFIXES: Final = ("control_model.", "")
_ADAPTER_PREFIXES: Final = ("adapter.", "")
_DIFFERENCE: Final = "difference"
"""Marks a ControlNet whose weights are differences from a model's."""


def control_in(checkpoint: Checkpoint, pools: bool = False) -> ControlHandle:
    """Return the control network of ``checkpoint``.

    With ``pools``, the residuals of a ControlNet are averaged over the picture.

    Raises AbsentModelError, saying what the file is, if it holds none. Raises CheckpointError if tensors are missing
    or misshapen, and for a ControlNet stored as a difference, which needs a model (:func:`difference_in`).
    """
    if _DIFFERENCE in checkpoint.shapes:
        raise CheckpointError(
            f"{checkpoint.path}: is a ControlNet stored as a difference from a model; "
            "load it with DiffControlNetLoader, which adds that model"
        )
    if MARKER in checkpoint.shapes:
        return _control_lora(checkpoint)
    for prefix in _ADAPTER_PREFIXES:
        adapter = detect_adapter(checkpoint.shapes, prefix)
        if adapter is not None:
            return T2IAdapter(weights_at(checkpoint, prefix, adapter, adapter_shapes(adapter)))
    return ControlNet(_controlnet_weights(checkpoint), pools=pools)


def _control_lora(checkpoint: Checkpoint) -> ControlLora:
    shapes = checkpoint.shapes
    skips: list[int] = []
    while f"zero_convs.{len(skips)}.0.weight" in shapes:
        skips.append(shapes[f"zero_convs.{len(skips)}.0.weight"][0])
    hint = shapes.get("input_hint_block.0.weight", ())
    downs = [shape for name, shape in shapes.items() if name.endswith(".attn2.to_k.down")]
    if len(hint) != 4 or not skips or not downs or len(downs[0]) != 2:
        raise CheckpointError(
            f"{checkpoint.path}: is marked as a ControlLora, but lacks input_hint_block.0.weight, zero_convs or "
            "low-rank differences of attention (….attn2.to_k.down)"
        )
    return ControlLora(checkpoint.path, checkpoint.fingerprint, hint, tuple(skips), downs[0][1])


def _controlnet_weights(checkpoint: Checkpoint) -> Weights[ControlNetConfig]:
    prefix = next((p for p in _PREFIXES if f"{p}input_hint_block.0.weight" in checkpoint.shapes), None)
    if prefix is None:
        raise AbsentModelError(
            f"{checkpoint.path}: holds no control network: it {description_of(checkpoint)}; "
            "expected a ControlNet, a T2I-Adapter or a ControlLora"
        )
    try:
        config = detect_controlnet(checkpoint.shapes, prefix)
    except UnknownUNetError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    return weights_at(checkpoint, prefix, config, expected_shapes(config))


def difference_in(checkpoint: Checkpoint, model: Model, pools: bool = False) -> ControlHandle:
    """Return the network as :func:`control_in` does, but add weights stored as differences to those of ``model``.

    Raises ControlError if the ControlNet does not fit the model.
    """
    if _DIFFERENCE not in checkpoint.shapes:
        return control_in(checkpoint, pools)
    control = ControlNet(_controlnet_weights(checkpoint), pools=pools)
    control.check(model)
    own = by_name(model.patches)
    patches = tuple(
        WeightPatch(name, ModelWeight(model.weights, name, tuple(own.get(name, ()))))
        for name in encoder_shapes(model.config)
        if name in encoder_shapes(control.config.unet)
    )
    return ControlNet(control.weights, patches, pools=pools)
