"""``comfy.ldm.modules.diffusionmodules.openaimodel``: the U-Net and its parts, for packs that identify them by class.

The classes are those of Sumi's U-Net. Their names and places in the network are the usual ones; a part is called with
Sumi's arguments.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from nodes.compat.comfy.ldm.modules.attention import SpatialTransformer
from nodes.compat.comfy.ldm.modules.diffusionmodules.util import timestep_embedding
from nodes.unet.residual_block import Downsample, ResidualBlock, Upsample
from nodes.unet.unet import UNet

UNetModel = UNet
ResBlock = ResidualBlock

__all__ = [
    "Downsample",
    "ResBlock",
    "SpatialTransformer",
    "Timestep",
    "TimestepBlock",
    "TimestepEmbedSequential",
    "UNetModel",
    "Upsample",
    "apply_control",
    "forward_timestep_embed",
    "timestep_embedding",
]


class TimestepBlock(nn.Module):
    """A layer of a pack's own network that takes the timestep's embedding."""

    @abstractmethod
    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """[B, C, h, w] with an embedding [B, width] to a feature map."""


class TimestepEmbedSequential(nn.Sequential):
    """Layers of a pack's own network. Each is called with its own inputs; see :func:`forward_timestep_embed`."""

    def forward(self, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The layers, one after the other."""
        return forward_timestep_embed(self, input, *args, **kwargs)


class Timestep(nn.Module):
    """Timesteps [B] as sinusoids [B, dim]."""

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, t: Tensor) -> Tensor:
        """Return the sinusoids."""
        return timestep_embedding(t, self.dim)


def forward_timestep_embed(
    ts: nn.Sequential,
    x: Tensor,
    emb: Tensor,
    context: Tensor | None = None,
    transformer_options: Mapping[str, Any] | None = None,
    output_shape: Any = None,
    time_context: Any = None,
    num_video_frames: int | None = None,
    image_only_indicator: Any = None,
) -> Tensor:
    """``x`` [B, C, h, w] through the layers of ``ts``: residual blocks get ``emb``, upsampling the size to reach.

    Transformers of Sumi's U-Net take the text's projection, which is not known here; they raise MissingPartError.
    """
    from nodes.compat.missing.errors import missing_part

    for layer in ts:
        if isinstance(layer, SpatialTransformer):
            raise missing_part(f"{__name__.removeprefix('nodes.compat.')}.forward_timestep_embed for transformers")
        if isinstance(layer, (ResidualBlock, TimestepBlock)):
            x = layer(x, emb)
        elif isinstance(layer, Upsample):
            x = layer(x, None if output_shape is None else tuple(output_shape[-2:]))
        else:
            x = layer(x)
    return x


def apply_control(h: Tensor, control: Mapping[str, list[Tensor | None]] | None, name: str) -> Tensor:
    """Add the next residual of ``control[name]`` to ``h``, and remove it from the list."""
    if control is not None and control.get(name):
        residual = control[name].pop()
        if residual is not None:
            h = h + residual.to(h)
    return h
