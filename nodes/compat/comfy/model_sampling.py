"""``comfy.model_sampling``: types of prediction and noise levels.

A model's sampling is an object of a class with two bases: one for the type of prediction (:class:`EPS` …), one for the
noise levels (:class:`ModelSamplingDiscrete` …). Packs define such classes and replace a model's sampling with an object
of one. Noise levels are tensors [B], one for each item of a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nodes.models.model_sampling import ContinuousSampling
from nodes.models.model_sampling import ModelSampling as Betas
from nodes.models.noise_levels import ContinuousLevels, NoiseLevels, with_zero_terminal_snr

_BEGINNING = 999999999.9
"""Represents a noise level above all others."""


class EPS:
    """The output is the noise."""

    sigma_data: float = 1.0

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """Return the network's input for a noisy latent."""
        return noise / (_by_item(sigma, noise) ** 2 + self.sigma_data**2) ** 0.5

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """Return the denoised latent for the network's output for the noisy latent ``model_input``."""
        return model_input - model_output * _by_item(sigma, model_output)

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False) -> Tensor:
        """Add noise to the latent for the start of sampling, with ``max_denoise`` from the largest noise level."""
        sigma = _by_item(sigma, noise)
        return noise * ((1.0 + sigma**2.0).sqrt() if max_denoise else sigma) + latent_image

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """Return the latent at the end of a run: unchanged."""
        return latent


class V_PREDICTION(EPS):
    """The output is the velocity of Salimans & Ho, arXiv:2202.00512."""

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """Return the clean latent."""
        sigma = _by_item(sigma, model_output)
        total = sigma**2 + self.sigma_data**2
        return model_input * self.sigma_data**2 / total - model_output * sigma * self.sigma_data / total**0.5


class EDM(V_PREDICTION):
    """The output is F in Karras et al., arXiv:2206.00364, section 5."""

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """Return the clean latent."""
        sigma = _by_item(sigma, model_output)
        total = sigma**2 + self.sigma_data**2
        return model_input * self.sigma_data**2 / total + model_output * sigma * self.sigma_data / total**0.5


class X0(EPS):
    """The output is the clean latent."""

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """Return the output."""
        return model_output


class _Table(torch.nn.Module):
    """A table of noise levels [T], rising."""

    sigmas: Tensor
    log_sigmas: Tensor

    def set_sigmas(self, sigmas: Tensor) -> None:
        """Use that table [T], rising."""
        self.register_buffer("sigmas", sigmas.float())
        self.register_buffer("log_sigmas", sigmas.log().float())

    @property
    def sigma_min(self) -> Tensor:
        """Return the smallest level."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        """Return the largest level."""
        return self.sigmas[-1]


class ModelSamplingDiscrete(_Table):
    """A table of noise levels, one for each timestep of training.

    ``model_config.sampling_settings`` may give ``linear_start``, ``linear_end``, ``timesteps`` and ``zsnr``;
    ``zsnr`` rescales the table so that its last level is pure noise.
    """

    def __init__(self, model_config: Any = None, zsnr: bool | None = None):
        super().__init__()
        settings = getattr(model_config, "sampling_settings", None) or {}
        schedule = settings.get("beta_schedule", "linear")
        if schedule != "linear":
            raise ValueError(f"beta_schedule {schedule!r} is not known; expected 'linear'")
        zero_terminal_snr = settings.get("zsnr", False) if zsnr is None else zsnr
        names = {"linear_start", "linear_end", "timesteps"} & settings.keys()
        betas = Betas(zero_terminal_snr=bool(zero_terminal_snr), **{name: settings[name] for name in names})
        self.zsnr = betas.zero_terminal_snr
        self.linear_start, self.linear_end = betas.linear_start, betas.linear_end
        self.num_timesteps = betas.timesteps
        self.sigma_data = 1.0
        self.set_sigmas(NoiseLevels.of(betas).sigmas)

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the timestep nearest to each level, compared in log-sigma; it has the shape of ``sigma``."""
        log_sigma = torch.as_tensor(sigma).log()
        distances = log_sigma.reshape(1, -1) - self.log_sigmas.to(log_sigma.device)[:, None]
        return distances.abs().argmin(dim=0).reshape(log_sigma.shape)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the level at each timestep, interpolated linearly in log-sigma between the table's levels."""
        t = torch.as_tensor(timestep).float().to(self.log_sigmas.device).clamp(0, len(self.sigmas) - 1)
        below, above = t.floor().long(), t.ceil().long()
        levels = self.log_sigmas[below].lerp(self.log_sigmas[above], t - below).exp()
        return levels.to(timestep.device) if isinstance(timestep, Tensor) else levels

    def percent_to_sigma(self, percent: float) -> float:
        """Return the level after that fraction of a run (0..1)."""
        if percent <= 0.0:
            return _BEGINNING
        if percent >= 1.0:
            return 0.0
        return float(self.sigma(torch.tensor((1.0 - percent) * (self.num_timesteps - 1))))


