"""MODEL, CLIP and VAE as they travel between nodes: light, immutable, compared by value.

A handle holds the location of weights and how to use them. The weights themselves are in
:mod:`nodes.models.residency`, loaded when first asked for. The functions that use a handle
are in the rooms of the networks: :mod:`nodes.sampling`, :mod:`nodes.text`, :mod:`nodes.vae`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from graph.folders import Folders
from nodes.models.changes import NO_CHANGES, ModelChanges
from nodes.models.families import SD1, ModelFamily
from nodes.models.latent_space import SD_LATENTS, LatentSpace
from nodes.models.model_sampling import DDPM, ContinuousSampling, ModelSampling, PredictionName, SampledAs
from nodes.models.networks import network_factory
from nodes.models.text_config import TextConfig
from nodes.models.text_roles import TextRole
from nodes.models.unet_config import UNetConfig
from nodes.models.vae_config import VaeConfig
from nodes.models.weights import Weights

if TYPE_CHECKING:
    from torch.nn import Module

    from nodes.models.weight_patches import WeightPatch

UNetWeights: TypeAlias = Weights[UNetConfig]
VaeWeights: TypeAlias = Weights[VaeConfig]
TextWeights: TypeAlias = Weights[TextConfig]


class Handle:
    """What travels between nodes in place of weights: small, immutable, never written to disk."""

    __slots__ = ()


@dataclass(frozen=True)
class Model(Handle):
    """A diffusion model.

    ``family`` is the file's entry in :mod:`nodes.models.families`; ``sampling`` and ``latent`` are the family's, or
    what the file says instead.
    ``patches`` change the network's weights, ``changes`` how it computes and how it is sampled.
    A node that adds one returns a new handle (``dataclasses.replace``), which shares the file's weights.
    """

    weights: UNetWeights
    sampling: SampledAs = DDPM
    family: ModelFamily = SD1
    latent: LatentSpace = SD_LATENTS
    patches: tuple[WeightPatch, ...] = ()
    changes: ModelChanges = NO_CHANGES

    @property
    def config(self) -> UNetConfig:
        """The U-Net's channels, depth and context width."""
        return self.weights.config

    def predicting(self, prediction: PredictionName) -> Model:
        """The same model, its network's output understood as ``prediction``."""
        assert isinstance(self.sampling, (ModelSampling, ContinuousSampling)), "a node has replaced the sampling"
        return replace(self, sampling=replace(self.sampling, prediction=prediction))

    def network(self) -> Module:
        """The U-Net with its weights, patched, on the device and in the precision that are set.

        Raises CheckpointError if its file changed, or holds NaN or infinity; WeightPatchError if a patch does not fit.
        """
        from nodes import device

        return self.weights.resident(
            network_factory(type(self.config)),
            device.unet_dtype(self.weights.parameters),
            device.device(),
            self.patches,
        )


@dataclass(frozen=True)
class TextEncoder:
    """One text encoder of a CLIP: its weights, ``patches`` that change them, and its role in the family."""

    weights: TextWeights
    role: TextRole
    patches: tuple[WeightPatch, ...] = ()

    @property
    def config(self) -> TextConfig:
        """The encoder's width and depth."""
        return self.weights.config

    def network(self) -> Module:
        """The encoder with its weights, patched, on the device and in the precision that are set.

        Raises CheckpointError if its file changed, or holds NaN or infinity; WeightPatchError if a patch does not fit.
        """
        from nodes import device

        return self.weights.resident(
            network_factory(type(self.config)), device.text_dtype(), device.device(), self.patches
        )


@dataclass(frozen=True)
class Clip(Handle):
    """A tokenizer and the text encoders of a family, in the order in which their outputs are joined.

    ``layer`` is the one whose output is used: -1 the last, -2 the one before; None what the family uses.
    ``folders`` is where ``embedding:name`` is looked up; None: nowhere.
    """

    encoders: tuple[TextEncoder, ...]
    layer: int | None = None
    folders: Folders | None = field(default=None, compare=False, repr=False)

    @property
    def patches(self) -> tuple[WeightPatch, ...]:
        """The patches of all encoders."""
        return tuple(patch for encoder in self.encoders for patch in encoder.patches)

    def encoder(self, name: str) -> TextEncoder:
        """The encoder with that key ("l", "g", "h"). Raises LookupError listing the valid keys."""
        found = next((encoder for encoder in self.encoders if encoder.role.name == name), None)
        if found is None:
            raise LookupError(f"no text encoder '{name}'; there are {[each.role.name for each in self.encoders]}")
        return found


@dataclass(frozen=True)
class Vae(Handle):
    """A variational autoencoder between pictures and smaller latents, unscaled."""

    weights: VaeWeights

    @property
    def config(self) -> VaeConfig:
        """The autoencoder's channels and depth."""
        return self.weights.config

    def network(self) -> Module:
        """The autoencoder with its weights, on the device and in the precision that are set.

        Raises CheckpointError if its file changed, or holds NaN or infinity.
        """
        from nodes import device

        return self.weights.resident(network_factory(type(self.config)), device.vae_dtype(), device.device())
