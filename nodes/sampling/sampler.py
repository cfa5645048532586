"""Samplers by their names: functions with their settings, and samplers that others register."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from torch import Tensor

from graph.errors import SumiError
from nodes.models.changes import MaskStep, Sampler, SamplerCall
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.denoiser import Denoiser, Observed
from nodes.sampling.inpainting import Inpainted
from nodes.sampling.noise import (
    SEEDS,
    NoiseLike,
    StepNoise,
    brownian_noise,
    independent_noise,
    initial_noise,
    noise_like,
)
from nodes.sampling.samplers.ddpm import ddpm
from nodes.sampling.samplers.deis import deis
from nodes.sampling.samplers.dpm_2 import dpm_2, dpm_2_ancestral
from nodes.sampling.samplers.dpm_solver import dpm_adaptive, dpm_fast
from nodes.sampling.samplers.dpmpp_2m import dpmpp_2m, dpmpp_2m_cfg_pp
from nodes.sampling.samplers.dpmpp_2m_sde import dpmpp_2m_sde
from nodes.sampling.samplers.dpmpp_2s_ancestral import dpmpp_2s_ancestral, dpmpp_2s_ancestral_cfg_pp
from nodes.sampling.samplers.dpmpp_3m_sde import dpmpp_3m_sde
from nodes.sampling.samplers.dpmpp_sde import dpmpp_sde
from nodes.sampling.samplers.er_sde import er_sde
from nodes.sampling.samplers.euler import euler, euler_ancestral, euler_ancestral_cfg_pp, euler_cfg_pp
from nodes.sampling.samplers.gradient_estimation import gradient_estimation, gradient_estimation_cfg_pp
from nodes.sampling.samplers.heun import heun, heunpp2
from nodes.sampling.samplers.ipndm import ipndm, ipndm_v
from nodes.sampling.samplers.lcm import lcm
from nodes.sampling.samplers.lms import lms
from nodes.sampling.samplers.res_multistep import res_multistep, res_multistep_cfg_pp
from nodes.sampling.samplers.sa_solver import TauBetween, sa_solver
from nodes.sampling.samplers.seeds import seeds_2, seeds_3
from nodes.sampling.samplers.uni_pc import uni_pc

NoiseKind = Literal["independent", "brownian", "brownian on device", "of any shape"]
"""The source of a sampler's step noise: ``independent_noise``, ``brownian_noise`` or ``noise_like``."""

_ON_DEVICE: Final = "brownian on device"


class SamplerSettingError(SumiError):
    """A sampler cannot run with a setting. The message names it and its valid values."""


@dataclass(frozen=True)
class FunctionSampler:
    """A sampling function, its options, and the source of the noise that it adds between steps."""

    function: Callable[..., Tensor]
    noise: NoiseKind | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    skips_penultimate: bool = False
    """Whether the sampler works better without a schedule's last noise level above 0."""
    renews_masked_noise: bool = False
    """Whether it uses other noise than the initial one outside an inpainting mask."""
    stochastic_percent: tuple[float, float] | None = None
    """The part of the run (0..1) in which a ``tau`` option makes steps stochastic."""

    def sample(self, call: SamplerCall) -> Tensor:
        """Add noise to the latent of ``call`` for the first of its sigmas, and denoise it to the last."""

        def steps(denoiser: Denoiser, x: Tensor) -> Tensor:
            return self.run(denoiser, x, call.sigmas, call.seed, call.levels)

        return sampled(call, steps, self.renews_masked_noise)

    def run(self, model: Denoiser, x: Tensor, sigmas: Tensor, seed: int, levels: NoiseLevels) -> Tensor:
        """Denoise ``x`` from ``sigmas[0]`` to ``sigmas[-1]``."""
        options = dict(self.options)
        if self.noise is not None:
            options["noise"] = self._step_noise(x, sigmas, seed)
        if self.stochastic_percent is not None:
            start, end = self.stochastic_percent
            options["tau"] = TauBetween(levels.sigma_at(start), levels.sigma_at(end))
        return self.function(model, x, sigmas, **options)

    def _step_noise(self, x: Tensor, sigmas: Tensor, seed: int) -> StepNoise | NoiseLike:
        if self.noise == "independent":
            return independent_noise(x, seed)
        if self.noise == "of any shape":
            return noise_like(x.device, seed)
        return brownian_noise(x, sigmas, seed, "cpu" if self.noise == "brownian" else x.device)


def sampled(
    call: SamplerCall, steps: Callable[[Denoiser, Tensor], Tensor], renews_masked_noise: bool = False
) -> Tensor:
    """Add noise to the latent of ``call``, denoise it to the last sigma with ``steps(denoiser, x)``, and rescale it.

    With a single sigma there are no steps, so noise is only added.

    The denoiser for ``steps`` keeps the latent outside the mask, and reports to ``call.on_step``.
    ``renews_masked_noise``: outside the mask, use noise of the next seed.
    """
    denoiser, levels = call.denoiser, call.levels
    if call.mask is not None:
        noise = call.noise
        if renews_masked_noise:
            noise = initial_noise(noise.shape, (call.seed + 1) % SEEDS).to(noise)
        denoiser = Inpainted(denoiser, call.mask, call.latent, noise, levels, _mask_at(call))
    if call.on_step is not None:
        denoiser = Observed(denoiser, call.sigmas, call.on_step)
    x = levels.noised(call.latent, call.noise, float(call.sigmas[0]))
    if len(call.sigmas) > 1:
        x = steps(denoiser, x)
    return levels.finished(x, float(call.sigmas[-1]))


