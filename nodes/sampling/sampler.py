"""A sampler with its settings, and what each name in the editor stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from torch import Tensor

from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.denoiser import Denoiser
from nodes.sampling.noise import StepNoise, brownian_noise, independent_noise
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
from nodes.sampling.samplers.sa_solver import sa_solver, tau_between
from nodes.sampling.samplers.seeds import seeds_2, seeds_3
from nodes.sampling.samplers.uni_pc import uni_pc

_ON_DEVICE: Final = "brownian on device"


@dataclass(frozen=True)
class Sampler:
    """A sampling function, its options, and where it takes the noise of its steps from."""

    function: Callable[..., Tensor]
    noise: Literal["independent", "brownian", "brownian on device"] | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    skips_penultimate: bool = False
    """Better without the last noise level above 0 of a schedule."""
    renews_masked_noise: bool = False
    """Outside an inpainting mask, noise other than that of the start is put."""
    stochastic_percent: tuple[float, float] | None = None
    """The part of the run (0..1) in which a ``tau`` option makes steps stochastic."""

    def run(self, model: Denoiser, x: Tensor, sigmas: Tensor, seed: int, levels: NoiseLevels) -> Tensor:
        """``x`` at ``sigmas[0]`` brought to ``sigmas[-1]``."""
        options = dict(self.options)
        if self.noise is not None:
            options["noise"] = self._step_noise(x, sigmas, seed)
        if self.stochastic_percent is not None:
            start, end = self.stochastic_percent
            options["tau"] = tau_between(levels.sigma_at(start), levels.sigma_at(end))
        return self.function(model, x, sigmas, **options)

    def _step_noise(self, x: Tensor, sigmas: Tensor, seed: int) -> StepNoise:
        if self.noise == "independent":
            return independent_noise(x, seed)
        return brownian_noise(x, sigmas, seed, "cpu" if self.noise == "brownian" else x.device)


class PackSampler(Protocol):
    """A sampler of a node pack's, in ComfyUI's form: a guider runs it (``nodes.compat.comfy._guider``)."""

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """A run."""


def sampler_named(name: str) -> Sampler | PackSampler:
    """One of Sumi's, or one that a node pack has added. Raises ValueError if there is none."""
    if name in SAMPLERS:
        return SAMPLERS[name]
    from nodes.compat.comfy.samplers import sampler_object

    return sampler_object(name)


SAMPLERS: Final[Mapping[str, Sampler]] = {
    "euler": Sampler(euler),
    "euler_cfg_pp": Sampler(euler_cfg_pp),
    "euler_ancestral": Sampler(euler_ancestral, "independent"),
    "euler_ancestral_cfg_pp": Sampler(euler_ancestral_cfg_pp, "independent"),
    "heun": Sampler(heun),
    "heunpp2": Sampler(heunpp2),
    "dpm_2": Sampler(dpm_2, skips_penultimate=True),
    "dpm_2_ancestral": Sampler(dpm_2_ancestral, "independent", skips_penultimate=True),
    "lms": Sampler(lms),
    "dpm_fast": Sampler(dpm_fast),
    "dpm_adaptive": Sampler(dpm_adaptive),
    "dpmpp_2s_ancestral": Sampler(dpmpp_2s_ancestral, "independent"),
    "dpmpp_2s_ancestral_cfg_pp": Sampler(dpmpp_2s_ancestral_cfg_pp, "independent"),
    "dpmpp_sde": Sampler(dpmpp_sde, "brownian"),
    "dpmpp_sde_gpu": Sampler(dpmpp_sde, _ON_DEVICE),
    "dpmpp_2m": Sampler(dpmpp_2m),
    "dpmpp_2m_cfg_pp": Sampler(dpmpp_2m_cfg_pp),
    "dpmpp_2m_sde": Sampler(dpmpp_2m_sde, "brownian"),
    "dpmpp_2m_sde_gpu": Sampler(dpmpp_2m_sde, _ON_DEVICE),
    "dpmpp_2m_sde_heun": Sampler(dpmpp_2m_sde, "brownian", {"solver_type": "heun"}),
    "dpmpp_2m_sde_heun_gpu": Sampler(dpmpp_2m_sde, _ON_DEVICE, {"solver_type": "heun"}),
    "dpmpp_3m_sde": Sampler(dpmpp_3m_sde, "brownian"),
    "dpmpp_3m_sde_gpu": Sampler(dpmpp_3m_sde, _ON_DEVICE),
    "ddpm": Sampler(ddpm, "independent"),
    "lcm": Sampler(lcm, "independent"),
    "ipndm": Sampler(ipndm),
    "ipndm_v": Sampler(ipndm_v),
    "deis": Sampler(deis),
    "res_multistep": Sampler(res_multistep, "independent", {"eta": 0.0}),
    "res_multistep_cfg_pp": Sampler(res_multistep_cfg_pp, "independent", {"eta": 0.0}),
    "res_multistep_ancestral": Sampler(res_multistep, "independent", {"eta": 1.0}),
    "res_multistep_ancestral_cfg_pp": Sampler(res_multistep_cfg_pp, "independent", {"eta": 1.0}),
    "gradient_estimation": Sampler(gradient_estimation),
    "gradient_estimation_cfg_pp": Sampler(gradient_estimation_cfg_pp),
    "er_sde": Sampler(er_sde, "independent"),
    "seeds_2": Sampler(seeds_2, "independent"),
    "seeds_3": Sampler(seeds_3, "independent"),
    "sa_solver": Sampler(sa_solver, "independent", stochastic_percent=(0.2, 0.8)),
    "sa_solver_pece": Sampler(sa_solver, "independent", {"pece": True}, stochastic_percent=(0.2, 0.8)),
    "ddim": Sampler(euler, renews_masked_noise=True),
    "uni_pc": Sampler(uni_pc, options={"variant": "bh1"}, skips_penultimate=True),
    "uni_pc_bh2": Sampler(uni_pc, options={"variant": "bh2"}, skips_penultimate=True),
}
