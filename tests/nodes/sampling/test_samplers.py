"""Each sampler on a problem with a known solution: data with a Gaussian distribution."""

from __future__ import annotations

import math
from functools import partial

import numpy
import pytest
import torch
from torch import Tensor

from nodes.models.handle import ModelSampling
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling import names
from nodes.sampling.noise import brownian_noise, independent_noise
from nodes.sampling.sampler import SAMPLERS, FunctionSampler, sampler_with
from nodes.sampling.samplers.deis import deis
from nodes.sampling.samplers.dpm_2 import dpm_2
from nodes.sampling.samplers.dpm_solver import dpm_adaptive, dpm_fast
from nodes.sampling.samplers.dpmpp_2m import dpmpp_2m, dpmpp_2m_cfg_pp
from nodes.sampling.samplers.dpmpp_2m_sde import dpmpp_2m_sde
from nodes.sampling.samplers.dpmpp_2s_ancestral import dpmpp_2s_ancestral
from nodes.sampling.samplers.dpmpp_3m_sde import dpmpp_3m_sde
from nodes.sampling.samplers.dpmpp_sde import dpmpp_sde
from nodes.sampling.samplers.er_sde import PowerScaler, er_sde
from nodes.sampling.samplers.euler import euler, euler_cfg_pp, euler_cfg_pp_alternative
from nodes.sampling.samplers.gradient_estimation import gradient_estimation
from nodes.sampling.samplers.heun import heun, heunpp2
from nodes.sampling.samplers.ipndm import ipndm, ipndm_v
from nodes.sampling.samplers.lms import lms
from nodes.sampling.samplers.res_multistep import res_multistep, res_multistep_cfg_pp
from nodes.sampling.samplers.sa_solver import TauBetween, sa_solver
from nodes.sampling.samplers.seeds import seeds_2, seeds_3
from nodes.sampling.samplers.uni_pc import uni_pc
from nodes.sampling.schedules import sigmas_for

LEVELS = NoiseLevels.of(ModelSampling())
MEAN, DEVIATION = 0.7, 0.5


