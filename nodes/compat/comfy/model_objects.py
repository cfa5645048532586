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
from nodes.models.handle import Clip, Handle, Model, TextEncoder, TextWeights, Vae
from nodes.models.text_config import expected_shapes
from nodes.models.weight_patches import WeightPatch
from nodes.text.encoding import encode_tokens
from nodes.text.prompt import tokenize_prompt
from nodes.vae import coding
from nodes.vae.network import autoencoder


def to_pack(handle: Handle) -> Any:
    """The object that stands for ``handle``."""
    if isinstance(handle, Model):
        return DiffusionModel(handle)
    if isinstance(handle, Clip):
        return CLIP(handle)
    return VAE(handle) if isinstance(handle, Vae) else handle


def from_pack(value: Any) -> Any:
    """The handle that ``value`` stands for, or ``value`` itself."""
    return value.handle if isinstance(value, (DiffusionModel, CLIP, VAE)) else value


class EncoderWeights(PatchedWeights):
    """The weights of one text encoder of a CLIP, under the names that packs know: ``clip_l.transformer.…``."""

    def __init__(self, clip: CLIP, name: str):
        self._clip = clip
        self._name = name
        self._weight_prefix = f"clip_{name}.transformer."

    @property
    def _encoder(self) -> TextEncoder:
        return self._clip.handle.encoder(self._name)

    @property
    def _weights(self) -> TextWeights:
        return self._encoder.weights

    @property
    def _weight_patches(self) -> tuple[WeightPatch, ...]:
        return self._encoder.patches

    @_weight_patches.setter
    def _weight_patches(self, patches: tuple[WeightPatch, ...]) -> None:
        handle = self._clip.handle
        encoders = tuple(
            dataclasses.replace(encoder, patches=patches) if encoder.role.name == self._name else encoder
            for encoder in handle.encoders
        )
        self._clip.handle = dataclasses.replace(handle, encoders=encoders)

    def _tensor_names(self) -> Iterable[str]:
        return expected_shapes(self._encoder.config)


class CLIP:
    """A tokenizer and text encoders. Tokens are ``{"l": [[(id, weight), …], …]}``, an entry for each encoder."""

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

    def _parts(self) -> list[EncoderWeights]:
        return [EncoderWeights(self, encoder.role.name) for encoder in self.handle.encoders]

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Change weights of any of the encoders; see :meth:`PatchedWeights.add_patches`."""
        return [key for part in self._parts() for key in part.add_patches(patches, strength_patch, strength_model)]

    @property
    def patches(self) -> dict[str, list[Any]]:
        """The changes of weights, by tensor."""
        return {name: found for part in self._parts() for name, found in part.patches.items()}

    def get_key_patches(self, filter_prefix: str | None = None) -> dict[str, list[Any]]:
        """Each tensor with its changes: what :meth:`add_patches` of another CLIP takes, to merge the two."""
        return {name: found for part in self._parts() for name, found in part.get_key_patches(filter_prefix).items()}

    def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, Tensor]:
        """The file's tensors, without changes. They are read-only."""
        return {name: found for part in self._parts() for name, found in part.model_state_dict(filter_prefix).items()}

    def clip_layer(self, layer_idx: int) -> None:
        """Use the output of that layer: -1 is the last."""
        self.handle = dataclasses.replace(self.handle, layer=layer_idx)

    def tokenize(self, text: str, return_word_ids: bool = False, **_: Any) -> dict[str, list[list[tuple[Any, ...]]]]:
        """``text`` as chunks of weighted tokens; with ``return_word_ids`` each has its place as a third item."""
        tokens = tokenize_prompt(self.handle, text)
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
        embedding, pooled = encode_tokens(self.handle, full)
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
    """An autoencoder between pictures [B, H, W, C] and smaller latents."""

    output_channels = 3

    def __init__(self, handle: Vae):
        self.handle = handle
        self.downscale_ratio = self.upscale_ratio = handle.config.factor

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
        """How many pixels a latent position is wide."""
        return self.handle.config.factor

    spacial_compression_encode = spacial_compression_decode


__all__ = ["CLIP", "VAE", "DiffusionModel", "from_pack", "to_pack"]
