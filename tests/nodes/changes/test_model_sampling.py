"""Other predictions and noise levels of a model, against diffusers and their formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.changes import model_sampling_nodes
from nodes.changes.model_sampling_nodes import NoiseRangeError
from nodes.models.handle import Model
from nodes.models.latent_space import SDXL_LATENTS
from nodes.models.model_sampling import ModelSampling
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import SCHEDULES, sigmas_for
from tests.nodes.sampling.small_model import model_of, prompt, small_unet

CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}
NETWORK = small_unet()


def picture(model: Model, sampler: str = "euler", steps: int = 3) -> Tensor:
    sigmas = sigmas_for("simple", steps, model.sampling.levels())
    return sample(
        model,
        initial_noise((1, 4, 8, 8), 3),
        sigmas,
        sampler=SAMPLERS[sampler],
        positive=prompt(1),
        negative=prompt(2),
        scale=3.0,
        latent=torch.zeros(1, 4, 8, 8),
        seed=3,
    )


def discrete(model: Model, sampling: str, zsnr: bool = False) -> Model:
    return model_sampling_nodes.model_sampling_discrete(model=model, sampling=sampling, zsnr=zsnr)


def test_eps_is_what_the_model_is(model: Model) -> None:
    assert discrete(model, "eps").sampling == model.sampling
    assert torch.equal(picture(discrete(model, "eps")), picture(model))


def test_predictions_by_their_formulas(model: Model) -> None:
    x, output, sigma = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3), 2.5
    total = sigma**2 + 1
    expected = {
        "eps": x - sigma * output,
        "v_prediction": x / total - output * sigma / total**0.5,
        "x0": output,
        "img_to_img": output,
    }
    for name, denoised in expected.items():
        levels = discrete(model, name).sampling.levels()
        torch.testing.assert_close(levels.denoised(x, output, sigma), denoised, **CLOSE)
        given = x if name == "img_to_img" else x / total**0.5
        torch.testing.assert_close(levels.network_input(x, sigma), given, **CLOSE)


def test_zero_terminal_snr_is_the_nodes_choice(model: Model) -> None:
    rescaled = discrete(model, "v_prediction", zsnr=True)
    assert rescaled.sampling == ModelSampling("v", zero_terminal_snr=True)
    assert rescaled.sampling.levels().sigma_max == pytest.approx(math.sqrt(1 / 4.8973451890853435e-08 - 1), rel=1e-6)
    assert discrete(rescaled, "v_prediction").sampling == ModelSampling("v")


def test_betas_of_the_model_stay() -> None:
    own = model_of(NETWORK, sampling=ModelSampling("v", linear_start=0.0001, linear_end=0.02))
    assert discrete(own, "eps").sampling == ModelSampling("eps", linear_start=0.0001, linear_end=0.02)
    consistent = discrete(own, "lcm").sampling.levels()
    assert consistent.sigma_max == own.sampling.levels().sigma_max
    continuous = model_sampling_nodes.model_sampling_continuous_edm(model=model_of(NETWORK), sampling="edm")
    assert discrete(continuous, "eps").sampling == ModelSampling()


# -- latent consistency models -----------------------------------------------------------------------------------


def test_consistency_levels_are_every_20th(model: Model) -> None:
    trained, levels = model.sampling.levels(), discrete(model, "lcm").sampling.levels()
    assert torch.equal(levels.sigmas, trained.sigmas[19::20]) and len(levels.sigmas) == 50
    assert levels.timestep(trained.sigma_max) == 999 and levels.timestep(levels.sigma_min) == 19
    assert levels.timestep(float(trained.sigmas[510])) in (499, 519)
    for timestep in (19, 499, 999):
        torch.testing.assert_close(levels.sigma(float(timestep)), trained.sigmas[timestep])
    assert trained.sigmas[499] < levels.sigma(505.0) < trained.sigmas[519]
    assert levels.sigma_at(0.0) == math.inf and levels.sigma_at(1.0) == 0
    assert levels.sigma_at(0.5) == pytest.approx(float(levels.sigma(499.5)))


def test_consistency_predictions_are_those_of_diffusers(model: Model) -> None:
    from diffusers import LCMScheduler

    scheduler = LCMScheduler()
    levels = discrete(model, "lcm").sampling.levels()
    for timestep in (999, 519, 19):
        sigma = float(levels.sigmas[(timestep - 19) // 20])
        x, output = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3)
        c_skip, c_out = scheduler.get_scalings_for_boundary_condition_discrete(timestep)
        expected = c_out * (x - sigma * output) + c_skip * x
        torch.testing.assert_close(levels.denoised(x, output, sigma), expected.to(x), **CLOSE)


def test_a_consistency_run_visits_timesteps_that_it_was_distilled_for(model: Model) -> None:
    levels = discrete(model, "lcm").sampling.levels()
    for name in SCHEDULES:
        sigmas = sigmas_for(name, 4, levels)
        assert sigmas[-1] == 0 and bool((sigmas.diff() < 0).all()), name
    simple = sigmas_for("simple", 4, levels)[:-1]
    assert {levels.timestep(float(sigma)) % 20 for sigma in simple} == {19}
    assert picture(discrete(model, "lcm"), "lcm").isfinite().all()


# -- continuous levels -------------------------------------------------------------------------------------------


def continuous(model: Model, sampling: str, sigma_max: float = 80.0, sigma_min: float = 0.01) -> NoiseLevels:
    changed = model_sampling_nodes.model_sampling_continuous_edm(
        model=model, sampling=sampling, sigma_max=sigma_max, sigma_min=sigma_min
    )
    return changed.sampling.levels()


def test_continuous_levels_are_log_uniform(model: Model) -> None:
    levels = continuous(model, "eps")
    expected = torch.linspace(math.log(0.01), math.log(80.0), 1000, dtype=torch.float64).exp().float()
    torch.testing.assert_close(levels.sigmas, expected, rtol=1e-5, atol=0)
    assert levels.timestep(2.0) == pytest.approx(0.25 * math.log(2.0))
    assert float(levels.sigma(levels.timestep(2.0))) == pytest.approx(2.0, rel=1e-5)
    assert levels.sigma_at(0.5) == pytest.approx(math.sqrt(0.01 * 80.0), rel=1e-4)


@pytest.mark.parametrize(("sampling", "prediction"), [("edm", "epsilon"), ("edm_playground_v2.5", "epsilon")])
def test_edm_is_that_of_diffusers(model: Model, sampling: str, prediction: str) -> None:
    from diffusers import EDMEulerScheduler

    scheduler = EDMEulerScheduler(sigma_data=0.5, prediction_type=prediction)
    levels = continuous(model, sampling)
    x, output, sigma = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3), 1.7
    torch.testing.assert_close(levels.network_input(x, sigma), scheduler.precondition_inputs(x, sigma), **CLOSE)
    expected = scheduler.precondition_outputs(x, output, sigma)
    torch.testing.assert_close(levels.denoised(x, output, sigma), expected, **CLOSE)
    assert levels.timestep(sigma) == pytest.approx(float(scheduler.precondition_noise(torch.tensor(sigma))))


def test_continuous_velocity_and_noise_have_unit_data(model: Model) -> None:
    x, output, sigma = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3), 1.7
    total = sigma**2 + 1
    expected = {"v_prediction": x / total - output * sigma / total**0.5, "eps": x - sigma * output}
    for name, denoised in expected.items():
        levels = continuous(model, name)
        torch.testing.assert_close(levels.denoised(x, output, sigma), denoised, **CLOSE)
        torch.testing.assert_close(levels.network_input(x, sigma), x / total**0.5, **CLOSE)


def test_a_rectified_flow_is_exact_for_its_own_velocity(model: Model) -> None:
    """A flow's latent is (1 - τ) · clean + τ · noise, and its velocity noise - clean."""
    levels = continuous(model, "cosmos_rflow")
    clean, noise, sigma = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3), 1.7
    x, tau = clean + sigma * noise, sigma / (sigma + 1)
    given = levels.network_input(x, sigma)
    torch.testing.assert_close(given, (1 - tau) * clean + tau * noise, **CLOSE)
    torch.testing.assert_close(levels.denoised(x, noise - clean, sigma), clean, **CLOSE)
    torch.testing.assert_close(levels.noised(clean, noise, levels.sigma_max), clean + noise * levels.sigma_max)
    assert levels.timestep(sigma) == pytest.approx(tau)
    assert float(levels.sigma(tau)) == pytest.approx(sigma) and float(levels.sigma(1.0)) == pytest.approx(80.0)


