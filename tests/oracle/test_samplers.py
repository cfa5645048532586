"""Samplers against k-diffusion, diffusers and zju-pi/diff-sampler's published formulas."""

from __future__ import annotations

import dataclasses
import inspect
from itertools import pairwise
from types import ModuleType

import numpy
import pytest
import torch
from torch import Tensor

from nodes.models.handle import ModelSampling
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.noise import brownian_noise, independent_noise
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.samplers.deis import deis
from nodes.sampling.samplers.ipndm import ipndm, ipndm_v
from nodes.sampling.samplers.sa_solver import adams_weights, sa_solver, simple_adams_weights
from nodes.sampling.samplers.uni_pc import uni_pc
from nodes.sampling.schedules import sigmas_for
from tests.oracle import k_diffusion_sampling

SEED = 42
LEVELS = NoiseLevels.of(ModelSampling())


@pytest.fixture(scope="module")
def k_diffusion() -> ModuleType:
    return k_diffusion_sampling.load()


class Toy:
    """A denoiser that is smooth, nonlinear in the latent and in sigma, and bounded like a clean latent."""

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        sigma = float(torch.as_tensor(sigma).flatten()[0])
        scaled = x / (sigma**2 + 1) ** 0.5
        return torch.tanh(2 * scaled + 0.3 * scaled.roll(1, -1)) * (0.6 + 0.4 / (1 + sigma)) + 0.1 * scaled.cos()

    def with_unconditional(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
        return self(x, sigma), 0.5 * self(x, sigma)


def start(sigmas: Tensor) -> Tensor:
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)) * sigmas[0]


def close(found: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    assert (found - expected).abs().max() <= tolerance * max(1.0, float(expected.abs().max()))


SAME_IN_K_DIFFUSION = {
    "euler": ("sample_euler", {}),
    "euler_ancestral": ("sample_euler_ancestral", {}),
    "heun": ("sample_heun", {}),
    "dpm_2": ("sample_dpm_2", {}),
    "dpm_2_ancestral": ("sample_dpm_2_ancestral", {}),
    "dpmpp_2s_ancestral": ("sample_dpmpp_2s_ancestral", {}),
    "dpmpp_sde": ("sample_dpmpp_sde", {}),
    "dpmpp_2m": ("sample_dpmpp_2m", {}),
    "dpmpp_2m_sde": ("sample_dpmpp_2m_sde", {}),
    "dpmpp_2m_sde_heun": ("sample_dpmpp_2m_sde", {"solver_type": "heun"}),
    "dpmpp_3m_sde": ("sample_dpmpp_3m_sde", {}),
}


@pytest.mark.parametrize("scheduler", ["normal", "karras"])
@pytest.mark.parametrize("steps", [2, 3, 11])
@pytest.mark.parametrize("name", SAME_IN_K_DIFFUSION)
def test_agrees_with_k_diffusion(k_diffusion: ModuleType, name: str, steps: int, scheduler: str) -> None:
    function, options = SAME_IN_K_DIFFUSION[name]
    sampler = SAMPLERS[name]
    sigmas = sigmas_for(scheduler, steps, LEVELS, skip_penultimate=sampler.skips_penultimate)
    x = start(sigmas)
    # dpmpp_sde asks for noise at sigmas that k-diffusion computes back from logarithms; the tree rounds times to
    # 1e-6, so that a last-bit difference can give other noise. Both get noise that does not depend on them.
    if "noise_sampler" in inspect.signature(getattr(k_diffusion, function)).parameters:
        sampler = dataclasses.replace(sampler, noise="independent")
        options = {**options, "noise_sampler": independent_noise(x, SEED)}
    expected = getattr(k_diffusion, function)(Toy(), x, sigmas, disable=True, **options)
    close(sampler.run(Toy(), x, sigmas, SEED, LEVELS), expected)


@pytest.mark.parametrize(
    "options", [{"s_churn": 5.0}, {"s_churn": 80.0, "s_tmin": 0.3, "s_tmax": 6.0, "s_noise": 1.01}]
)
@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2"])
def test_churn_agrees_with_k_diffusion(
    k_diffusion: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, float]
) -> None:
    sigmas = sigmas_for("karras", 9, LEVELS)
    x = start(sigmas)
    # k-diffusion draws noise for steps that add none, too: both get the same noise in every step.
    noise = start(torch.ones(1)).flip(0)
    monkeypatch.setattr(k_diffusion.torch, "randn_like", lambda like: noise)
    expected = getattr(k_diffusion, f"sample_{name}")(Toy(), x, sigmas, disable=True, **options)
    monkeypatch.undo()
    sampler = dataclasses.replace(SAMPLERS[name], noise=None, options={**options, "noise": lambda *_: noise})
    found = sampler.run(Toy(), x, sigmas, SEED, LEVELS)
    close(found, expected, 1e-4)
    assert (found - SAMPLERS[name].run(Toy(), x, sigmas, SEED, LEVELS)).abs().max() > 0.01


