"""MODEL, CLIP, VAE and other handles as objects with the methods that packs call.

They hold no weights. What a pack changes on a clone is stored in the handle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nodes import device as devices
from nodes.compat.comfy import clip_vision, controlnet
from nodes.compat.comfy._diffusion_model import DiffusionModel
from nodes.compat.comfy._guider import (
    CFGGuider,
    EnteringSampler,
    PackGuided,
    entering_sampler,
    seen_guider,
    seen_sampler,
)
from nodes.compat.comfy._k_sampler import Sampler
from nodes.compat.comfy._pack_control import PackControl
from nodes.compat.comfy._text_encoders import CLIP
from nodes.compat.comfy._upscale_models import PackUpscaleModel, SeenUpscaleModel
from nodes.compat.comfy.clip_vision import ClipVisionModel
from nodes.compat.missing.errors import missing_part
from nodes.control.handle import ControlHandle
from nodes.control.style_model import StyleModel as StyleHandle
from nodes.models.handle import Clip, Model, Vae
from nodes.sampling.guided_model import GuidedModel
from nodes.sampling.sampler import FunctionSampler
from nodes.upscale.model import UpscaleModel
from nodes.vae import coding
from nodes.vae.network import autoencoder
from nodes.vision.handle import ClipVision, ClipVisionOutput


def to_pack(value: Any) -> Any:
    """Return a handle or a sampler as packs see it; other values unchanged."""
    if isinstance(value, Model):
        return DiffusionModel(value)
    if isinstance(value, Clip):
        return CLIP(value)
    if isinstance(value, Vae):
        return VAE(value)
    if isinstance(value, PackControl):
        return value.control
    if isinstance(value, ControlHandle):
        return controlnet.control_of(value)
    if isinstance(value, ClipVision):
        return ClipVisionModel(value)
    if isinstance(value, ClipVisionOutput):
        return clip_vision.seen_output(value)
    if isinstance(value, UpscaleModel):
        return SeenUpscaleModel(value)
    if isinstance(value, PackUpscaleModel):
        return value.descriptor
    if isinstance(value, StyleHandle):
        return StyleModel(value)
    if isinstance(value, (GuidedModel, PackGuided)):
        return seen_guider(value, DiffusionModel)
    if isinstance(value, (FunctionSampler, EnteringSampler)):
        return seen_sampler(value)
    return value


def conditioning_to_pack(conditioning: list[Any]) -> list[Any]:
    """Return a CONDITIONING whose controls packs can copy and change. Entries with the same control share one."""
    seen: dict[int, Any] = {}
    entries = []
    for embedding, options in conditioning:
        if (control := options.get("control")) is not None:
            options = {**options, "control": seen.setdefault(id(control), controlnet.seen_control(control))}
        entries.append([embedding, options])
    return entries


def from_pack(value: Any) -> Any:
    """The handle or the sampler that ``value`` stands for, or ``value`` itself."""
    if isinstance(value, (DiffusionModel, CLIP, VAE, ClipVisionModel, SeenUpscaleModel, StyleModel)):
        return value.handle
    if type(value).__name__ == "ImageModelDescriptor":
        return PackUpscaleModel(value)
    if isinstance(value, controlnet.ControlBase):
        return controlnet.handle_of(value)
    if isinstance(value, clip_vision.Output):
        return clip_vision.handle_of_output(value)
    if isinstance(value, CFGGuider):
        return PackGuided(value)
    if isinstance(value, Sampler):
        return sampler_from_pack(value)
    return value


def sampler_from_pack(sampler: Any) -> Any:
    """A pack's sampler, of any class with ``sample``, for Sumi's nodes; a sampler of Sumi's unchanged."""
    if isinstance(sampler, (FunctionSampler, EnteringSampler)):
        return sampler
    return entering_sampler(sampler, DiffusionModel)


class StyleModel:
    """A style model: a picture's style as tokens of a prompt."""

    def __init__(self, handle: StyleHandle):
        self.handle = handle

    def get_cond(self, input: Any) -> Tensor:
        """Return the tokens [B, tokens, width] for a CLIP_VISION_OUTPUT. Raises ControlError for another encoder's."""
        return self.handle.tokens(input)


