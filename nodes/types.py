"""The types of values that flow between nodes, as annotations. None of them imports torch.

IMAGE, MASK, LATENT and CONDITIONING have the same form as in ComfyUI, so that nodes written for it
accept them without conversion.
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
    """``samples`` [B, 4, H/8, W/8] float32, unscaled, as the VAE returns them.

    ``noise_mask`` [B, H, W] or [B, 1, H, W], 1 where noise is added;
    ``batch_index``: the index of the noise for each item of the batch;
    ``downscale_ratio_spacial``: pixels per latent position where that is not 8.
    """

    samples: Tensor
    noise_mask: Tensor
    batch_index: Sequence[int]
    downscale_ratio_spacial: int


Image = Annotated[Tensor, Socket("IMAGE")]
"""float32 [B, H, W, C], 0..1."""
Mask = Annotated[Tensor, Socket("MASK")]
"""float32 [B, H, W], 0..1."""


class ImageAndMask(NamedTuple):
    """The outputs of a node that returns an image and a mask."""

    IMAGE: Image
    MASK: Mask


Latent = Annotated[LatentDict, Socket("LATENT")]
Conditioning = Annotated[list[list[Any]], Socket("CONDITIONING")]
"""A list of [embedding [1, 77k, width], options]. Options: pooled_output, area, strength,
mask, mask_strength, set_area_to_bounds, start_percent, end_percent, step_ranges, composed, control."""
Model = Annotated[Any, Socket("MODEL")]
"""A ``nodes.models.handle.Model``: a diffusion model, as a light handle."""
Clip = Annotated[Any, Socket("CLIP")]
"""A ``nodes.models.handle.Clip``: tokenizer and text encoders, as a light handle."""
Vae = Annotated[Any, Socket("VAE")]
"""A ``nodes.models.handle.Vae``, as a light handle."""
ControlNet = Annotated[Any, Socket("CONTROL_NET")]
"""A ``nodes.control.handle.ControlHandle``: a network that steers a diffusion model, as a light handle."""
Gligen = Annotated[Any, Socket("GLIGEN")]
"""A ``nodes.control.boxes.Gligen``, as a light handle."""
StyleModel = Annotated[Any, Socket("STYLE_MODEL")]
"""A ``nodes.control.style_model.StyleModel``, as a light handle."""
ClipVision = Annotated[Any, Socket("CLIP_VISION")]
"""A ``nodes.vision.handle.ClipVision``: CLIP's image encoder, as a light handle."""
ClipVisionOutput = Annotated[Any, Socket("CLIP_VISION_OUTPUT")]
"""A ``nodes.vision.handle.ClipVisionOutput``: what the image encoder makes of pictures."""
UpscaleModel = Annotated[Any, Socket("UPSCALE_MODEL")]
"""A ``nodes.upscale.model.UpscaleModel``: a network that enlarges pictures, as a light handle."""
Tokens = Annotated[Any, Socket("TOKENS")]
"""A ``nodes.text.tokens.Tokens``: a prompt as chunks of weighted token ids."""
LatentOperation = Annotated[Any, Socket("LATENT_OPERATION")]
"""A ``nodes.latent.operations`` value: a function of samples [B, C, H, W] that returns changed ones."""
Noise = Annotated[Any, Socket("NOISE")]
"""A ``nodes.sampling.noise.NoiseSource``: makes the noise with which a run starts."""
Sampler = Annotated[Any, Socket("SAMPLER")]
"""A ``nodes.models.changes.Sampler``: a sampling method with its settings."""
Sigmas = Annotated[Tensor, Socket("SIGMAS")]
"""float32 [n + 1] on the CPU: the noise levels of a run, usually falling to 0."""
Guider = Annotated[Any, Socket("GUIDER")]
"""A ``nodes.sampling.guided_model.GuidedModel``: a model, its conditions, and how their predictions are joined."""

Seed = Annotated[int, Range(0, 0xFFFF_FFFF_FFFF_FFFF), Hint(control_after_generate=True)]
