"""MODEL, CLIP and VAE as objects with the methods that packs call, each standing for one of Sumi's handles.

They hold no weights. What a pack changes on a clone travels on in the handle: of a model, ``model_options``.
Sumi's sampler follows those of :data:`FOLLOWED`; others are kept, and the log says that they have no effect.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from nodes import device as devices
from nodes.models.handle import Handle, Model, Vae
from nodes.sampling.noise_levels import NoiseLevels
from nodes.text.handle import Clip

log = logging.getLogger(__name__)

FOLLOWED: Final = frozenset({"sampler_cfg_function", "sampler_post_cfg_function", "disable_cfg1_optimization"})


def lent(handle: Handle) -> Any:
    """The object that stands for ``handle``."""
    if isinstance(handle, Model):
        return ModelPatcher(handle)
    if isinstance(handle, Clip):
        return CLIP(handle)
    return VAE(handle) if isinstance(handle, Vae) else handle


def taken(value: Any) -> Any:
    """The handle that ``value`` stands for, or ``value`` itself."""
    return value.handle if isinstance(value, (ModelPatcher, CLIP, VAE)) else value


class ModelPatcher:
    """A diffusion model."""

    def __init__(self, handle: Model):
        self._handle = handle
        self.model_options: dict[str, Any] = {"transformer_options": {}, **_copied(handle.options)}
        self.object_patches: dict[str, Any] = {}

    @property
    def handle(self) -> Model:
        """Sumi's handle, with what has been changed."""
        options = {name: value for name, value in self.model_options.items() if value}
        for name in options.keys() - FOLLOWED:
            log.warning("a pack sets '%s' on a model, which has no effect in Sumi", name)
        return dataclasses.replace(self._handle, options=options)

    @property
    def model(self) -> BaseModel:
        """The network, its noise levels and its latents' scale."""
        return BaseModel(self._handle)

    @property
    def load_device(self) -> torch.device:
        """Where it computes."""
        return devices.device()

    @property
    def offload_device(self) -> torch.device:
        """Where it waits."""
        return torch.device("cpu")

    def clone(self) -> ModelPatcher:
        """A model to change; the weights are shared."""
        cloned = ModelPatcher(self._handle)
        cloned.model_options = _copied(self.model_options)
        return cloned

    def is_clone(self, other: Any) -> bool:
        """Whether both have the same weights."""
        return isinstance(other, ModelPatcher) and other._handle.weights == self._handle.weights

    def model_size(self) -> int:
        """Bytes of the weights."""
        return self._handle.weights.parameters * self.model_dtype().itemsize

    def model_dtype(self) -> torch.dtype:
        """The precision it computes in."""
        return devices.unet_dtype(self._handle.weights.parameters)

    def get_model_object(self, name: str) -> Any:
        """A part of the model, such as ``model_sampling``."""
        found: Any = self.model
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def set_model_sampler_cfg_function(
        self, sampler_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Guide with that function: ``f({"cond", "uncond", "cond_scale", "input", "sigma", …})``."""
        self.model_options["sampler_cfg_function"] = sampler_cfg_function
        if disable_cfg1_optimization:
            self.disable_model_cfg1_optimization()

    def set_model_sampler_post_cfg_function(
        self, post_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Change what guidance gave."""
        earlier = self.model_options.get("sampler_post_cfg_function", [])
        self.model_options["sampler_post_cfg_function"] = [*earlier, post_cfg_function]
        if disable_cfg1_optimization:
            self.disable_model_cfg1_optimization()

    def set_model_sampler_pre_cfg_function(
        self, pre_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
    ) -> None:
        """Change what guidance gets."""
        earlier = self.model_options.get("sampler_pre_cfg_function", [])
        self.model_options["sampler_pre_cfg_function"] = [*earlier, pre_cfg_function]

    def disable_model_cfg1_optimization(self) -> None:
        """Predict both sides even at a guidance of 1."""
        self.model_options["disable_cfg1_optimization"] = True

    def set_model_unet_function_wrapper(self, unet_wrapper_function: Callable[..., Any]) -> None:
        """Have the network called by that function."""
        self.model_options["model_function_wrapper"] = unet_wrapper_function

    def set_model_denoise_mask_function(self, denoise_mask_function: Callable[..., Any]) -> None:
        """Have the inpainting mask depend on the noise level."""
        self.model_options["denoise_mask_function"] = denoise_mask_function

    def set_model_patch(self, patch: Any, name: str) -> None:
        """Add a patch of the network's insides."""
        self._transformer().setdefault("patches", {}).setdefault(name, []).append(patch)

    def set_model_patch_replace(
        self, patch: Any, name: str, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Replace a part of the network's insides."""
        block = (block_name, number) if transformer_index is None else (block_name, number, transformer_index)
        self._transformer().setdefault("patches_replace", {}).setdefault(name, {})[block] = patch

    def set_model_attn1_patch(self, patch: Any) -> None:
        """Before self-attention."""
        self.set_model_patch(patch, "attn1_patch")

    def set_model_attn2_patch(self, patch: Any) -> None:
        """Before cross-attention."""
        self.set_model_patch(patch, "attn2_patch")

    def set_model_attn1_output_patch(self, patch: Any) -> None:
        """After self-attention."""
        self.set_model_patch(patch, "attn1_output_patch")

    def set_model_attn2_output_patch(self, patch: Any) -> None:
        """After cross-attention."""
        self.set_model_patch(patch, "attn2_output_patch")

    def set_model_attn1_replace(
        self, patch: Any, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """In place of self-attention."""
        self.set_model_patch_replace(patch, "attn1", block_name, number, transformer_index)

    def set_model_attn2_replace(
        self, patch: Any, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """In place of cross-attention."""
        self.set_model_patch_replace(patch, "attn2", block_name, number, transformer_index)

    def set_model_input_block_patch(self, patch: Any) -> None:
        """After each block of the way down."""
        self.set_model_patch(patch, "input_block_patch")

    def set_model_output_block_patch(self, patch: Any) -> None:
        """Before each block of the way up."""
        self.set_model_patch(patch, "output_block_patch")

    def add_object_patch(self, name: str, obj: Any) -> None:
        """Put another object in the place of a part of the model. Kept; of no effect."""
        log.warning("a pack replaces '%s' of a model, which has no effect in Sumi", name)
        self.object_patches[name] = obj

    def _transformer(self) -> dict[str, Any]:
        options: dict[str, Any] = self.model_options.setdefault("transformer_options", {})
        return options


class BaseModel:
    """What packs look at of a model's insides."""

    def __init__(self, handle: Model):
        self._handle = handle

    @property
    def diffusion_model(self) -> torch.nn.Module:
        """The network, loaded."""
        return self._handle.network()

    @property
    def model_sampling(self) -> ModelSampling:
        """Its noise levels."""
        return ModelSampling(NoiseLevels.of(self._handle.sampling))

    @property
    def latent_format(self) -> LatentFormat:
        """Its latents."""
        return LatentFormat(self._handle.latent_scale, self._handle.config.out_channels)

    def get_dtype(self) -> torch.dtype:
        """The precision it computes in."""
        return devices.unet_dtype(self._handle.weights.parameters)

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """From the VAE's scale to the network's."""
        return self.latent_format.process_in(latent)

    def process_latent_out(self, latent: Tensor) -> Tensor:
        """From the network's scale to the VAE's."""
        return self.latent_format.process_out(latent)


class ModelSampling:
    """Noise levels."""

    def __init__(self, levels: NoiseLevels):
        self._levels = levels
        self.sigmas = levels.sigmas
        self.log_sigmas = levels.sigmas.log()
        self.num_timesteps = len(levels.sigmas)

    @property
    def sigma_min(self) -> Tensor:
        """The smallest level."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        """The largest level."""
        return self.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        """The timestep nearest to each level."""
        values = torch.as_tensor(sigma)
        found = [self._levels.timestep(float(value)) for value in values.reshape(-1)]
        return torch.tensor(found).reshape(values.shape)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The level at each timestep."""
        return self._levels.sigma(torch.as_tensor(timestep, dtype=torch.float32))

    def percent_to_sigma(self, percent: float) -> float:
        """The level at which that part of a run (0..1) is done."""
        return self._levels.sigma_at(percent)


class LatentFormat:
    """How latents are scaled."""

    def __init__(self, scale_factor: float, latent_channels: int):
        self.scale_factor = scale_factor
        self.latent_channels = latent_channels
        self.latent_dimensions = 2
        self.latent_rgb_factors: list[list[float]] | None = None

    def process_in(self, latent: Tensor) -> Tensor:
        """From the VAE's scale to the network's."""
        return latent * self.scale_factor

    def process_out(self, latent: Tensor) -> Tensor:
        """From the network's scale to the VAE's."""
        return latent / self.scale_factor


class CLIP:
    """A tokenizer and a text encoder. Tokens are ``{"l": [[(id, weight), …], …]}``."""

    def __init__(self, handle: Clip):
        self.handle = handle

    @property
    def layer_idx(self) -> int | None:
        """The layer whose output is used; None for the usual one."""
        return self.handle.layer

    def clone(self) -> CLIP:
        """One to change; the weights are shared."""
        return CLIP(self.handle)

    def clip_layer(self, layer_idx: int) -> None:
        """Use the output of that layer: -1 is the last."""
        self.handle = dataclasses.replace(self.handle, layer=layer_idx)

    def tokenize(self, text: str, return_word_ids: bool = False, **_: Any) -> dict[str, list[list[tuple[Any, ...]]]]:
        """``text`` as chunks of weighted tokens; with ``return_word_ids`` each has its place as a third item."""
        tokens = self.handle.tokenize(text)
        if return_word_ids:
            return {
                name: [[(*token[:2], number) for number, token in enumerate(chunk)] for chunk in chunks]
                for name, chunks in tokens.items()
            }
        return {name: [[token[:2] for token in chunk] for chunk in chunks] for name, chunks in tokens.items()}

    def encode_from_tokens(
        self, tokens: Mapping[str, Any], return_pooled: Any = False, return_dict: bool = False
    ) -> Any:
        """The embedding [1, 77k, width]; with ``return_pooled`` the pooled output [1, width] too."""
        full = {
            name: [[(token[0], float(token[1]), "") for token in chunk] for chunk in chunks]
            for name, chunks in tokens.items()
        }
        embedding, pooled = self.handle.encode(full)
        if return_dict:
            return {"cond": embedding, "pooled_output": pooled}
        return (embedding, pooled) if return_pooled else embedding

    def encode_from_tokens_scheduled(
        self, tokens: Mapping[str, Any], unprojected: bool = False, add_dict: Mapping[str, Any] | None = None, **_: Any
    ) -> list[list[Any]]:
        """A CONDITIONING."""
        embedding, pooled = self.encode_from_tokens(tokens, return_pooled=True)
        return [[embedding, {"pooled_output": pooled, **(add_dict or {})}]]

    def encode(self, text: str) -> Tensor:
        """The embedding [1, 77k, width] of a text."""
        embedding: Tensor = self.encode_from_tokens(self.tokenize(text))
        return embedding


class VAE:
    """An autoencoder between pictures [B, H, W, C] and latents [B, 4, H/8, W/8]."""

    downscale_ratio = 8
    upscale_ratio = 8
    output_channels = 3

    def __init__(self, handle: Vae):
        self.handle = handle

    @property
    def latent_channels(self) -> int:
        """Of a latent."""
        return self.handle.config.latent_channels

    @property
    def first_stage_model(self) -> torch.nn.Module:
        """The network, loaded."""
        return self.handle.network()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return devices.device()

    @property
    def vae_dtype(self) -> torch.dtype:
        """The precision it computes in."""
        return devices.vae_dtype()

    def decode(self, samples_in: Tensor, **_: Any) -> Tensor:
        """Latents to pictures in 0..1."""
        return self.handle.decode(samples_in)

    def encode(self, pixel_samples: Tensor) -> Tensor:
        """Pictures to latents."""
        return self.handle.encode(pixel_samples)

    def decode_tiled(self, samples: Tensor, tile_x: int = 64, tile_y: int = 64, overlap: int = 16, **_: Any) -> Tensor:
        """:meth:`decode` in tiles of that many latent positions."""
        return self.handle.decode_tiled(samples, min(tile_x, tile_y) * 8, overlap * 8)

    def encode_tiled(
        self, pixel_samples: Tensor, tile_x: int = 512, tile_y: int = 512, overlap: int = 64, **_: Any
    ) -> Tensor:
        """:meth:`encode` in tiles of that many pixels."""
        return self.handle.encode_tiled(pixel_samples, min(tile_x, tile_y), overlap)

    def spacial_compression_decode(self) -> int:
        """How many pixels a latent position is wide."""
        return 8

    spacial_compression_encode = spacial_compression_decode


def _copied(options: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose dicts and lists are its own; what they hold is shared."""

    def one(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: one(item) for key, item in value.items()}
        return list(value) if isinstance(value, list) else value

    return {name: one(value) for name, value in options.items()}


__all__ = ["CLIP", "FOLLOWED", "VAE", "BaseModel", "LatentFormat", "ModelPatcher", "ModelSampling"]