def test_churn_of_heunpp2_is_euler_in_its_last_step() -> None:
    sigmas = torch.tensor([2.0, 0.0])
    x, churn = start(sigmas), {"s_churn": 0.3}
    found = [
        dataclasses.replace(SAMPLERS[n], options=churn).run(Toy(), x, sigmas, SEED, LEVELS)
        for n in ("euler", "heunpp2")
    ]
    close(*found)


SETTINGS_IN_K_DIFFUSION = [
    ("euler_ancestral", "sample_euler_ancestral", {"eta": 0.4, "s_noise": 1.1}),
    ("dpmpp_2s_ancestral", "sample_dpmpp_2s_ancestral", {"eta": 0.4, "s_noise": 1.1}),
    ("dpmpp_sde", "sample_dpmpp_sde", {"eta": 0.4, "s_noise": 1.1, "r": 0.3}),
    ("dpmpp_2m_sde", "sample_dpmpp_2m_sde", {"eta": 0.4, "s_noise": 1.1}),
    ("dpmpp_2m_sde_heun", "sample_dpmpp_2m_sde", {"eta": 0.4, "s_noise": 1.1, "solver_type": "heun"}),
    ("dpmpp_3m_sde", "sample_dpmpp_3m_sde", {"eta": 0.4, "s_noise": 1.1}),
]


@pytest.mark.parametrize(("name", "function", "options"), SETTINGS_IN_K_DIFFUSION)
def test_settings_agree_with_k_diffusion(
    k_diffusion: ModuleType, name: str, function: str, options: dict[str, float]
) -> None:
    sigmas = sigmas_for("karras", 8, LEVELS)
    x = start(sigmas)
    expected = getattr(k_diffusion, function)(
        Toy(), x, sigmas, disable=True, noise_sampler=independent_noise(x, SEED), **options
    )
    sampler = dataclasses.replace(SAMPLERS[name], noise="independent", options=options)
    close(sampler.run(Toy(), x, sigmas, SEED, LEVELS), expected)


def test_lms_agrees_with_k_diffusion_above_zero(k_diffusion: ModuleType) -> None:
    sigmas = sigmas_for("karras", 12, LEVELS)[:-1]
    x = start(sigmas)
    expected = k_diffusion.sample_lms(Toy(), x, sigmas, disable=True, order=4)
    close(SAMPLERS["lms"].run(Toy(), x, sigmas, SEED, LEVELS), expected, 1e-4)


@pytest.mark.parametrize("steps", [2, 3, 4, 5, 6, 20])
def test_dpm_fast_agrees_with_k_diffusion(k_diffusion: ModuleType, steps: int) -> None:
    sigmas = sigmas_for("normal", steps, LEVELS)
    x = start(sigmas)
    expected = k_diffusion.sample_dpm_fast(Toy(), x, float(sigmas[-2]), float(sigmas[0]), steps, disable=True)
    close(SAMPLERS["dpm_fast"].run(Toy(), x, sigmas, SEED, LEVELS), expected, 1e-4)