class VAE:
    """An autoencoder between pictures [B, H, W, C] and smaller latents."""

    output_channels = 3
    latent_dim = 2
    not_video = True
    crop_input = True
    disable_offload = False
    working_dtypes = (torch.float32,)

    def __init__(self, handle: Vae | None = None, sd: Mapping[str, Tensor] | None = None, **_: Any):
        if not isinstance(handle, Vae):
            raise missing_part("comfy.sd.VAE(sd=…)", "Sumi opens VAEs from files; use nodes.VAELoader().load_vae(name)")
        self.handle = handle
        self.output_device = torch.device("cpu")
        self.downscale_ratio = self.upscale_ratio = handle.config.factor

    @property
    def latent_channels(self) -> int:
        """Return the number of channels of a latent."""
        return self.handle.config.latent_channels

    @property
    def first_stage_model(self) -> torch.nn.Module:
        """Return the network, loaded."""
        return self.handle.network()

    @property
    def device(self) -> torch.device:
        """Return the device that computes."""
        return devices.device()

    @property
    def vae_dtype(self) -> torch.dtype:
        """Return the precision it computes in."""
        return devices.vae_dtype()

    @property
    def patcher(self) -> VAE:
        """Return the object that ``comfy.model_management.load_model_gpu`` takes: here the same object."""
        return self

    def patch_model(self, device_to: torch.device | None = None, **_: Any) -> torch.nn.Module:
        """Return the network."""
        return self.first_stage_model

    def get_sd(self) -> dict[str, Tensor]:
        """Return the weights."""
        return self.first_stage_model.state_dict()

    def throw_exception_if_invalid(self) -> None:
        """Do nothing: a VAE that cannot be read is an error of its loader."""

    def process_input(self, image: Tensor) -> Tensor:
        """Pixels of 0..1 as the network takes them: -1..1."""
        return image * 2.0 - 1.0

    def process_output(self, image: Tensor) -> Tensor:
        """Return the network's pixels as 0..1."""
        return ((image + 1.0) / 2.0).clamp(0.0, 1.0)

    def vae_encode_crop_pixels(self, pixels: Tensor) -> Tensor:
        """Pictures [B, H, W, C] cut in the centre to sides that are multiples of the ratio."""
        ratio = self.handle.config.factor
        height, width = (side // ratio * ratio for side in pixels.shape[1:3])
        top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
        return pixels[:, top : top + height, left : left + width]

    def temporal_compression_decode(self) -> int | None:
        """Return None: pictures have no time dimension."""
        return None

    def decode(self, samples_in: Tensor, **_: Any) -> Tensor:
        """Latents to pictures in 0..1."""
        return coding.decode(autoencoder(self.handle), samples_in)

    def encode(self, pixel_samples: Tensor) -> Tensor:
        """Pictures to latents."""
        return coding.encode(autoencoder(self.handle), pixel_samples)

    def decode_tiled(self, samples: Tensor, tile_x: int = 64, tile_y: int = 64, overlap: int = 16, **_: Any) -> Tensor:
        """:meth:`decode` in tiles of that many latent positions."""
        return coding.decode_tiled(
            autoencoder(self.handle), samples, min(tile_x, tile_y) * self.upscale_ratio, overlap * self.upscale_ratio
        )

    def encode_tiled(
        self, pixel_samples: Tensor, tile_x: int = 512, tile_y: int = 512, overlap: int = 64, **_: Any
    ) -> Tensor:
        """:meth:`encode` in tiles of that many pixels."""
        return coding.encode_tiled(autoencoder(self.handle), pixel_samples, min(tile_x, tile_y), overlap)

    def spacial_compression_decode(self) -> int:
        """Return the pixels along each side of a latent position."""
        return self.handle.config.factor

    spacial_compression_encode = spacial_compression_decode


__all__ = ["CLIP", "VAE", "DiffusionModel", "StyleModel", "conditioning_to_pack", "from_pack", "to_pack"]