def test_velocity_by_angle(model: Model) -> None:
    changed = model_sampling_nodes.model_sampling_continuous_v(model=model, sampling="v_prediction")
    levels = changed.sampling.levels()
    assert levels.sigma_max == pytest.approx(500, rel=1e-5) and levels.sigma_min == pytest.approx(0.03, rel=1e-5)
    assert levels.timestep(1.0) == pytest.approx(0.5) and levels.timestep(2.5) == pytest.approx(
        math.atan(2.5) * 2 / math.pi
    )
    assert float(levels.sigma(0.5)) == pytest.approx(1.0, rel=1e-5)
    assert picture(changed).isfinite().all()


def test_playground_scales_latents_by_channel(model: Model) -> None:
    changed = model_sampling_nodes.model_sampling_continuous_edm(model=model, sampling="edm_playground_v2.5")
    latent = torch.randn(1, 4, 2, 2)
    mean = torch.tensor([-1.6574, 1.886, -1.383, 2.5155]).reshape(1, 4, 1, 1)
    std = torch.tensor([8.4927, 5.9022, 6.5498, 5.2299]).reshape(1, 4, 1, 1)
    torch.testing.assert_close(changed.latent.scaled_in(latent), (latent - mean) * 0.5 / std, **CLOSE)
    torch.testing.assert_close(changed.latent.scaled_out(changed.latent.scaled_in(latent)), latent, **CLOSE)
    assert model_sampling_nodes.model_sampling_continuous_edm(model=model, sampling="edm").latent == model.latent
    assert changed.latent.taesd == SDXL_LATENTS.taesd