class Gaussian:
    """The exact denoiser of latents whose elements are independent, N(MEAN, DEVIATION²)."""

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        noise, data = float(sigma) ** 2, DEVIATION**2
        return (MEAN * noise + x * data) / (noise + data)

    def with_unconditional(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
        return self(x, sigma), self(x, sigma)


def exact(x: Tensor, sigma: float, sigma_end: float) -> Tensor:
    """Return the exact solution of the probability-flow ODE from ``x``."""
    shrink = math.sqrt((sigma_end**2 + DEVIATION**2) / (sigma**2 + DEVIATION**2))
    return MEAN + (x - MEAN) * shrink


def silent(sigma: float, sigma_next: float) -> Tensor:
    return torch.zeros(())


# Multistep samplers begin, and some end, with steps of lower order, which limits what the whole reaches.
DETERMINISTIC = {
    "euler": (euler, 1),
    "euler_cfg_pp": (euler_cfg_pp, 1),
    "heun": (heun, 2),
    "heunpp2": (heunpp2, 1),
    "dpm_2": (dpm_2, 2),
    "lms": (lms, 3),
    "dpm_fast": (dpm_fast, 2),
    "dpmpp_2s": (partial(dpmpp_2s_ancestral, noise=silent, eta=0.0), 2),
    "dpmpp_sde": (partial(dpmpp_sde, noise=silent, eta=0.0), 2),
    "dpmpp_2m": (dpmpp_2m, 2),
    "dpmpp_2m_cfg_pp": (dpmpp_2m_cfg_pp, 2),
    "dpmpp_2m_sde": (partial(dpmpp_2m_sde, noise=silent, eta=0.0), 2),
    "dpmpp_2m_sde_heun": (partial(dpmpp_2m_sde, noise=silent, eta=0.0, solver_type="heun"), 2),
    "dpmpp_3m_sde": (partial(dpmpp_3m_sde, noise=silent, eta=0.0), 2),
    "ipndm": (ipndm, 2),
    "ipndm_v": (ipndm_v, 2),
    "deis": (deis, 3),
    "res_multistep": (partial(res_multistep, noise=silent), 2),
    "res_multistep_cfg_pp": (partial(res_multistep_cfg_pp, noise=silent), 2),
    "gradient_estimation": (gradient_estimation, 1),
    "er_sde": (partial(er_sde, noise=silent, noise_scaler=PowerScaler(0.0)), 2),
    "seeds_2": (partial(seeds_2, noise=silent, eta=0.0), 2),
    "seeds_3": (partial(seeds_3, noise=silent, eta=0.0), 3),
    "sa_solver": (partial(sa_solver, noise=silent, tau=lambda s: 0.0), 3),
    "sa_solver_pece": (partial(sa_solver, noise=silent, tau=lambda s: 0.0, pece=True), 3),
    "sa_solver_simple": (
        partial(sa_solver, noise=silent, tau=lambda s: 0.0, predictor_order=2, corrector_order=2, simple_order_2=True),
        2,
    ),
    "uni_pc": (uni_pc, 2),
    "uni_pc_bh2": (partial(uni_pc, variant="bh2"), 2),
}


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_error_falls_with_the_order(name: str) -> None:
    sampler, order = DETERMINISTIC[name]
    x = torch.linspace(-20, 20, 9, dtype=torch.float64).reshape(1, 1, 3, 3)
    errors = []
    for steps in (60, 120):
        sigmas = torch.linspace(math.log(10), math.log(0.1), steps + 1, dtype=torch.float64).exp()
        errors.append(float((sampler(Gaussian(), x, sigmas) - exact(x, 10, 0.1)).abs().max()))
    assert math.log2(errors[0] / errors[1]) > order - 0.35
    assert errors[1] < 0.5


STOCHASTIC = [
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "dpm_2_ancestral",
    "dpmpp_2s_ancestral",
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_heun",
    "dpmpp_3m_sde",
    "ddpm",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
]
"""Without lcm, which is no SDE solver, and dpmpp_2s_ancestral_cfg_pp, which mixes predictions of two latents."""


@pytest.mark.parametrize("name", STOCHASTIC)
def test_noise_leads_to_the_right_distribution(name: str) -> None:
    sigmas = sigmas_for("karras", 80, LEVELS)
    drawn = torch.randn(1, 4, 48, 48, generator=torch.Generator().manual_seed(3))
    x = MEAN + drawn * math.sqrt(DEVIATION**2 + LEVELS.sigma_max**2)
    end = SAMPLERS[name].run(Gaussian(), x, sigmas, 7, LEVELS)
    assert float(end.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(end.std()) == pytest.approx(DEVIATION, abs=0.025)


WITH_SETTINGS: dict[str, FunctionSampler] = {
    "euler with churn": sampler_with("euler", s_churn=20.0),
    "heun with churn": sampler_with("heun", s_churn=40.0, s_tmin=0.05, s_tmax=50.0),
    "dpm_2 with churn": sampler_with("dpm_2", s_churn=20.0),
    "euler_ancestral, eta 0.5": sampler_with("euler_ancestral", eta=0.5),
    "dpmpp_2m_sde, eta 0.5": sampler_with("dpmpp_2m_sde", eta=0.5),
    "dpmpp_3m_sde, eta 0.5": sampler_with("dpmpp_3m_sde", eta=0.5),
    "dpmpp_sde, r 0.3": sampler_with("dpmpp_sde", r=0.3),
    "dpm_adaptive, eta 0.5": sampler_with("dpm_adaptive", eta=0.5, rtol=0.01, atol=0.001),
    "er_sde, reverse-time": sampler_with("er_sde", noise_scaler=PowerScaler(1.0)),
    "er_sde, reverse-time, eta 0.5": sampler_with("er_sde", noise_scaler=PowerScaler(0.5)),
    "er_sde, one stage": sampler_with("er_sde", max_stage=1),
    "sa_solver, eta 0.5": FunctionSampler(sa_solver, "independent", {"tau": TauBetween(math.inf, 0.0, 0.5)}),
    "sa_solver, simple": FunctionSampler(
        sa_solver, "independent", {"tau": TauBetween(5.0, 0.1), "predictor_order": 2, "simple_order_2": True}
    ),
}


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_settings_keep_the_distribution(name: str) -> None:
    sigmas = sigmas_for("karras", 100, LEVELS)
    drawn = torch.randn(1, 4, 48, 48, generator=torch.Generator().manual_seed(3))
    x = MEAN + drawn * math.sqrt(DEVIATION**2 + LEVELS.sigma_max**2)
    end = WITH_SETTINGS[name].run(Gaussian(), x, sigmas, 7, LEVELS)
    assert float(end.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(end.std()) == pytest.approx(DEVIATION, abs=0.03)


def test_the_alternative_of_cfg_pp_by_its_formula() -> None:
    class Guided(Gaussian):
        def with_unconditional(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
            return self(x, sigma), 0.8 * self(x, sigma) - 0.1

    x = torch.linspace(-5, 5, 8).reshape(1, 1, 2, 4)
    sigmas = torch.tensor([4.0, 1.5, 0.0])
    expected = x
    for sigma, sigma_next in ((4.0, 1.5), (1.5, 0.0)):
        guided, unconditional = Guided().with_unconditional(expected, sigma)
        expected = expected + (expected - guided + unconditional - guided) / sigma * (sigma_next - sigma)
    torch.testing.assert_close(euler_cfg_pp_alternative(Guided(), x, sigmas), expected)
    # Without guidance both predictions are the same, and so is Euler's step.
    torch.testing.assert_close(euler_cfg_pp_alternative(Gaussian(), x, sigmas), euler(Gaussian(), x, sigmas))


def test_there_is_a_sampler_for_every_name() -> None:
    assert tuple(SAMPLERS) == names.SAMPLERS


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("name", [n for n in names.SAMPLERS if not n.startswith("dpm_")])
def test_few_steps_end_near_the_data(name: str, steps: int) -> None:
    sampler = SAMPLERS[name]
    sigmas = sigmas_for("sgm_uniform", steps, LEVELS, skip_penultimate=sampler.skips_penultimate)
    x = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * LEVELS.sigma_max
    end = sampler.run(Gaussian(), x, sigmas, 0, LEVELS)
    assert float((end - MEAN).abs().max()) < (1.0 if steps == 1 else 60.0)


def test_lcm_adds_new_noise_to_each_prediction() -> None:
    sigmas = torch.tensor([10.0, 2.0, 0.0])
    x = torch.full((1, 4, 2, 2), 3.0)
    first = Gaussian()(x, 10.0) + 2.0 * independent_noise(x, 5)(10.0, 2.0)
    assert torch.allclose(SAMPLERS["lcm"].run(Gaussian(), x, sigmas, 5, LEVELS), Gaussian()(first, 2.0))


def test_cfg_pp_steps_along_the_unconditional_prediction() -> None:
    class Two(Gaussian):
        def with_unconditional(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
            return torch.full_like(x, 2.0), torch.full_like(x, -1.0)

    sigmas = torch.tensor([4.0, 1.0])
    x = torch.full((1, 4, 2, 2), 3.0)
    # 2 + (3 - (-1)) / 4 * 1
    for name in ("euler_cfg_pp", "dpmpp_2m_cfg_pp", "res_multistep_cfg_pp", "gradient_estimation_cfg_pp"):
        assert torch.allclose(SAMPLERS[name].run(Two(), x, sigmas, 0, LEVELS), torch.full_like(x, 3.0)), name


def test_dpm_adaptive_gets_closer_with_a_smaller_tolerance() -> None:
    sigmas = sigmas_for("karras", 10, LEVELS)
    x = torch.linspace(-20, 20, 16).reshape(1, 1, 4, 4)
    truth = exact(x, float(sigmas[0]), float(sigmas[-2]))
    errors = [
        float((dpm_adaptive(Gaussian(), x, sigmas, rtol=r, atol=r / 6) - truth).abs().max()) for r in (0.05, 0.001)
    ]
    assert errors[1] < errors[0] / 3


def test_brownian_noise_of_a_whole_is_that_of_its_parts() -> None:
    sigmas = torch.tensor([8.0, 4.0, 2.0, 0.0])
    noise = brownian_noise(torch.zeros(1, 4, 8, 8), sigmas, seed=1)
    whole = noise(8.0, 2.0) * math.sqrt(6)
    parts = noise(8.0, 4.0) * math.sqrt(4) + noise(4.0, 2.0) * math.sqrt(2)
    assert torch.allclose(whole, parts, atol=1e-5)
    assert float(noise(8.0, 4.0).std()) == pytest.approx(1, abs=0.15)


def test_er_sde_with_squared_scaler_is_the_reverse_sde() -> None:
    """One stage of phi = sigma² is the ancestral step."""
    sigmas = sigmas_for("karras", 6, LEVELS)
    x = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * sigmas[0]
    found = er_sde(Gaussian(), x, sigmas, independent_noise(x, 3), noise_scaler=numpy.square, max_stage=1)
    assert torch.allclose(found, SAMPLERS["euler_ancestral"].run(Gaussian(), x, sigmas, 3, LEVELS), atol=1e-4)
