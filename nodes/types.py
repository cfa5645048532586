"""The values that flow between nodes, as annotations. None of them imports torch.

IMAGE, MASK, LATENT and CONDITIONING are what ComfyUI's nodes exchange, in the same
form, so that nodes written for it can be fed as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict

from graph.node import Hint, Range, Socket

if TYPE_CHECKING:
    import torch

    Tensor = torch.Tensor
else:
    Tensor = Any


class LatentDict(TypedDict, total=False):
    """``samples`` [B, 4, H/8, W/8] float32, unscaled, as the VAE gives them.

    ``noise_mask`` [B, H, W] or [B, 1, H, W], 1 where noise is put;
    ``batch_index``: which noise each item of the batch draws.
    """

    samples: Tensor
    noise_mask: Tensor
    batch_index: Sequence[int]


Image = Annotated[Tensor, Socket("IMAGE")]
"""float32 [B, H, W, C], 0..1."""
Mask = Annotated[Tensor, Socket("MASK")]
"""float32 [B, H, W], 0..1."""


class ImageAndMask(NamedTuple):
    """The outputs of a node that gives both."""

    IMAGE: Image
    MASK: Mask


Latent = Annotated[LatentDict, Socket("LATENT")]
Conditioning = Annotated[list[list[Any]], Socket("CONDITIONING")]
"""A list of [embedding [1, 77k, width], options]. Options: pooled_output, area, strength,
mask, mask_strength, set_area_to_bounds, start_percent, end_percent, control."""
Model = Annotated[Any, Socket("MODEL")]
"""A ``nodes.models.handle.Model``: a diffusion model, as a light handle."""
Clip = Annotated[Any, Socket("CLIP")]
"""A ``nodes.models.handle.Clip``: tokenizer and text encoders, as a light handle."""
Vae = Annotated[Any, Socket("VAE")]
"""A ``nodes.models.handle.Vae``, as a light handle."""
Tokens = Annotated[Any, Socket("TOKENS")]
"""A ``nodes.text.tokens.Tokens``: a prompt as chunks of weighted token ids."""
Sigmas = Annotated[Tensor, Socket("SIGMAS")]
"""float32 [n + 1], decreasing noise levels."""

Seed = Annotated[int, Range(0, 0xFFFF_FFFF_FFFF_FFFF), Hint(control_after_generate=True)]
