"""Reads from a file how its diffusion model is sampled and how its latents are scaled.

Training tools mark files with tensors named for the purpose (``v_pred``, ``ztsnr``, ``edm_mean``, ``edm_std``,
``edm_vpred.sigma_max``) or with metadata (``modelspec.prediction_type``, https://github.com/Stability-AI/ModelSpec).
"""

from __future__ import annotations

import dataclasses
from typing import Final

from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.families import ModelFamily
from nodes.models.latent_space import LatentSpace, normalized
from nodes.models.model_sampling import ContinuousSampling, ModelSampling, SampledAs

MARKERS: Final = ("v_pred", "ztsnr", "edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")
"""Marker tensors that describe how the model is sampled; they are not weights."""

_PLAYGROUND: Final = ContinuousSampling("edm", sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
"""Playground 2.5 (arXiv:2402.17245), as its published scheduler has it."""
_PLAYGROUND_SCALE: Final = 0.5
_COSXL_SIGMA_MIN: Final = 0.002

_TELLING_BIAS: Final = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
_BIAS_OF_VELOCITY: Final = 0.09
"""The standard deviation of that bias above which a published SD2 model predicts velocity."""


def sampling_in(checkpoint: Checkpoint, prefix: str, family: ModelFamily) -> SampledAs:
    """The prediction type and the noise levels of the diffusion network under ``prefix``.

    Markers count before metadata, metadata before weights, weights before the family's default. Raises CheckpointError
    for a marker that does not hold a number.
    """
    shapes = checkpoint.shapes
    if "edm_mean" in shapes and "edm_std" in shapes:
        return _PLAYGROUND
    if "edm_vpred.sigma_max" in shapes:
        largest = _number(checkpoint, "edm_vpred.sigma_max")
        smallest = _number(checkpoint, "edm_vpred.sigma_min") if "edm_vpred.sigma_min" in shapes else _COSXL_SIGMA_MIN
        if not 0 < smallest < largest:
            raise CheckpointError(
                f"{checkpoint.path}: noise levels from {smallest:g} to {largest:g} "
                "(edm_vpred.sigma_min, edm_vpred.sigma_max); expected a range above 0"
            )
        return ContinuousSampling("v", smallest, largest)
    usual = family.sampling
    if not isinstance(usual, ModelSampling):
        return usual
    if "ztsnr" in shapes:
        usual = dataclasses.replace(usual, zero_terminal_snr=True)
    stated = checkpoint.metadata.get("modelspec.prediction_type", "").lower()
    if "v_pred" in shapes or stated.startswith("v"):
        return dataclasses.replace(usual, prediction="v")
    if stated.startswith("eps"):
        return dataclasses.replace(usual, prediction="eps")
    if family.predictions_differ and prefix + _TELLING_BIAS in shapes:
        spread = float(checkpoint.tensor(prefix + _TELLING_BIAS).float().std(unbiased=False))
        return dataclasses.replace(usual, prediction="v" if spread > _BIAS_OF_VELOCITY else "eps")
    return usual


def latent_in(checkpoint: Checkpoint, family: ModelFamily) -> LatentSpace:
    """The space of the file's latents: the family's, normalized by channel where the file says so.

    Raises CheckpointError if mean and standard deviation do not have one number for each channel.
    """
    if not {"edm_mean", "edm_std"} <= checkpoint.shapes.keys():
        return family.latent
    mean, std = _numbers(checkpoint, "edm_mean"), _numbers(checkpoint, "edm_std")
    channels = family.latent.channels
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise CheckpointError(
            f"{checkpoint.path}: edm_mean and edm_std hold {len(mean)} and {len(std)} numbers; "
            f"expected {channels}, the deviations above 0"
        )
    return normalized(family.latent, mean, std, _PLAYGROUND_SCALE)


def _number(checkpoint: Checkpoint, name: str) -> float:
    found = _numbers(checkpoint, name)
    if len(found) != 1:
        raise CheckpointError(f"{checkpoint.path}: '{name}' holds {len(found)} numbers; expected one")
    return found[0]


def _numbers(checkpoint: Checkpoint, name: str) -> list[float]:
    """The values of a small tensor. Raises CheckpointError unless they are finite."""
    tensor = checkpoint.tensor(name).float().flatten()
    if tensor.numel() == 0 or not tensor.isfinite().all():
        raise CheckpointError(f"{checkpoint.path}: '{name}' is empty, or holds NaN or infinity")
    return [float(value) for value in tensor]
