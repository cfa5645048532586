"""Copies handles' networks, in float32, so that training can change them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from nodes import device
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Clip, Model, Vae
from nodes.models.stored_network import Source
from nodes.models.weight_patches import WeightPatch, by_name
from nodes.models.weight_reader import WeightReader
from nodes.models.weights import Weights
from nodes.text.clip import ClipText, Encoded
from nodes.training.errors import TrainingError
from nodes.unet.unet import UNet
from nodes.vae.autoencoder import AutoencoderKL
from nodes.vision.clip import ClipVision as ImageEncoder
from nodes.vision.handle import ClipVision

Network = TypeVar("Network", bound=nn.Module)


def unet_of(model: Model, dtype: torch.dtype = torch.float32) -> UNet:
    """Copy the noise predictor. Raises CheckpointError, WeightPatchError."""
    return _copy(model.weights, UNet, dtype, model.patches)


class TextPath(NamedTuple):
    """A text encoder with its model's settings: the layer (-1 the last), whether to norm it, and the padding token."""

    encoder: ClipText
    layer: int
    final_norm: bool
    padding: int

    def __call__(self, ids: Tensor, vectors: Mapping[tuple[int, int], Tensor] | None = None) -> Encoded:
        """Return the embeddings of ``ids`` [B, T] for the model; ``vectors``: see :class:`nodes.text.clip.ClipText`."""
        encoded: Encoded = self.encoder(ids, vectors, self.layer, self.final_norm)
        return encoded


def text_path_of(clip: Clip) -> TextPath:
    """Copy the only text encoder. Raises TrainingError if there are several, CheckpointError, WeightPatchError."""
    if len(clip.encoders) != 1:
        raise TrainingError(f"the CLIP has {len(clip.encoders)} text encoders; training supports models with one")
    (encoder,) = clip.encoders
    network = _copy(encoder.weights, ClipText, torch.float32, encoder.patches)
    role = encoder.role
    return TextPath(network, role.layer_in(encoder.config, clip.layer), role.final_norm, role.padding)


def autoencoder_of(vae: Vae) -> AutoencoderKL:
    """Copy the autoencoder. Raises CheckpointError."""
    return _copy(vae.weights, AutoencoderKL, torch.float32)


def image_encoder_of(vision: ClipVision) -> ImageEncoder:
    """Copy CLIP's image encoder. Raises CheckpointError."""
    return _copy(vision.weights, ImageEncoder, torch.float32)


def _copy(
    weights: Weights[Any], build: Callable[[Any], Network], dtype: torch.dtype, patches: Sequence[WeightPatch] = ()
) -> Network:
    source = Source(weights, build, dtype, device.device())
    network = source.skeleton()
    reader = WeightReader(source)
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    tensors = reader.read(shapes, by_name(patches), {})
    reader.check()
    network.load_state_dict(tensors, assign=True)
    return network  # type: ignore[return-value]


def weights_hash(handle: Any) -> str:
    """Return a hash of the handle's tensors in its file, whatever else the file holds and wherever it is.

    Raises CheckpointError.
    """
    weights = handle.weights
    checkpoint = Checkpoint.open(weights.path)
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(name for name in checkpoint.shapes if name.startswith(weights.prefix)):
        add_to_hash(digest, name.removeprefix(weights.prefix), checkpoint.tensor(name))
    return digest.hexdigest()


def add_to_hash(digest: hashlib.blake2b, name: str, tensor: Tensor) -> None:
    """Add a tensor's name, type, shape and bytes to a hash."""
    digest.update(repr((name, tensor.dtype, tensor.shape)).encode())
    digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)


class Trainable(NamedTuple):
    """The parameters of several networks under one namespace."""

    parameters: dict[str, Tensor]

    @classmethod
    def of(cls, **networks: nn.Module | None) -> Trainable:
        """Name every parameter of the networks ``name.parameter``, and switch on their gradients."""
        parameters: dict[str, Tensor] = {}
        for name, network in networks.items():
            if network is not None:
                network.requires_grad_(True)
                parameters |= {f"{name}.{key}": value for key, value in network.named_parameters()}
        return cls(parameters)


def part_of(weights: Any, name: str) -> dict[str, Tensor]:
    """Return the weights of one network from the dict of :meth:`Trainable.of`, with its own names."""
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
