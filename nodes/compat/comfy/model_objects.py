"""MODEL, CLIP and VAE as objects with the methods that packs call, each standing for one of Sumi's handles.

They hold no weights. What a pack changes on a clone travels on in the handle.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from nodes import device as devices
from nodes.compat.comfy._diffusion_model import DiffusionModel
from nodes.compat.comfy._patched_weights import PatchedWeights
from nodes.models.handle import Handle, Model, Vae
from nodes.models.text_config import expected_shapes
from nodes.models.weight_patches import WeightPatch
from nodes.text.handle import Clip, TextWeights


def lent(handle: Handle) -> Any:
    """The object that stands for ``handle``."""
    if isinstance(handle, Model):
        return DiffusionModel(handle)
    if isinstance(handle, Clip):
        return CLIP(handle)
    return VAE(handle) if isinstance(handle, Vae) else handle


def taken(value: Any) -> Any:
    """The handle that ``value`` stands for, or ``value`` itself."""
    return value.handle if isinstance(value, (DiffusionModel, CLIP, VAE)) else value


class CLIP(PatchedWeights):
    """A tokenizer and a text encoder. Tokens are ``{"l": [[(id, weight), …], …]}``."""

    _weight_prefix = "clip_l.transformer."

    def __init__(self, handle: Clip):
        self.handle = handle

    @property
    def layer_idx(self) -> int | None:
        """The layer whose output is used; None for the usual one."""
        return self.handle.layer

    def clone(self) -> CLIP:
        """One to change; the weights are shared."""
        return CLIP(self.handle)

    @property
    def patcher(self) -> CLIP:
        """What has ``add_patches`` and the like: here the same."""
        return self

    @property
    def _weights(self) -> TextWeights:
        return self.handle.weights

    @property
    def _weight_patches(self) -> tuple[WeightPatch, ...]:
        return self.handle.patches

    @_weight_patches.setter
    def _weight_patches(self, patches: tuple[WeightPatch, ...]) -> None:
        self.handle = dataclasses.replace(self.handle, patches=patches)

    def _tensor_names(self) -> Iterable[str]:
        return expected_shapes(self.handle.config)

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


__all__ = ["CLIP", "VAE", "DiffusionModel", "lent", "taken"]