def _mask_at(call: SamplerCall) -> Callable[[Tensor, float], Tensor] | None:
    """Return the mask for each noise level, if the model's changes make it depend on the level."""
    change = call.changes.mask
    if change is None:
        return None
    return lambda mask, sigma: change(MaskStep(mask, sigma, call.sigmas, call.levels, call.denoiser))


_added: dict[str, Sampler] = {}


def register_sampler(name: str, sampler: Sampler) -> None:
    """Register ``sampler`` so that nodes find it by ``name``; a later one with the same name replaces it.

    Raises ValueError if the name belongs to a built-in sampler.
    """
    if name in SAMPLERS:
        raise ValueError(f"'{name}' is the name of a built-in sampler; expected another name")
    _added[name] = sampler


def sampler_with(name: str, **options: Any) -> FunctionSampler:
    """Return the built-in sampler with that name and other options, which are parameters of its function."""
    sampler = SAMPLERS[name]
    return replace(sampler, options={**sampler.options, **options})


def sampler_named(name: str) -> Sampler:
    """Return the sampler with that name, built-in or registered. Raises ValueError if there is none."""
    found = SAMPLERS.get(name) or _added.get(name)
    if found is None:
        raise ValueError(f"there is no sampler '{name}'; there are {', '.join([*SAMPLERS, *_added])}")
    return found


SAMPLERS: Final[Mapping[str, FunctionSampler]] = {
    "euler": FunctionSampler(euler, "independent"),
    "euler_cfg_pp": FunctionSampler(euler_cfg_pp),
    "euler_ancestral": FunctionSampler(euler_ancestral, "independent"),
    "euler_ancestral_cfg_pp": FunctionSampler(euler_ancestral_cfg_pp, "independent"),
    "heun": FunctionSampler(heun, "independent"),
    "heunpp2": FunctionSampler(heunpp2, "independent"),
    "dpm_2": FunctionSampler(dpm_2, "independent", skips_penultimate=True),
    "dpm_2_ancestral": FunctionSampler(dpm_2_ancestral, "independent", skips_penultimate=True),
    "lms": FunctionSampler(lms),
    "dpm_fast": FunctionSampler(dpm_fast),
    "dpm_adaptive": FunctionSampler(dpm_adaptive, "independent"),
    "dpmpp_2s_ancestral": FunctionSampler(dpmpp_2s_ancestral, "independent"),
    "dpmpp_2s_ancestral_cfg_pp": FunctionSampler(dpmpp_2s_ancestral_cfg_pp, "independent"),
    "dpmpp_sde": FunctionSampler(dpmpp_sde, "brownian"),
    "dpmpp_sde_gpu": FunctionSampler(dpmpp_sde, _ON_DEVICE),
    "dpmpp_2m": FunctionSampler(dpmpp_2m),
    "dpmpp_2m_cfg_pp": FunctionSampler(dpmpp_2m_cfg_pp),
    "dpmpp_2m_sde": FunctionSampler(dpmpp_2m_sde, "brownian"),
    "dpmpp_2m_sde_gpu": FunctionSampler(dpmpp_2m_sde, _ON_DEVICE),
    "dpmpp_2m_sde_heun": FunctionSampler(dpmpp_2m_sde, "brownian", {"solver_type": "heun"}),
    "dpmpp_2m_sde_heun_gpu": FunctionSampler(dpmpp_2m_sde, _ON_DEVICE, {"solver_type": "heun"}),
    "dpmpp_3m_sde": FunctionSampler(dpmpp_3m_sde, "brownian"),
    "dpmpp_3m_sde_gpu": FunctionSampler(dpmpp_3m_sde, _ON_DEVICE),
    "ddpm": FunctionSampler(ddpm, "independent"),
    "lcm": FunctionSampler(lcm, "independent"),
    "ipndm": FunctionSampler(ipndm),
    "ipndm_v": FunctionSampler(ipndm_v),
    "deis": FunctionSampler(deis),
    "res_multistep": FunctionSampler(res_multistep, "independent", {"eta": 0.0}),
    "res_multistep_cfg_pp": FunctionSampler(res_multistep_cfg_pp, "independent", {"eta": 0.0}),
    "res_multistep_ancestral": FunctionSampler(res_multistep, "independent", {"eta": 1.0}),
    "res_multistep_ancestral_cfg_pp": FunctionSampler(res_multistep_cfg_pp, "independent", {"eta": 1.0}),
    "gradient_estimation": FunctionSampler(gradient_estimation),
    "gradient_estimation_cfg_pp": FunctionSampler(gradient_estimation_cfg_pp),
    "er_sde": FunctionSampler(er_sde, "independent"),
    "seeds_2": FunctionSampler(seeds_2, "independent"),
    "seeds_3": FunctionSampler(seeds_3, "independent"),
    "sa_solver": FunctionSampler(sa_solver, "independent", stochastic_percent=(0.2, 0.8)),
    "sa_solver_pece": FunctionSampler(sa_solver, "independent", {"pece": True}, stochastic_percent=(0.2, 0.8)),
    "ddim": FunctionSampler(euler, "independent", renews_masked_noise=True),
    "uni_pc": FunctionSampler(uni_pc, options={"variant": "bh1"}, skips_penultimate=True),
    "uni_pc_bh2": FunctionSampler(uni_pc, options={"variant": "bh2"}, skips_penultimate=True),
}
