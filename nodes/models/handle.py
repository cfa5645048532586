"""Handles: the MODEL, CLIP and VAE values that nodes exchange. They are light, immutable and compared by value.

A handle holds the location of weights and how to use them. :mod:`nodes.models.residency` loads the weights
when they are first needed. The functions that use a handle
are in the rooms of the networks: :mod:`nodes.sampling`, :mod:`nodes.text`, :mod:`nodes.vae`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from graph.folders import Folders
from nodes.models.changes import NO_CHANGES, ModelChanges
from nodes.models.checkpoint import Checkpoint
from nodes.models.families import SD1, ModelFamily
from nodes.models.latent_space import SD_LATENTS, LatentSpace
from nodes.models.model_sampling import DDPM, ContinuousSampling, ModelSampling, PredictionName, SampledAs
from nodes.models.networks import network_factory
from nodes.models.storage import Storage, memory_dtype
from nodes.models.text_config import TextConfig
from nodes.models.text_roles import TextRole
from nodes.models.tiny_config import DECODER_PREFIX, ENCODER_PREFIX, STEPS, TinyConfig
from nodes.models.tiny_config import expected_shapes as tiny_shapes
from nodes.models.unet_config import UNetConfig
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.vae_config import VaeConfig
from nodes.models.vae_config import expected_shapes as vae_shapes
from nodes.models.weights import Weights

if TYPE_CHECKING:
    import torch
    from torch.nn import Module

    from nodes.models.weight_patches import WeightPatch

Precision = Literal["fp32", "fp16", "bf16"]
UNetWeights: TypeAlias = Weights[UNetConfig]
VaeWeights: TypeAlias = Weights[VaeConfig]
TextWeights: TypeAlias = Weights[TextConfig]


class Handle:
    """The value that nodes exchange instead of weights: small, immutable, never written to disk."""

    __slots__ = ()


@dataclass(frozen=True)
class Model(Handle):
    """A diffusion model.

    ``family`` is the file's entry in :mod:`nodes.models.families`; ``sampling`` and ``latent`` come from the file or
    else from the family.
    ``patches`` change the network's weights, ``changes`` its computation and sampling. ``precision`` is that of the
    computation; None for the one that ``--precision`` sets. ``storage`` says which weights stay in memory in 8 bits.
    A node that adds one returns a new handle (``dataclasses.replace``), which shares the file's weights.
    """

    weights: UNetWeights
    sampling: SampledAs = DDPM
    family: ModelFamily = SD1
    latent: LatentSpace = SD_LATENTS
    patches: tuple[WeightPatch, ...] = ()
    changes: ModelChanges = NO_CHANGES
    precision: Precision | None = None
    storage: Storage = "default"

    @property
    def config(self) -> UNetConfig:
        """The U-Net's channels, depth and context width."""
        return self.weights.config

    @property
    def dtype(self) -> torch.dtype:
        """The precision of its computation: its own or the configured one."""
        from nodes import device

        return device.unet_dtype(self.weights.parameters, self.precision)

    def weight_bytes(self) -> int:
        """Return the bytes that the unpatched weights take in memory. Raises CheckpointError if the file is gone."""
        from nodes import device

        checkpoint, prefix, place = Checkpoint.open(self.weights.path), self.weights.prefix, device.device()
        return sum(
            prod(shape)
            * memory_dtype(self.storage, checkpoint.dtypes[prefix + name], self.dtype, place.type, len(shape)).itemsize
            for name, shape in unet_shapes(self.config).items()
        )

    def predicting(self, prediction: PredictionName) -> Model:
        """Return the same model with its network's output interpreted as ``prediction``."""
        assert isinstance(self.sampling, (ModelSampling, ContinuousSampling)), "a node has replaced the sampling"
        return replace(self, sampling=replace(self.sampling, prediction=prediction))

    def network(self) -> Module:
        """Return the U-Net with its patched weights, on the configured device and in the model's precision.

        Raises CheckpointError if its file changed, or holds NaN or infinity; WeightPatchError if a patch does not fit.
        """
        from nodes import device

        build = network_factory(type(self.config))
        return self.weights.resident(build, self.dtype, device.device(), self.patches, self.storage)


