"""GLIGEN: phrases with boxes as part of a prompt, between nodes and during a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from nodes.control.gligen_config import (
    BOXES,
    GligenConfig,
    UnknownGligenError,
    detect_gligen,
    expected_shapes,
    gligen_prefix,
    transformers,
)
from nodes.control.handle import ControlError
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.contents import AbsentModelError, description_of
from nodes.models.handle import Handle, Model
from nodes.models.networks import network_factory
from nodes.models.weights import Weights, weights_at

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from nodes.sampling.areas import Area


@dataclass(frozen=True)
class Gligen(Handle):
    """A GLIGEN model for text boxes."""

    weights: Weights[GligenConfig]

    def check(self, model: Model) -> None:
        """Raise ControlError, naming both, unless the GLIGEN model fits the U-Net of ``model``."""
        if transformers(model.config) != self.weights.config.places:
            raise ControlError(
                f"{self.weights.path.name} is a GLIGEN model for a U-Net with attention in "
                f"{len(self.weights.config.places)} places of {sorted({c for _, c in self.weights.config.places})} "
                f"channels, but the model is {model.family.label}. Published GLIGEN models are for SD1."
            )

    def network(self) -> Module:
        """Return the network with its weights. Raises CheckpointError if its file changed, or for NaN or infinity."""
        from nodes import device

        dtype = device.unet_dtype(self.weights.parameters)
        return self.weights.resident(network_factory(GligenConfig), dtype, device.device())


class Box(NamedTuple):
    """A phrase's embedding [1, text] and its box, in latent pixels."""

    phrase: Tensor
    height: int
    width: int
    top: int
    left: int


@dataclass(frozen=True, eq=False)
class AppliedBoxes(Handle):
    """The value of the option ``gligen`` of a CONDITIONING's entry."""

    gligen: Gligen
    boxes: tuple[Box, ...]

    def with_box(self, gligen: Gligen, box: Box) -> AppliedBoxes:
        """Return these boxes and one more, for ``gligen``. Raises ControlError if there are too many."""
        if len(self.boxes) >= BOXES:
            raise ControlError(f"a GLIGEN model takes at most {BOXES} boxes, and this prompt already has {BOXES}")
        return AppliedBoxes(gligen, (*self.boxes, box))

    def for_run(self, model: Model, height: int, width: int) -> RunningBoxes:
        """Return the boxes for a run with latents of that size. Raises ControlError if they do not fit the model."""
        self.gligen.check(model)
        return RunningBoxes(self, height, width)


@dataclass(eq=False)
class RunningBoxes:
    """Boxes in one run. The network is loaded when first needed and kept until the run ends."""

    applied: AppliedBoxes
    height: int
    width: int
    _network: Any = field(default=None, repr=False)

    @property
    def model(self) -> Gligen:
        """Return the model: boxes of the same model go through the U-Net together."""
        return self.applied.gligen

    @property
    def network(self) -> Any:
        """Return the GLIGEN network, loading it if necessary."""
        if self._network is None:
            self._network = self.applied.gligen.network()
        return self._network

    def tokens(self, area: Area | None) -> Tensor:
        """Return the phrases as tokens [1, BOXES, width] for a U-Net that computes ``area`` of the latent."""
        import torch

        left, top = (0, 0) if area is None else (area.left, area.top)
        height, width = (self.height, self.width) if area is None else (area.height, area.width)
        device = next(self.network.parameters()).device
        boxes = [
            (
                (box.left - left) / width,
                (box.top - top) / height,
                (box.left + box.width - left) / width,
                (box.top + box.height - top) / height,
            )
            for box in self.applied.boxes
        ]
        phrases = torch.cat([box.phrase for box in self.applied.boxes]).to(device)
        if phrases.shape[1] != self.model.weights.config.text:
            raise ControlError(
                f"a phrase's embedding is {phrases.shape[1]} wide, but {self.model.weights.path.name} takes "
                f"{self.model.weights.config.text}: encode phrases with the text encoder of SD1"
            )
        tokens: Tensor = self.network.position_net(phrases, torch.tensor(boxes, device=device))
        return tokens

    def fusers(self) -> list[Any]:
        """Return the gated attentions in the order in which the U-Net's transformers run."""
        found: list[Any] = self.network.fusers()
        return found


def gligen_in(checkpoint: Checkpoint) -> Gligen:
    """Return the GLIGEN model of ``checkpoint``.

    Raises AbsentModelError, saying what the file is, if it holds none; CheckpointError naming missing and misshapen
    tensors.
    """
    prefix = gligen_prefix(checkpoint.shapes)
    if prefix is None:
        raise AbsentModelError(
            f"{checkpoint.path}: holds no GLIGEN model (no tensor position_net.null_positive_feature): it "
            f"{description_of(checkpoint)}; expected a GLIGEN model for text boxes"
        )
    try:
        config = detect_gligen(checkpoint.shapes, prefix)
    except UnknownGligenError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    return Gligen(weights_at(checkpoint, prefix, config, expected_shapes(config), lambda name: True))
