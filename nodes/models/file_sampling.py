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
"""The values of Playground 2.5's published scheduler (arXiv:2402.17245)."""
_PLAYGROUND_SCALE: Final = 0.5
_COSXL_SIGMA_MIN: Final = 0.002

_TELLING_BIAS: Final = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
_BIAS_OF_VELOCITY: Final = 0.09
"""The standard deviation of that bias above which a published SD2 model predicts velocity."""


def sampling_in(checkpoint: Checkpoint, prefix: str, family: ModelFamily) -> SampledAs:
    """Return the prediction type and the noise levels of the diffusion network under ``prefix``.

    They come from markers, else metadata, else the weights, else the family's default. Raises CheckpointError
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
    """Return the space of the file's latents: the family's, normalized by channel if the file has mean and deviation.

    Raises CheckpointError if these do not have one number for each channel.
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


def markers_of(sampling: SampledAs, family: ModelFamily, latent: LatentSpace) -> dict[str, tuple[float, ...]] | None:
    """The marker tensors of a file from which :func:`sampling_in` and :func:`latent_in` read these again.

    None if no marker describes the sampling: a node has replaced it by a kind that no file states.
    """
    if latent.mean is not None and latent.std is not None:
        return {"edm_mean": latent.mean, "edm_std": latent.std}
    if isinstance(sampling, ContinuousSampling) and sampling.prediction == "v":
        return {"edm_vpred.sigma_max": (sampling.sigma_max,), "edm_vpred.sigma_min": (sampling.sigma_min,)}
    usual = family.sampling
    if not isinstance(sampling, ModelSampling) or sampling.prediction not in ("eps", "v"):
        return {} if sampling == usual else None
    markers: dict[str, tuple[float, ...]] = {}
    if sampling.prediction == "v" and usual != sampling:
        markers["v_pred"] = ()
    if sampling.zero_terminal_snr:
        markers["ztsnr"] = ()
    return markers


def _number(checkpoint: Checkpoint, name: str) -> float:
    found = _numbers(checkpoint, name)
    if len(found) != 1:
        raise CheckpointError(f"{checkpoint.path}: '{name}' holds {len(found)} numbers; expected one")
    return found[0]


def _numbers(checkpoint: Checkpoint, name: str) -> list[float]:
    """Return the values of a small tensor. Raises CheckpointError unless they are finite."""
    tensor = checkpoint.tensor(name).double().flatten()
    if tensor.numel() == 0 or not tensor.isfinite().all():
        raise CheckpointError(f"{checkpoint.path}: '{name}' is empty, or holds NaN or infinity")
    return [float(value) for value in tensor]
