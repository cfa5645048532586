"""CONTROL_NET as nodes pass it on: a handle, without loaded weights, of a network that steers a diffusion model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from graph.errors import SumiError
from nodes.control.adapter_config import AdapterConfig
from nodes.control.controlnet_config import ControlNetConfig, HeadConfig, middle_width
from nodes.models.checkpoint import Fingerprint
from nodes.models.handle import Handle, Model
from nodes.models.networks import network_factory
from nodes.models.unet_config import Downsample, UNetConfig, layout, skip_widths, skips
from nodes.models.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.models.weight_patches import WeightPatch
    from nodes.unet.control import Control


PIXELS: Final = 8
"""Pixels per latent pixel along each side, in every family with adapters and ControlLoras."""


class ControlError(SumiError):
    """A control network does not fit the model or the picture. The message names both and says what to use."""


class Steering(Protocol):
    """A control network with loaded weights, for one run."""

    def hint(self, picture: Tensor) -> object:
        """The network's features of a picture [B, C, H, W], 0..1, which hold for all noise levels."""

    def residuals(
        self, x: Tensor, hint: object, repeats: int, timesteps: Tensor, context: Tensor, y: Tensor | None
    ) -> Control:
        """Compute the residuals for a U-Net call with ``x`` [N, channels, h, w]; repeats hints ``repeats`` times."""


class ControlHandle(Handle):
    """Interface of all control networks."""

    __slots__ = ()

    @property
    def channels(self) -> int:
        """Return the number of channels of the picture that the network takes."""
        raise NotImplementedError

    @property
    def pixels(self) -> int:
        """Return the pixels of the picture per latent pixel, along each side."""
        raise NotImplementedError

    def check(self, model: Model) -> None:
        """Raise ControlError, naming both, unless the network fits ``model``."""
        raise NotImplementedError

    def steering(self, model: Model) -> Steering:
        """Return the network, loaded for ``model``. Raises CheckpointError if the file changed or is damaged."""
        raise NotImplementedError

    def asked_for(self, types: tuple[int, ...]) -> ControlHandle:
        """Return the network set to these types of control, or unchanged if it has only one type."""
        return self


@dataclass(frozen=True)
class ControlNet(ControlHandle):
    """A ControlNet.

    ``patches`` change its weights (for a ControlNet stored as a difference). ``types`` are the types of control that a
    union ControlNet uses; if empty, it detects the type. With ``pools``, residuals are averaged over the picture.
    """

    weights: Weights[ControlNetConfig]
    patches: tuple[WeightPatch, ...] = ()
    types: tuple[int, ...] = ()
    pools: bool = False

    @property
    def config(self) -> ControlNetConfig:
        """The network's sizes."""
        return self.weights.config

    @property
    def channels(self) -> int:
        return self.config.hint_channels

    @property
    def pixels(self) -> int:
        return self.config.factor

    def check(self, model: Model) -> None:
        check_encoder(self.weights.path.name, "ControlNet", self.config.unet, model)

    def steering(self, model: Model | None = None) -> Steering:
        from nodes import device
        from nodes.control.steering import ControlNetSteering

        network = self.weights.resident(
            network_factory(ControlNetConfig),
            device.unet_dtype(self.weights.parameters),
            device.device(),
            self.patches,
        )
        return ControlNetSteering(network, network, self.types, self.pools)

    def asked_for(self, types: tuple[int, ...]) -> ControlHandle:
        """Return the same network, set to these types of control. Raises ControlError if it does not know one."""
        union = self.config.union
        if union is None:
            return self
        if any(kind >= union.types for kind in types):
            raise ControlError(
                f"{self.weights.path.name} knows {union.types} types of control, but number {max(types) + 1} was asked "
                f"for; choose one of the first {union.types}, or auto"
            )
        return replace(self, types=types)