@pytest.mark.parametrize(
    "options", [{}, {"order": 2}, {"pcoeff": 0.2, "icoeff": 0.7, "dcoeff": 0.1}, {"eta": 0.5}], ids=str
)
def test_dpm_adaptive_agrees_with_k_diffusion(k_diffusion: ModuleType, options: dict[str, float]) -> None:
    sigmas = sigmas_for("normal", 20, LEVELS)
    x = start(sigmas)
    arguments = {**options, "noise_sampler": independent_noise(x, SEED)}
    expected = k_diffusion.sample_dpm_adaptive(Toy(), x, float(sigmas[-2]), float(sigmas[0]), disable=True, **arguments)
    found = SAMPLERS["dpm_adaptive"].function(Toy(), x, sigmas, noise=independent_noise(x, SEED), **options)
    close(found, expected, 1e-4)


@pytest.mark.filterwarnings("ignore:Should have tb<=t1:UserWarning")
def test_brownian_noise_agrees_with_k_diffusion(k_diffusion: ModuleType) -> None:
    sigmas = sigmas_for("karras", 7, LEVELS)
    x = start(sigmas)
    theirs = k_diffusion.BrownianTreeNoiseSampler(x, sigmas[-2], sigmas[0], seed=2**64 - 1)
    ours = brownian_noise(x, sigmas, 2**64 - 1)
    for sigma, sigma_next in pairwise(sigmas[:-1]):
        close(ours(sigma, sigma_next), theirs(sigma, sigma_next), 1e-6)


# What zju-pi/diff-sampler (Apache-2.0) computes, written out from its formulas.


def adams_bashforth(sigmas: Tensor, weights) -> Tensor:
    x, slopes = start(sigmas), []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        slopes.insert(0, (x - Toy()(x, sigma)) / sigma)
        if sigma_next == 0:
            return x - sigma * slopes[0]
        x = x + sum(w * d for w, d in zip(weights(i), slopes, strict=False))
    return x


@pytest.mark.parametrize("scheduler", ["normal", "karras"])
def test_ipndm(scheduler: str) -> None:
    sigmas = sigmas_for(scheduler, 10, LEVELS)
    table = [[1], [3 / 2, -1 / 2], [23 / 12, -4 / 3, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -3 / 8]]

    def weights(i: int) -> list[float]:
        return [w * float(sigmas[i + 1] - sigmas[i]) for w in table[min(i, 3)]]

    close(ipndm(Toy(), start(sigmas), sigmas), adams_bashforth(sigmas, weights))


@pytest.mark.parametrize("scheduler", ["normal", "karras"])
def test_ipndm_v(scheduler: str) -> None:
    sigmas = sigmas_for(scheduler, 10, LEVELS)
    t = sigmas.double().tolist()

    def weights(i: int) -> list[float]:
        h, *past = [t[i + 1 - k] - t[i - k] for k in range(min(i, 3) + 1)]
        if not past:
            return [h]
        a = h / past[0]
        if len(past) == 1:
            return [h * (2 + a) / 2, -h * a / 2]
        p, q = past[:2]
        temp1 = (1 - h / (3 * (h + p)) * (h * (h + p)) / (p * (p + q))) / 2
        if len(past) == 2:
            return [h * w for w in ((2 + a) / 2 + temp1, -a / 2 - (1 + p / q) * temp1, temp1 * p / q)]
        r = past[2]
        temp2 = (
            ((1 - h / (3 * (h + p))) / 2 + (1 - h / (2 * (h + p))) * h / (6 * (h + p + q)))
            * (h * (h + p) * (h + p + q))
            / (p * (p + q) * (p + q + r))
        )
        b = p * (p + q) / (q * (q + r))
        return [
            h * ((2 + a) / 2 + temp1 + temp2),
            h * (-a / 2 - (1 + p / q) * temp1 - (1 + p / q + b) * temp2),
            h * (temp1 * p / q + (p / q + b * (1 + q / r)) * temp2),
            h * (-temp2 * b * p / q),
        ]

    close(ipndm_v(Toy(), start(sigmas), sigmas), adams_bashforth(sigmas, weights))


