"""Input channels of a network beyond those of the latent: inpainting, InstructPix2Pix and upscaling models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.errors import SumiError

if TYPE_CHECKING:
    from nodes.models.handle import Model


class MissingChannelsError(SumiError):
    """Nothing fills a model's extra input channels; names the model, the channels and the node that provides them."""


def check_input_channels(model: Model, channels: int) -> None:
    """Raise MissingChannelsError unless ``model`` takes ``channels`` channels, those joined to the latent included."""
    extra = model.family.extra
    expected = model.config.in_channels
    if channels == expected or extra is None:
        return
    raise MissingChannelsError(
        f"{model.weights.path.name} ({model.family.label}) takes {expected} input channels: the latent's "
        f"{expected - extra.count} and {extra.count} for {extra.what}, but was given {channels}. "
        f"Connect {extra.node} between the prompts and the sampler."
    )
