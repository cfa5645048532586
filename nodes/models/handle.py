"""MODEL and VAE as they travel between nodes: light, immutable, compared by value.

A handle says where weights lie and how they are to be used. The weights themselves are in
:mod:`nodes.models.residency`, loaded when first asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from nodes.models.unet_config import UNetConfig
from nodes.models.vae_config import VaeConfig
from nodes.models.weights import Weights

if TYPE_CHECKING:
    import torch

    from nodes.models.noise_levels import NoiseLevels
    from nodes.models.weight_patches import WeightPatch
    from nodes.unet.unet import UNet
    from nodes.vae.autoencoder import AutoencoderKL

UNetWeights: TypeAlias = Weights[UNetConfig]
VaeWeights: TypeAlias = Weights[VaeConfig]


class Handle:
    """What travels between nodes in place of weights: small, immutable, never written to disk."""

    __slots__ = ()


class SampledAs(Protocol):
    """How a network's output is understood, and at which noise levels."""

    def levels(self) -> NoiseLevels:
        """The noise levels."""


@dataclass(frozen=True)
class ModelSampling:
    """What a diffusion network predicts, and the noise levels it was trained on.

    ``timesteps`` betas, linear in sqrt from ``linear_start`` to ``linear_end`` (Rombach et al.,
    arXiv:2112.10752); ``zero_terminal_snr`` rescales them as Lin et al. do (arXiv:2305.08891).
    """

    prediction: Literal["eps", "v"] = "eps"
    zero_terminal_snr: bool = False
    linear_start: float = 0.00085
    linear_end: float = 0.012
    timesteps: int = 1000

    def levels(self) -> NoiseLevels:
        """The noise levels that these betas make."""
        from nodes.models.noise_levels import NoiseLevels

        return NoiseLevels.of(self)


@dataclass(frozen=True)
class Model(Handle):
    """A diffusion model.

    ``latent_scale``: latents are multiplied by it before sampling and divided after.
    ``patches`` change the network's weights. ``options`` are functions that change how it computes and how it is
    sampled, in ComfyUI's form (``model_options``), ``attachments`` what else a node pack keeps with the model.
    A node that adds one returns a new handle (``dataclasses.replace``), which shares the file's weights.
    """

    weights: UNetWeights
    sampling: SampledAs = ModelSampling()
    latent_scale: float = 0.18215
    patches: tuple[WeightPatch, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    attachments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def config(self) -> UNetConfig:
        """The U-Net's channels, depth and context width."""
        return self.weights.config

    def predicting(self, prediction: Literal["eps", "v"]) -> Model:
        """The same model, its network's output understood as ``prediction``."""
        assert isinstance(self.sampling, ModelSampling), "only what a loader says of a model can be corrected"
        return replace(self, sampling=replace(self.sampling, prediction=prediction))

    @property
    def has_functions(self) -> bool:
        """Whether it is sampled otherwise than by Sumi's functions alone."""
        return bool(self.options or self.attachments) or not isinstance(self.sampling, ModelSampling)

    def network(self) -> UNet:
        """The U-Net with its weights, patched, on the device and in the precision that are set.

        Raises CheckpointError if its file changed, or holds NaN or infinity; WeightPatchError if a patch does not fit.
        """
        from nodes import device
        from nodes.unet.unet import UNet

        return self.weights.resident(UNet, device.unet_dtype(self.weights.parameters), device.device(), self.patches)


@dataclass(frozen=True)
class Vae(Handle):
    """A variational autoencoder between pictures and latents 8 times smaller, unscaled.

    Every method raises CheckpointError if the file changed, or holds NaN or infinity.
    """

    weights: VaeWeights

    @property
    def config(self) -> VaeConfig:
        """The autoencoder's channels and depth."""
        return self.weights.config

    def network(self) -> AutoencoderKL:
        """The autoencoder with its weights, on the device and in the precision that are set."""
        from nodes import device
        from nodes.vae.autoencoder import AutoencoderKL

        return self.weights.resident(AutoencoderKL, device.vae_dtype(), device.device())

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Latents [B, 4, h, w] to images [B, 8h, 8w, 3], float32 in 0..1 on the CPU."""
        from nodes.vae import coding as vae_coding

        return vae_coding.decode(self.network(), samples)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Images [B, H, W, 3 or more] in 0..1 to latents [B, 4, H//8, W//8], float32 on the CPU.

        Width and height are cropped, centred, to multiples of 8; channels after the third are dropped.
        """
        from nodes.vae import coding as vae_coding

        return vae_coding.encode(self.network(), pixels)

    def decode_tiled(self, samples: torch.Tensor, tile_size: int = 512, overlap: int = 64) -> torch.Tensor:
        """:meth:`decode` in tiles of ``tile_size`` pixels, feathered over ``overlap`` pixels."""
        from nodes.vae import coding as vae_coding

        return vae_coding.decode_tiled(self.network(), samples, tile_size, overlap)

    def encode_tiled(self, pixels: torch.Tensor, tile_size: int = 512, overlap: int = 64) -> torch.Tensor:
        """:meth:`encode` in tiles of ``tile_size`` pixels, feathered over ``overlap`` pixels."""
        from nodes.vae import coding as vae_coding

        return vae_coding.encode_tiled(self.network(), pixels, tile_size, overlap)