@pytest.mark.parametrize("scheduler", ["normal", "karras"])
def test_deis_in_tabulated_mode(scheduler: str) -> None:
    """The coefficients summed over 10,000 points of the diffusion's time, as the reference does."""
    sigmas = sigmas_for(scheduler, 10, LEVELS)
    log_start, log_end = numpy.log(0.002**2 + 1), numpy.log(80.0**2 + 1)
    slope = 2 * (log_start / 1e-3 - log_end) / (1e-3 - 1)
    beta_0 = log_end - slope / 2
    times = (numpy.sqrt(beta_0**2 + 2 * slope * numpy.log(sigmas.double().numpy() ** 2 + 1)) - beta_0) / slope

    def weights(i: int) -> list[float]:
        past = times[i::-1][: min(i, 2) + 1]
        tau = numpy.linspace(times[i], times[i + 1], 10_000)
        alpha = numpy.exp(-0.5 * tau**2 * slope - tau * beta_0)
        integrand = 0.5 * (tau * slope + beta_0) / numpy.sqrt(alpha * (1 - alpha))
        width = (times[i + 1] - times[i]) / 10_000
        basis = [numpy.prod([(tau - b) / (a - b) for b in past if b != a] or [tau**0], axis=0) for a in past]
        return [float((integrand * b).sum() * width) for b in basis]

    close(deis(Toy(), start(sigmas), sigmas), adams_bashforth(sigmas, weights), 1e-3)


# diffusers works on variance-preserving latents x / sqrt(1 + sigma²), and is given our sigmas.


def diffusers_run(scheduler, sigmas: Tensor, x: Tensor, **options) -> Tensor:
    """``scheduler``, of the multistep kind that counts its own steps, over our ``sigmas``."""
    scheduler.set_timesteps(len(sigmas) - 1)
    scheduler.sigmas = sigmas.clone()
    scheduler.timesteps = torch.arange(len(sigmas) - 1, 0, -1)
    scheduler.solver_p = None
    x = x / (1 + sigmas[0] ** 2).sqrt()
    for i, t in enumerate(scheduler.timesteps):
        sigma = sigmas[i]
        x_exploding = x * (1 + sigma**2).sqrt()
        eps = (x_exploding - Toy()(x_exploding, sigma)) / sigma
        x = scheduler.step(eps, t, x, **options).prev_sample
    return x * (1 + sigmas[-1] ** 2).sqrt()


@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("steps", [3, 4, 5, 12])
def test_uni_pc_agrees_with_diffusers(variant: str, steps: int) -> None:
    from diffusers import UniPCMultistepScheduler

    sigmas = sigmas_for("karras", steps, LEVELS)
    sigmas[-1] = 0.001
    x = start(sigmas)
    order = min(3, steps - 1)
    scheduler = UniPCMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", solver_order=order, solver_type=variant
    )
    close(uni_pc(Toy(), x, sigmas, variant), diffusers_run(scheduler, sigmas, x), 1e-4)


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("corrector", [False, True])
def test_sa_solver_weighs_predictions_as_diffusers_does(order: int, tau: float, corrector: bool) -> None:
    from diffusers import SASolverScheduler

    start, end = 0.9, 1.5
    nodes = ([end] if corrector else []) + [0.9, 0.6, 0.0, -0.4]
    nodes = nodes[:order]
    coefficients = SASolverScheduler().get_coefficients_fn(
        order, torch.tensor(start), torch.tensor(end), torch.tensor(nodes), torch.tensor(tau)
    )
    expected = [(1 + tau**2) * numpy.exp(-(1 + tau**2) * end) * float(c) for c in coefficients]
    assert adams_weights(start, end, nodes, tau) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("corrector", [False, True])