class ModelSamplingContinuousEDM(_Table):
    """All noise levels between two; the network gets a quarter of their logarithm."""

    def __init__(self, model_config: Any = None):
        super().__init__()
        settings = getattr(model_config, "sampling_settings", None) or {}
        self.set_parameters(
            settings.get("sigma_min", 0.002), settings.get("sigma_max", 120.0), settings.get("sigma_data", 1.0)
        )

    def set_parameters(self, sigma_min: float, sigma_max: float, sigma_data: float) -> None:
        """Use that range of levels."""
        self.sigma_data = sigma_data
        self.set_sigmas(torch.linspace(math.log(sigma_min), math.log(sigma_max), 1000).exp())

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the number that the network gets for a level."""
        return 0.25 * torch.as_tensor(sigma).log()

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the level for which the network gets that number."""
        return (torch.as_tensor(timestep) / 0.25).exp()

    def percent_to_sigma(self, percent: float) -> float:
        """Return the level after that fraction (0..1) of the range of logarithms."""
        if percent <= 0.0:
            return _BEGINNING
        if percent >= 1.0:
            return 0.0
        lowest, highest = float(self.log_sigmas[0]), float(self.log_sigmas[-1])
        return math.exp(lowest + (highest - lowest) * (1.0 - percent))


def rescale_zero_terminal_snr_sigmas(sigmas: Tensor) -> Tensor:
    """Rescale a table of levels [T], rising, so that the last one is pure noise (arXiv:2305.08891)."""
    alpha_bar = with_zero_terminal_snr(1 / (sigmas.double() ** 2 + 1))
    return ((1 - alpha_bar) / alpha_bar).sqrt().to(sigmas.dtype)


class _Eps(ModelSamplingDiscrete, EPS):
    pass


class _Velocity(ModelSamplingDiscrete, V_PREDICTION):
    pass


class _Clean(ModelSamplingDiscrete, X0):
    pass


class _ContinuousVelocity(ModelSamplingContinuousEDM, V_PREDICTION):
    pass


class _ContinuousEDM(ModelSamplingContinuousEDM, EDM):
    pass


_DISCRETE = {"eps": _Eps, "v": _Velocity, "x0": _Clean}
_CONTINUOUS = {"v": _ContinuousVelocity, "edm": _ContinuousEDM}


@dataclass(frozen=True)
class SamplingSettings:
    """The settings that :class:`ModelSamplingDiscrete` takes."""

    sampling_settings: dict[str, Any]


@dataclass(frozen=True, eq=False)
class ObjectSampling:
    """A handle's sampling, made of an object of this module's classes or of a pack's."""

    model_sampling: Any

    def levels(self) -> NoiseLevels:
        """Its noise levels, for schedules."""
        return ObjectLevels(self.model_sampling)


