"""The CLIP_VISION and CLIP_VISION_OUTPUT values that nodes exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.contents import AbsentModelError, description_of
from nodes.models.handle import Handle
from nodes.models.networks import network_factory
from nodes.models.vision_config import (
    PATCHES,
    UnknownVisionError,
    VisionConfig,
    detect_vision,
    expected_shapes,
    is_optional,
    vision_prefix,
)
from nodes.models.weights import Weights, weights_at

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

VisionWeights: TypeAlias = Weights[VisionConfig]


@dataclass(frozen=True)
class ClipVision(Handle):
    """An image encoder of CLIP."""

    weights: VisionWeights

    @property
    def config(self) -> VisionConfig:
        """Return the encoder's width and depth."""
        return self.weights.config

    def network(self) -> Module:
        """Return the encoder with its weights, on the configured device and in the configured precision.

        Raises CheckpointError if its file changed, or holds NaN or infinity.
        """
        from nodes import device

        return self.weights.resident(network_factory(VisionConfig), device.text_dtype(), device.device())


@dataclass(frozen=True, eq=False)
class ClipVisionOutput(Handle):
    """The output of an image encoder; float32, on the CPU. Fields can be read as attributes or by name.

    ``last_hidden_state`` and ``penultimate_hidden_states`` [B, 1 + patches, width], ``image_embeds`` [B, projection].
    """

    last_hidden_state: Tensor
    penultimate_hidden_states: Tensor
    image_embeds: Tensor

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    @property
    def nbytes(self) -> int:
        """Return the bytes of the tensors."""
        return self.last_hidden_state.nbytes + self.penultimate_hidden_states.nbytes + self.image_embeds.nbytes


def clip_vision_in(checkpoint: Checkpoint) -> ClipVision:
    """Return the image encoder in ``checkpoint``: a separate file, a complete CLIP, or a checkpoint that includes one.

    Raises AbsentModelError with a description of the file if there is none; CheckpointError naming missing tensors
    and tensors of the wrong shape.
    """
    prefix = vision_prefix(checkpoint.shapes)
    if prefix is None:
        raise AbsentModelError(
            f"{checkpoint.path}: holds no CLIP vision model (no tensor {PATCHES}): it {description_of(checkpoint)}; "
            "expected an image encoder such as CLIP ViT-L, ViT-H or ViT-bigG"
        )
    try:
        config = detect_vision(checkpoint.shapes, prefix)
    except UnknownVisionError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    return ClipVision(weights_at(checkpoint, prefix, config, expected_shapes(config), _belongs_to_others(prefix)))


def _belongs_to_others(prefix: str) -> Any:
    """Return a test for expected additional tensors: with an empty prefix, the file may be a complete checkpoint."""
    return lambda name: is_optional(name) or (prefix == "" and not name.startswith(("vision_model.", "visual_")))
