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
from nodes.sampling.published_schedules import align_your_steps, gits, optimal_steps
from nodes.sampling.schedules import (
    SCHEDULES,
    ScheduleError,
    beta,
    exponential_between,
    karras_between,
    laplace_between,
    polyexponential_between,
    sd_turbo,
    sigmas_for,
    variance_preserving,
)
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


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_schedules_between_two_levels_agree_with_k_diffusion(k_diffusion: ModuleType, steps: int) -> None:
    low, high = 0.05, 9.0
    close(karras_between(steps, low, high, 5.0), k_diffusion.get_sigmas_karras(steps, low, high, 5.0))
    close(exponential_between(steps, low, high), k_diffusion.get_sigmas_exponential(steps, low, high))
    for rho in (0.5, 1.0, 3.0):
        expected = k_diffusion.get_sigmas_polyexponential(steps, low, high, rho)
        close(polyexponential_between(steps, low, high, rho), expected)


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_variance_preserving_levels_agree_with_k_diffusion(k_diffusion: ModuleType, steps: int) -> None:
    # k-diffusion's exp(…) - 1 loses digits at small times.
    found = variance_preserving(steps, 12.0, 0.2, 1e-3)
    torch.testing.assert_close(found, k_diffusion.get_sigmas_vp(steps, 12.0, 0.2, 1e-3), rtol=1e-3, atol=1e-5)
    t = numpy.linspace(1, 1e-3, steps)
    close(found, torch.tensor([*numpy.sqrt(numpy.expm1(12.0 * t**2 / 2 + 0.2 * t)), 0.0]))


def test_laplace_levels_are_quantiles_of_the_distribution() -> None:
    from scipy.stats import laplace

    found = laplace_between(19, 1e-3, 1e3, 0.3, 0.7)
    quantiles = 1 - numpy.linspace(0, 1, 19)
    expected = numpy.exp(laplace.ppf(quantiles[1:-1], loc=0.3, scale=0.7))
    torch.testing.assert_close(found[1:-1].double(), torch.tensor(expected), rtol=1e-3, atol=0)
    assert len(found) == 19 and float(found[0]) > float(found[1]) and float(found[-1]) < float(found[-2])
    clamped = laplace_between(19, 0.5, 2.0)
    assert float(clamped[0]) == 2.0 and float(clamped[-1]) == 0.5


def test_beta_distribution_with_parameters() -> None:
    from scipy.special import betaincinv

    timesteps = numpy.rint(betaincinv(2.0, 3.0, 1 - numpy.arange(9) / 9) * 999).astype(int)
    close(beta(9, LEVELS, 2.0, 3.0), torch.cat([LEVELS.sigmas[timesteps], torch.zeros(1)]))


@pytest.mark.parametrize(("steps", "denoise", "timesteps"), [
    (1, 1.0, [999]), (4, 1.0, [999, 899, 799, 699]), (10, 1.0, list(range(999, 0, -100))),
    (2, 0.5, [499, 399]), (10, 0.5, [499, 399, 299, 199, 99]), (1, 0.0, []),
])  # fmt: skip
def test_sd_turbo(steps: int, denoise: float, timesteps: list[int]) -> None:
    close(sd_turbo(steps, LEVELS, denoise), torch.cat([LEVELS.sigmas[timesteps], torch.zeros(1)]))


def test_sd_turbo_starts_where_diffusers_does() -> None:
    """SDXL Turbo's scheduler takes timesteps from the end ("trailing")."""
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    )
    scheduler.set_timesteps(10)
    torch.testing.assert_close(sd_turbo(10, LEVELS), scheduler.sigmas.float(), rtol=1e-4, atol=0)


# -- published tables --------------------------------------------------------------------------------------------


def test_align_your_steps_agrees_with_diffusers() -> None:
    from diffusers.schedulers import AysSchedules

    names = {"SD1": "StableDiffusionSigmas", "SDXL": "StableDiffusionXLSigmas", "SVD": "StableDiffusionVideoSigmas"}
    for model_type, name in names.items():
        expected = torch.tensor([*AysSchedules[name][:-1], 0.0])
        torch.testing.assert_close(align_your_steps(model_type, 10), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("steps", [4, 10, 25])
def test_tables_of_other_lengths_are_interpolated_in_log_sigma(steps: int) -> None:
    """As NVIDIA's own function for Align Your Steps does."""
    table = align_your_steps("SD1", 10)
    table[-1] = 0.0291671582
    at = numpy.linspace(0, 1, 11)
    expected = numpy.exp(numpy.interp(numpy.linspace(0, 1, steps + 1), at[::-1] * -1 + 1, numpy.log(table.numpy())))
    found = align_your_steps("SD1", steps)
    close(found[:-1], torch.tensor(expected[:-1]))
    assert len(found) == steps + 1 and found[-1] == 0


def test_tables_with_less_denoising_keep_the_last_steps() -> None:
    whole = gits(1.2, 10)
    close(gits(1.2, 10, 0.44), whole[-5:])
    assert len(gits(1.2, 10, 0.0)) == 0 and gits(1.2, 10, 0.01).tolist() == [0.0]


def test_gits_has_a_row_for_each_number_of_steps() -> None:
    close(gits(1.2, 2), torch.tensor([14.61464119, 0.803307, 0.0]))
    for coefficient in numpy.arange(0.8, 1.51, 0.05):
        for steps in (2, 9, 20, 21, 50):
            sigmas = gits(float(coefficient), steps)
            assert len(sigmas) == steps + 1 and bool((sigmas.diff() < 0).all())
    assert len(set(gits(1.2, 20).tolist()) & set(gits(1.2, 40).tolist())) >= 11
    with pytest.raises(ScheduleError, match=r"coeff is 0\.83; GITS has tables for 0\.80"):
        gits(0.83, 10)


@pytest.mark.parametrize(
    ("model_type", "steps", "first"), [("FLUX", 10, 0.9968), ("Wan", 20, 1.0), ("Chroma", 40, 0.992)]
)
def test_optimal_steps(model_type: str, steps: int, first: float) -> None:
    found = optimal_steps(model_type, steps)
    assert len(found) == steps + 1 and float(found[0]) == pytest.approx(first) and found[-1] == 0
    assert bool((optimal_steps(model_type, 7).diff() < 0).all())


# -- bad input ---------------------------------------------------------------------------------------------------


def test_settings_without_noise_levels_are_refused() -> None:
    for make, message in (
        (lambda: karras_between(3, 0.1, 10, 0.0), "rho is 0; expected a number above 0"),
        (lambda: exponential_between(3, 0.0, 10), "sigma_min is 0; expected"),
        (lambda: polyexponential_between(3, 0.1, 0.0), "sigma_max is 0; expected"),
        (lambda: beta(3, LEVELS, 0.0, 1.0), "alpha is 0; expected"),
        (lambda: variance_preserving(3, 5000.0), "beta_d 5000 and beta_min 0.1 give infinite noise levels"),
    ):
        with pytest.raises(ScheduleError, match=message):
            make()