class ObjectLevels(NoiseLevels):
    """The noise levels of such an object."""

    def __init__(self, model_sampling: Any):
        super().__init__(model_sampling.sigmas.cpu())
        self.object = model_sampling

    @property
    def sigma_min(self) -> float:
        """Return the smallest level."""
        return float(self.object.sigma_min)

    @property
    def sigma_max(self) -> float:
        """Return the largest level."""
        return float(self.object.sigma_max)

    def sigma(self, timestep: Tensor | float) -> Tensor:
        """Return the level at each timestep."""
        found: Tensor = self.object.sigma(torch.as_tensor(timestep, dtype=torch.float32))
        return found.cpu().float()

    def timestep(self, sigma: Tensor | float) -> Any:
        """Return the timestep of a level."""
        return float(self.object.timestep(torch.as_tensor(sigma, dtype=torch.float32, device="cpu").reshape(1)))

    def sigma_at(self, percent: float) -> float:
        """Return the level after that fraction of a run (0..1)."""
        return float(self.object.percent_to_sigma(percent))

    def noised(self, latent: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """Return the clean latent with noise, for the start of a run."""
        found: Tensor = self.object.noise_scaling(_levels(sigma, latent), noise, latent, self.is_maximum(sigma))
        return found

    def noised_to(self, latent: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """A clean latent at that level."""
        found: Tensor = self.object.noise_scaling(_levels(sigma, latent), noise, latent)
        return found

    def finished(self, x: Tensor, sigma: float) -> Tensor:
        """Return the clean latent at the end of a run."""
        found: Tensor = self.object.inverse_noise_scaling(torch.tensor(sigma, device=x.device), x)
        return found

    def network_input(self, x: Tensor, sigma: float) -> Tensor:
        """Return the network's input for a noisy latent."""
        found: Tensor = self.object.calculate_input(_levels(sigma, x), x)
        return found

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """Return the clean latent that the network's output predicts."""
        found: Tensor = self.object.calculate_denoised(_levels(sigma, x), output, x)
        return found


class LevelsSampling(_Table):
    """Noise levels and a prediction of Sumi's that none of the classes above has."""

    def __init__(self, levels: NoiseLevels):
        super().__init__()
        self._levels = levels
        self.sigma_data = float(getattr(levels.prediction, "sigma_data", 1.0))
        self.set_sigmas(levels.sigmas)

    def timestep(self, sigma: Tensor) -> Tensor:
        """Return the number that the network gets for each level."""
        sigma = torch.as_tensor(sigma)
        return torch.tensor([float(self._levels.timestep(level)) for level in sigma.flatten()]).reshape(sigma.shape)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Return the level at each timestep."""
        return self._levels.sigma(torch.as_tensor(timestep).cpu())

    def percent_to_sigma(self, percent: float) -> float:
        """Return the level after that fraction of a run (0..1)."""
        return min(self._levels.sigma_at(percent), _BEGINNING)

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """Return the network's input for a noisy latent."""
        return self._by_item(self._levels.network_input, sigma, noise)

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        """Return the clean latent that the output for the noisy latent ``model_input`` predicts."""
        return self._by_item(self._levels.denoised, sigma, model_input, model_output)

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False) -> Tensor:
        """Return the latent with noise of that level. ``max_denoise``: from the largest noise level."""
        prediction = self._levels.prediction
        return self._by_item(
            lambda x, n, level: prediction.noised(x, n, level, max_denoise), sigma, latent_image, noise
        )

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """Return the latent at the end of a run."""
        return self._levels.finished(latent, float(torch.as_tensor(sigma).flatten()[0]))

    @staticmethod
    def _by_item(function: Any, sigma: Tensor, *tensors: Tensor) -> Tensor:
        levels = torch.as_tensor(sigma).flatten().tolist()
        if levels.count(levels[0]) == len(levels):
            return function(*tensors, levels[0])
        items = zip(*(tensor.split(1) for tensor in tensors), levels, strict=True)
        return torch.cat([function(*item) for item in items])


def object_of_levels(levels: NoiseLevels) -> Any:
    """An object with these noise levels, for schedules, which do not depend on the prediction type."""
    if isinstance(levels, ObjectLevels):
        return levels.object
    made: Any = _ContinuousEDM() if isinstance(levels, ContinuousLevels) else _Eps()
    made.set_sigmas(levels.sigmas)
    return made


def settings_of(sampling: Any) -> dict[str, Any]:
    """Return the settings of a handle's sampling; the usual betas if a pack replaced it with its own object."""
    if isinstance(sampling, ContinuousSampling):
        return {
            "sigma_min": sampling.sigma_min,
            "sigma_max": sampling.sigma_max,
            "sigma_data": sampling.sigma_data,
        }
    betas = sampling if isinstance(sampling, Betas) else Betas()
    return {
        "linear_start": betas.linear_start,
        "linear_end": betas.linear_end,
        "timesteps": betas.timesteps,
        "zsnr": betas.zero_terminal_snr,
    }


def model_sampling_of(sampling: Any) -> Any:
    """Return the object that stands for a handle's sampling."""
    if isinstance(sampling, ObjectSampling):
        return sampling.model_sampling
    continuous = isinstance(sampling, ContinuousSampling)
    kinds: Any = _CONTINUOUS if continuous else _DISCRETE
    prediction = getattr(sampling, "prediction", "")
    if prediction not in kinds or getattr(sampling, "time", "log") != "log":
        return LevelsSampling(sampling.levels())
    return made_sampling(SamplingSettings(settings_of(sampling)), prediction, continuous)


def made_sampling(model_config: Any, prediction: str, continuous: bool) -> Any:
    """A new object: ``prediction`` is ``eps``, ``v``, ``x0`` or ``edm``, ``continuous`` a range in place of a table."""
    kinds: Any = _CONTINUOUS if continuous else _DISCRETE
    return kinds[prediction](model_config)


def _levels(sigma: float, x: Tensor) -> Tensor:
    """A level [B] for each item of a batch."""
    return x.new_full((len(x),), sigma)


def _by_item(sigma: Tensor, x: Tensor) -> Tensor:
    """Reshape levels [B] to broadcast with a batch [B, …]."""
    return sigma.reshape(sigma.shape[:1] + (1,) * (x.ndim - 1)) if sigma.ndim else sigma
