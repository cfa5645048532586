"""Runs control networks: computes hints from pictures, and from hints the residuals of a U-Net call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor

from nodes.control.controlnet import Head, Hint, hint_of, residuals
from nodes.resize import resize
from nodes.unet.control import Control
from nodes.unet.encoder import Encoder
from nodes.unet.projection import ProjectedTexts


class ControlNetSteering:
    """A ControlNet in one run: its encoder and its head, which can be the same module."""

    def __init__(self, encoder: Any, head: Any, types: Sequence[int] = (), pools: bool = False):
        self._encoder: Encoder = encoder
        self._head: Head = head
        self._types = tuple(types)
        self._pools = pools
        self._texts = ProjectedTexts()

    def hint(self, picture: Tensor) -> Hint:
        """Compute the features of a picture [B, hint_channels, H, W], 0..1."""
        return hint_of(self._head, picture, self._types)

    def residuals(
        self, x: Tensor, hint: object, repeats: int, timesteps: Tensor, context: Tensor, y: Tensor | None
    ) -> Control:
        """See :class:`nodes.control.handle.Steering`."""
        config = self._encoder.config
        features = cast("Hint", hint).features.repeat(repeats, 1, 1, 1)
        control = residuals(
            self._encoder,
            self._head,
            x[:, : config.in_channels],
            Hint(features, self._types),
            timesteps,
            self._texts.of(self._encoder, context),
            None if config.adm_in_channels is None else y,
        )
        return control.changed(lambda r: r.mean(dim=(2, 3), keepdim=True)) if self._pools else control


class AdapterSteering:
    """A T2I-Adapter in one run. ``places`` are the input blocks of its feature maps, None for the middle block."""

    def __init__(self, network: Any, places: Sequence[int | None]):
        self._network = network
        self._places = places

    def hint(self, picture: Tensor) -> Control:
        """Compute the residuals for a picture [B, C, H, W], 0..1, which are the same at all noise levels."""
        factor = self._network.config.factor
        height, width = (-(-side // factor) * factor for side in picture.shape[-2:])
        weight = next(self._network.parameters())
        picture = resize(picture, width, height, "nearest-exact").to(weight.device, weight.dtype)
        inputs: list[Tensor | None] = [None] * (1 + max(place for place in self._places if place is not None))
        middle = None
        for place, feature in zip(self._places, self._network(picture), strict=True):
            if place is None:
                middle = feature
            else:
                inputs[place] = feature
        return Control((), middle, inputs)

    def residuals(
        self, x: Tensor, hint: object, repeats: int, timesteps: Tensor, context: Tensor, y: Tensor | None
    ) -> Control:
        """See :class:`nodes.control.handle.Steering`."""
        return cast("Control", hint).changed(lambda residual: residual.repeat(repeats, 1, 1, 1))
