"""Noise levels and schedules against diffusers, k-diffusion and formulas written out in the tests."""

from __future__ import annotations

import math
from types import ModuleType

import numpy
import pytest
import torch
from torch import Tensor

from nodes.models.handle import ModelSampling
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.schedules import SCHEDULES, sigmas_for
from tests.oracle import k_diffusion_sampling

LEVELS = NoiseLevels.of(ModelSampling())
STEPS = [1, 2, 3, 7, 20, 30, 150]


@pytest.fixture(scope="module")
def k_diffusion() -> ModuleType:
    return k_diffusion_sampling.load()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=torch.float32), rtol=2e-5, atol=1e-6)


def diffusers_levels(**options) -> Tensor:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", **options)
    return ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt()


def test_noise_levels_agree_with_diffusers() -> None:
    torch.testing.assert_close(LEVELS.sigmas, diffusers_levels(), rtol=2e-5, atol=0)


def test_zero_terminal_snr_agrees_with_diffusers() -> None:
    levels = NoiseLevels.of(ModelSampling("v", zero_terminal_snr=True))
    torch.testing.assert_close(
        levels.sigmas[:-1], diffusers_levels(rescale_betas_zero_snr=True)[:-1], rtol=2e-3, atol=0
    )
    assert levels.sigma_max == pytest.approx(math.sqrt(1 / 4.8973451890853435e-08 - 1), rel=1e-6)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_predictions_agree_with_diffusers(prediction: str) -> None:
    """In diffusers, DDIM's estimate of the clean latent."""
    from diffusers import DDIMScheduler

    name = {"eps": "epsilon", "v": "v_prediction"}[prediction]
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=name, clip_sample=False
    )
    scheduler.set_timesteps(10)
    levels = NoiseLevels.of(ModelSampling(prediction))
    generator = torch.Generator().manual_seed(0)
    for t in (1, 400, 901):
        sigma = float(levels.sigmas[t])
        x, output = (torch.randn(1, 4, 4, 4, generator=generator) for _ in range(2))
        theirs = scheduler.step(output, t, levels.network_input(x, sigma)).pred_original_sample
        torch.testing.assert_close(levels.denoised(x, output, sigma), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", STEPS)
def test_normal_agrees_with_diffusers_euler(steps: int) -> None:
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
    )
    scheduler.set_timesteps(steps)
    theirs = scheduler.sigmas if steps > 1 else torch.tensor([LEVELS.sigma_max, 0])
    # diffusers interpolates sigma itself between timesteps, not its logarithm.
    torch.testing.assert_close(SCHEDULES["normal"](steps, LEVELS), theirs, rtol=5e-3, atol=1e-6)


@pytest.mark.parametrize("steps", STEPS)
def test_normal_and_sgm_uniform_are_linear_in_timesteps(steps: int) -> None:
    logs = numpy.log(LEVELS.sigmas.double().numpy())

    def at(timesteps: numpy.ndarray) -> list[float]:
        return [*numpy.exp(numpy.interp(timesteps, numpy.arange(1000), logs)), 0.0]

    close(SCHEDULES["normal"](steps, LEVELS), at(numpy.linspace(999, 0, steps)))
    close(SCHEDULES["sgm_uniform"](steps, LEVELS), at(numpy.linspace(999, 0, steps + 1)[:-1]))


@pytest.mark.parametrize("steps", STEPS)
def test_karras_and_exponential_agree_with_k_diffusion(k_diffusion: ModuleType, steps: int) -> None:
    ends = LEVELS.sigma_min, LEVELS.sigma_max
    close(SCHEDULES["karras"](steps, LEVELS), k_diffusion.get_sigmas_karras(steps, *ends))
    close(SCHEDULES["exponential"](steps, LEVELS), k_diffusion.get_sigmas_exponential(steps, *ends))


@pytest.mark.parametrize("steps", STEPS)
def test_simple_walks_the_table(steps: int) -> None:
    table = LEVELS.sigmas.tolist()
    close(SCHEDULES["simple"](steps, LEVELS), [*(table[-(1 + i * 1000 // steps)] for i in range(steps)), 0.0])


@pytest.mark.parametrize("steps", [2, 3, 7, 20, 30, 150])
def test_ddim_uniform_has_the_timesteps_of_diffusers_ddim(steps: int) -> None:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(steps_offset=1, timestep_spacing="leading")
    scheduler.set_timesteps(steps)
    expected = [*LEVELS.sigmas[scheduler.timesteps].tolist(), 0.0]
    found = SCHEDULES["ddim_uniform"](steps, LEVELS)
    # Where the stride leaves room for more timesteps below 1000, they are visited too.
    assert len(found) >= len(expected)
    close(found[-len(expected) :], expected)


@pytest.mark.parametrize("steps", STEPS)
def test_beta_has_the_quantiles_of_its_distribution(steps: int) -> None:
    from scipy import integrate, special

    found = SCHEDULES["beta"](steps, LEVELS)
    timesteps = [int((LEVELS.sigmas - s).abs().argmin()) for s in found[:-1]]
    assert timesteps == sorted(set(timesteps), reverse=True)
    norm = special.beta(0.6, 0.6)
    for i in range(steps if len(timesteps) == steps else 0):

        def density(u: float) -> float:
            return (u * (1 - u)) ** -0.4 / norm

        below, above = ((timesteps[i] + d) / 999 for d in (-0.5, 0.5))
        mass = [integrate.quad(density, 0, min(max(u, 0), 1))[0] for u in (below, above)]
        assert mass[0] - 1e-6 <= 1 - i / steps <= mass[1] + 1e-6


@pytest.mark.parametrize("steps", [2, 3, 7, 20, 30, 150])
def test_linear_quadratic_agrees_with_diffusers_mochi(steps: int) -> None:
    from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule

    expected = torch.tensor([*linear_quadratic_schedule(steps, 0.025), 0.0]) * LEVELS.sigma_max
    close(SCHEDULES["linear_quadratic"](steps, LEVELS), expected)


@pytest.mark.parametrize("steps", [2, 3, 7, 20])
def test_kl_optimal_is_linear_in_the_arc_tangent(steps: int) -> None:
    angles = numpy.linspace(math.atan(LEVELS.sigma_max), math.atan(LEVELS.sigma_min), steps)
    close(SCHEDULES["kl_optimal"](steps, LEVELS), [*numpy.tan(angles), 0.0])


def test_img2img_starts_where_diffusers_does() -> None:
    """Strength 0.6 of 30 steps is the tail of a schedule of 30; denoise 0.6 of 18 steps is the same tail."""
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", use_karras_sigmas=True
    )
    scheduler.set_timesteps(30)
    torch.testing.assert_close(
        sigmas_for("karras", 18, LEVELS, denoise=0.6), scheduler.sigmas[-19:], rtol=1e-4, atol=1e-6
    )