@dataclass(frozen=True)
class TextEncoder:
    """One text encoder of a CLIP: its weights, ``patches`` that change them, and its role in the family."""

    weights: TextWeights
    role: TextRole
    patches: tuple[WeightPatch, ...] = ()
    on_cpu: bool = False
    """Encode on the CPU, in float32, whatever device samples."""

    @property
    def config(self) -> TextConfig:
        """The encoder's width and depth."""
        return self.weights.config

    def network(self) -> Module:
        """Return the encoder with its patched weights, on the configured device and in the configured precision.

        Raises CheckpointError if its file changed, or holds NaN or infinity; WeightPatchError if a patch does not fit.
        """
        from nodes import device

        dtype, place = device.text_dtype(), device.device()
        if self.on_cpu and place.type != "cpu":
            dtype, place = device.cpu_dtype(), device.cpu()
        return self.weights.resident(network_factory(type(self.config)), dtype, place, self.patches)


@dataclass(frozen=True)
class Clip(Handle):
    """A tokenizer and the text encoders of a family, in the order in which their outputs are joined.

    ``layer`` is the layer whose output is used: -1 the last, -2 the one before; None: the family's.
    ``embedding:name`` is looked up in ``folders``, if given.
    """

    encoders: tuple[TextEncoder, ...]
    layer: int | None = None
    folders: Folders | None = field(default=None, compare=False, repr=False)

    @property
    def patches(self) -> tuple[WeightPatch, ...]:
        """Return the patches of all encoders."""
        return tuple(patch for encoder in self.encoders for patch in encoder.patches)

    def encoder(self, name: str) -> TextEncoder:
        """Return the encoder with that key ("l", "g", "h"). Raises LookupError listing the valid keys."""
        found = next((encoder for encoder in self.encoders if encoder.role.name == name), None)
        if found is None:
            raise LookupError(f"no text encoder '{name}'; there are {[each.role.name for each in self.encoders]}")
        return found


@dataclass(frozen=True)
class Vae(Handle):
    """A variational autoencoder: encodes pictures to smaller, unscaled latents and decodes them."""

    weights: VaeWeights

    @property
    def config(self) -> VaeConfig:
        """The autoencoder's channels and depth."""
        return self.weights.config

    def parts(self) -> list[tuple[Weights[Any], dict[str, tuple[int, ...]], str]]:
        """Each network of the autoencoder: its weights, its tensors' shapes by name, its prefix in a file of all."""
        return [(self.weights, vae_shapes(self.config), "")]

    def network(self) -> Module:
        """Return the autoencoder with its weights, on the configured device and in the configured precision.

        Raises CheckpointError if its file changed, or holds NaN or infinity.
        """
        from nodes import device

        return self.weights.resident(network_factory(type(self.config)), device.vae_dtype(), device.device())


@dataclass(frozen=True)
class TinyVae(Vae):
    """A tiny autoencoder for quick looks, in two files as a rule. ``weights`` are the decoder's.

    It works on latents in the diffusion model's scale: (latent - ``shift``) * ``scale``.
    """

    weights: Weights[Any]
    encoder: Weights[TinyConfig]
    scale: float = 0.18215
    shift: float = 0.0

    @property
    def config(self) -> VaeConfig:
        """The sizes of an ordinary autoencoder that takes the same pictures and latents."""
        decoder: TinyConfig = self.weights.config
        widths = (decoder.width,) * (STEPS + 1)
        channels = decoder.latent_channels
        return VaeConfig(widths, 1, widths, 1, channels, channels, decoder.image_channels)

    def parts(self) -> list[tuple[Weights[Any], dict[str, tuple[int, ...]], str]]:
        """The encoder and the decoder."""
        return [
            (self.encoder, tiny_shapes(self.encoder.config), ENCODER_PREFIX),
            (self.weights, tiny_shapes(self.weights.config), DECODER_PREFIX),
        ]

    def half(self, weights: Weights[TinyConfig]) -> Module:
        """The network of the encoder's or the decoder's weights. Raises CheckpointError as :meth:`network` does."""
        from nodes import device

        return weights.resident(network_factory(TinyConfig), device.vae_dtype(), device.device())

    def network(self) -> Module:
        """The autoencoder with its weights, on the device and in the precision that are set.

        Raises CheckpointError if a file changed, or holds NaN or infinity.
        """
        return network_factory(TinyVae)(self)