def test_sa_solvers_simple_weights_of_order_2(tau: float, corrector: bool) -> None:
    """They add up to the exact total, and agree with the exact ones to second order in the step."""
    total = [-numpy.expm1(-(1 + tau**2) * h) for h in (0.04, 0.02)]
    errors = []
    for h, sum_of_weights in zip((0.04, 0.02), total, strict=True):
        nodes = [h, 0.0] if corrector else [0.0, -0.05]
        simple = simple_adams_weights(0.0, h, nodes, tau)
        assert sum(simple) == pytest.approx(sum_of_weights)
        errors.append(abs(simple[0] - adams_weights(0.0, h, nodes, tau)[0]))
    assert errors[1] < errors[0] * 0.3
    assert simple_adams_weights(0.0, 0.3, [0.0, -0.2, -0.5], tau) == adams_weights(0.0, 0.3, [0.0, -0.2, -0.5], tau)


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
def test_sa_solvers_simple_predictor_weighs_as_diffusers_does(tau: float) -> None:
    """diffusers always takes the simpler weights for a predictor of order 2, as the authors' code does."""
    from diffusers import SASolverScheduler

    sigmas = torch.tensor([4.0, 2.5, 1.6], dtype=torch.float64)
    scheduler = SASolverScheduler(algorithm_type="data_prediction")
    scheduler.sigmas, scheduler._step_index = sigmas, 1
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    expected = []
    for newest, older in ((one, zero), (zero, one)):
        scheduler.model_outputs = [older, newest]
        given = {"sample": zero, "noise": zero, "order": 2, "tau": torch.tensor(tau, dtype=torch.float64)}
        step = scheduler.stochastic_adams_bashforth_update(newest, **given)
        expected.append(float(step * (1 + sigmas[2] ** 2).sqrt()))  # from the variance-preserving form
    nodes = (-sigmas.log()).tolist()
    found = simple_adams_weights(nodes[1], nodes[2], [nodes[1], nodes[0]], tau)
    assert found == pytest.approx(expected, abs=1e-6)


def test_sa_solver_without_noise_and_of_first_order_is_ddim() -> None:
    sigmas = sigmas_for("karras", 9, LEVELS)
    x = start(sigmas)
    found = sa_solver(Toy(), x, sigmas, independent_noise(x, SEED), lambda _: 0.0, predictor_order=1, corrector_order=0)
    close(found, SAMPLERS["euler"].run(Toy(), x, sigmas, SEED, LEVELS))


def test_ddpm_agrees_with_diffusers() -> None:
    """Every timestep of the table, each with the noise that diffusers draws."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(50)
    sigmas = torch.cat([LEVELS.sigmas[scheduler.timesteps], torch.zeros(1)])
    x = start(sigmas)
    expected = x / (1 + sigmas[0] ** 2).sqrt()
    generator = torch.Generator().manual_seed(SEED + 1)
    for i, t in enumerate(scheduler.timesteps):
        exploding = expected * (1 + sigmas[i] ** 2).sqrt()
        eps = (exploding - Toy()(exploding, sigmas[i])) / sigmas[i]
        expected = scheduler.step(eps, t, expected, generator=generator).prev_sample
    close(SAMPLERS["ddpm"].run(Toy(), x, sigmas, SEED, LEVELS), expected, 1e-4)


def test_lcm_agrees_with_diffusers_where_its_boundary_conditions_vanish() -> None:
    from diffusers import LCMScheduler

    scheduler = LCMScheduler(original_inference_steps=50, timestep_scaling=1e6, clip_sample=False)
    scheduler.set_timesteps(4)
    sigmas = torch.cat([LEVELS.sigmas[scheduler.timesteps], torch.zeros(1)])
    x = start(sigmas)
    expected = x / (1 + sigmas[0] ** 2).sqrt()
    generator = torch.Generator().manual_seed(SEED + 1)
    for i, t in enumerate(scheduler.timesteps):
        exploding = expected * (1 + sigmas[i] ** 2).sqrt()
        eps = (exploding - Toy()(exploding, sigmas[i])) / sigmas[i]
        expected = scheduler.step(eps, t, expected, generator=generator).prev_sample
    close(SAMPLERS["lcm"].run(Toy(), x, sigmas, SEED, LEVELS), expected, 1e-4)
