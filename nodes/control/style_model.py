"""STYLE_MODEL, the handle of a style adapter, and its use: a picture's style as additional tokens of a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nodes.control.handle import ControlError
from nodes.control.style_config import StyleConfig, detect_style, expected_shapes
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import AbsentModelError, description_of
from nodes.models.handle import Handle
from nodes.models.networks import network_factory
from nodes.models.weights import Weights, weights_at

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class StyleModel(Handle):
    """A T2I style adapter."""

    weights: Weights[StyleConfig]

    def tokens(self, output: Any) -> Tensor:
        """Return the tokens [B, tokens, context] of pictures, from their ClipVisionOutput; float32, on the CPU.

        Raises ControlError if it is not the adapter's image encoder, CheckpointError if the file changed.
        """
        import torch

        from nodes import device

        found, config = output.last_hidden_state, self.weights.config
        if found.shape[-1] != config.width:
            raise ControlError(
                f"{self.weights.path.name} takes the tokens of an image encoder {config.width} wide, but got "
                f"{found.shape[-1]}: encode the picture with CLIP ViT-L"
            )
        network = self.weights.resident(network_factory(StyleConfig), device.text_dtype(), device.device())
        with torch.no_grad():
            tokens: Tensor = network(found.to(device.device())).float().cpu()
        return tokens


def style_model_in(checkpoint: Checkpoint) -> StyleModel:
    """Return the style adapter of ``checkpoint``.

    Raises AbsentModelError, saying what the file is, if it holds none; CheckpointError naming missing and misshapen
    tensors.
    """
    config = detect_style(checkpoint.shapes)
    if config is None:
        raise AbsentModelError(
            f"{checkpoint.path}: holds no style model (no tensor style_embedding): it {description_of(checkpoint)}; "
            "expected a T2I style adapter"
        )
    return StyleModel(weights_at(checkpoint, "", config, expected_shapes(config)))