@dataclass(frozen=True)
class T2IAdapter(ControlHandle):
    """A T2I-Adapter."""

    weights: Weights[AdapterConfig]

    @property
    def config(self) -> AdapterConfig:
        """The network's sizes."""
        return self.weights.config

    @property
    def channels(self) -> int:
        return self.config.picture_channels

    @property
    def pixels(self) -> int:
        return PIXELS

    def check(self, model: Model) -> None:
        places = adapter_places(self.config, model.config)
        if places is None:
            raise ControlError(
                f"{self.weights.path.name} is a T2I-Adapter with features of {list(self.config.channels)} channels"
                f"{' for SDXL' if self.config.is_xl else ''}, but the model is {model.family.label}: "
                f"{described(model.config)}. Choose a T2I-Adapter that was made for the model's family."
            )

    def steering(self, model: Model) -> Steering:
        from nodes import device
        from nodes.control.steering import AdapterSteering

        network = self.weights.resident(
            network_factory(AdapterConfig), device.unet_dtype(self.weights.parameters), device.device()
        )
        places = adapter_places(self.config, model.config)
        assert places is not None, "the adapter was checked"
        return AdapterSteering(network, places)


@dataclass(frozen=True)
class ControlLora(ControlHandle):
    """A ControlNet stored as a low-rank difference from the model that it steers (Stability AI's Control-LoRA).

    ``hint`` is the shape of its first convolution's weight, ``skips`` the channels of each skip connection, ``context``
    the width of the text embedding.
    """

    path: Path
    fingerprint: Fingerprint
    hint: tuple[int, ...]
    skips: tuple[int, ...]
    context: int

    @property
    def channels(self) -> int:
        return self.hint[1]

    @property
    def pixels(self) -> int:
        return PIXELS

    def check(self, model: Model) -> None:
        theirs = model.config
        if (self.skips, self.context) != (tuple(skip_widths(theirs)), theirs.context_width):
            raise ControlError(
                f"{self.path.name} is a ControlLora for text {self.context} wide, skips {list(self.skips)}, but the "
                f"model is {model.family.label}: {described(theirs)}, skips {skip_widths(theirs)}. "
                "Choose a ControlLora that was made for the model's family."
            )

    def steering(self, model: Model) -> Steering:
        from nodes import device
        from nodes.control.control_lora import encoder_patches, head_weights
        from nodes.control.steering import ControlNetSteering

        dtype = model.dtype
        head = head_weights(self.path, self.channels, model.config)
        patches = (*model.patches, *encoder_patches(self.path, self.fingerprint, model.config))
        build = network_factory(type(model.config))
        encoder = model.weights.resident(build, dtype, device.device(), patches, model.storage)
        loaded = head.resident(network_factory(HeadConfig), dtype, device.device())
        return ControlNetSteering(encoder, loaded)


def adapter_places(config: AdapterConfig, unet: UNetConfig) -> tuple[int | None, ...] | None:
    """Return, for each feature map, the input block to whose output it is added, or None for the middle block.

    Returns None if the adapter does not fit a U-Net of these sizes.
    """
    ends = [number for number, block in enumerate(layout(unet).input_blocks) if isinstance(block[-1], Downsample)]
    last = len(layout(unet).input_blocks) - 1
    places: tuple[int | None, ...]
    if config.is_xl:
        # SDXL's adapter starts after the first halving and ends in the middle block.
        places = (ends[0] if ends else last, *(end - 1 for end in ends[1:]), last, None)
    else:
        places = (*(end - 1 for end in ends), last)
    widths = skip_widths(unet)
    expected = [widths[-1] if place is None else widths[place] for place in places]
    return places if list(config.channels) == expected else None


def check_encoder(name: str, kind: str, own: UNetConfig, model: Model) -> None:
    """Raise ControlError unless an encoder of these sizes fits ``model``: same skips, text and vector."""
    theirs = model.config
    latent = theirs.in_channels - (model.family.extra.count if model.family.extra else 0)
    fits = (
        own.in_channels == latent
        and skips(own) == skips(theirs)
        and middle_width(own) in (None, middle_width(theirs))
        and own.context_width in (0, theirs.context_width)
        and own.adm_in_channels in (None, theirs.adm_in_channels)
    )
    if not fits:
        raise ControlError(
            f"{name} is a {kind} for {described(own)}, but the model is {model.family.label}: {described(theirs)}. "
            "Choose a control network that was made for the model's family."
        )


_FAMILIES = {768: "SD1", 1024: "SD2", 2048: "SDXL"}


def described(config: UNetConfig) -> str:
    """Describe the sizes by which networks of different families differ."""
    family = f"{_FAMILIES[config.context_width]}, " if config.context_width in _FAMILIES else ""
    widths = [config.model_channels * mult for mult in config.channel_mult]
    text = f"text {config.context_width} wide" if config.context_width else "no text"
    return f"{family}{text}, levels {widths}"
