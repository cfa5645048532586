"""Extra input channels of a network, after the latent's: inpainting, InstructPix2Pix and upscaling models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.errors import SumiError

if TYPE_CHECKING:
    from nodes.models.handle import Model


class MissingChannelsError(SumiError):
    """A model's extra input channels are empty. The message names the model, the channels and what belongs there."""


def check_input_channels(model: Model, channels: int) -> None:
    """Raise MissingChannelsError unless ``model`` takes ``channels`` channels, those joined to the latent included."""
    extra = model.family.extra
    expected = model.config.in_channels
    if channels == expected or extra is None:
        return
    raise MissingChannelsError(
        f"{model.weights.path.name} ({model.family.label}) takes {expected} input channels: the latent's "
        f"{expected - extra.count} and {extra.count} for {extra.what}, but was given {channels}. "
        "The conditioning must carry them."
    )