@pytest.mark.parametrize("sampling", ["v_prediction", "edm", "eps", "cosmos_rflow"])
@pytest.mark.parametrize("name", ["euler", "dpmpp_2m", "euler_ancestral"])
def test_runs_over_continuous_levels(model: Model, sampling: str, name: str) -> None:
    changed = model_sampling_nodes.model_sampling_continuous_edm(
        model=model, sampling=sampling, sigma_max=20.0, sigma_min=0.03
    )
    assert picture(changed, name).isfinite().all()


@pytest.mark.parametrize(("low", "high"), [(0.0, 120.0), (5.0, 5.0), (6.0, 5.0)])
def test_levels_without_a_range_are_refused(model: Model, low: float, high: float) -> None:
    message = f"sigma_min is {low:g} and sigma_max {high:g}; expected 0 < sigma_min < sigma_max"
    with pytest.raises(NoiseRangeError, match=message):
        model_sampling_nodes.model_sampling_continuous_edm(model=model, sampling="edm", sigma_min=low, sigma_max=high)
    with pytest.raises(NoiseRangeError, match=message):
        model_sampling_nodes.model_sampling_continuous_v(
            model=model, sampling="v_prediction", sigma_min=low, sigma_max=high
        )


def test_packs_see_the_same_numbers(model: Model) -> None:
    """As an object with ComfyUI's methods, each item at its own level."""
    from nodes.compat.comfy.model_sampling import model_sampling_of

    x, output = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    sigma = torch.tensor([2.5, 0.7])
    changed = [discrete(model, name) for name in ("eps", "v_prediction", "x0", "img_to_img", "lcm")]
    changed += [
        model_sampling_nodes.model_sampling_continuous_edm(model=model, sampling=name)
        for name in ("v_prediction", "edm", "eps", "cosmos_rflow")
    ]
    changed.append(model_sampling_nodes.model_sampling_continuous_v(model=model, sampling="v_prediction"))
    for each in changed:
        levels, seen = each.sampling.levels(), model_sampling_of(each.sampling)
        assert float(seen.sigma_max) == pytest.approx(levels.sigma_max, rel=1e-5)
        assert seen.percent_to_sigma(0.3) == pytest.approx(levels.sigma_at(0.3), rel=1e-4)
        given = seen.calculate_input(sigma, x)
        denoised = seen.calculate_denoised(sigma, output, x)
        noised = seen.noise_scaling(sigma, output, x)
        for item, level in enumerate(sigma.tolist()):
            torch.testing.assert_close(given[item], levels.network_input(x[item], level), **CLOSE)
            torch.testing.assert_close(denoised[item], levels.denoised(x[item], output[item], level), **CLOSE)
            torch.testing.assert_close(noised[item], levels.noised_to(x[item], output[item], level), **CLOSE)
            assert float(seen.timestep(sigma)[item]) == pytest.approx(float(levels.timestep(level)), abs=1e-4)
