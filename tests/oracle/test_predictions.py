"""The meaning of predictions, and the levels at which networks are called, against diffusers' schedulers."""

from __future__ import annotations

import pytest
import torch
from diffusers import EDMEulerScheduler, EulerDiscreteScheduler

from nodes.models.model_sampling import ContinuousSampling, ModelSampling, PredictionName

X, OUTPUT = torch.randn(2, 1, 4, 3, 3, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize("sigma_data", [0.5, 1.0])
@pytest.mark.parametrize(("prediction", "theirs"), [("edm", "epsilon"), ("v", "v_prediction")])
def test_continuous_levels_agree_with_diffusers(prediction: PredictionName, theirs: str, sigma_data: float) -> None:
    levels = ContinuousSampling(prediction, 0.002, 80.0, sigma_data).levels()
    scheduler = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=sigma_data, prediction_type=theirs)
    for sigma in (0.002, 0.3, 1.0, 80.0):
        expected_input = scheduler.precondition_inputs(X, torch.tensor(sigma))
        torch.testing.assert_close(levels.network_input(X, sigma), expected_input, rtol=1e-5, atol=1e-6)
        assert levels.timestep(sigma) == pytest.approx(float(scheduler.precondition_noise(torch.tensor(sigma))))
        expected = scheduler.precondition_outputs(X, OUTPUT, torch.tensor(sigma))
        torch.testing.assert_close(levels.denoised(X, OUTPUT, sigma), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("prediction", "theirs"), [("eps", "epsilon"), ("v", "v_prediction"), ("x0", "sample")])
def test_discrete_levels_agree_with_diffusers(prediction: PredictionName, theirs: str) -> None:
    levels = ModelSampling(prediction).levels()
    if theirs == "sample":  # diffusers' euler does not have it; the definition is the output itself
        assert torch.equal(levels.denoised(X, OUTPUT, 3.0), OUTPUT)
        return
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=theirs
    )
    scheduler.set_timesteps(timesteps=[900, 300, 3])
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        expected_input = scheduler.scale_model_input(X, t)
        torch.testing.assert_close(levels.network_input(X, float(sigma)), expected_input, rtol=1e-5, atol=1e-6)
        assert levels.timestep(sigma) == int(t)
        expected = scheduler.step(OUTPUT, t, X).pred_original_sample
        torch.testing.assert_close(levels.denoised(X, OUTPUT, float(sigma)), expected, rtol=1e-4, atol=1e-4)


def test_percents_run_through_the_logarithm_of_continuous_levels() -> None:
    levels = ContinuousSampling("edm", 0.01, 100.0).levels()
    assert levels.sigma_at(0.5) == pytest.approx(1.0, rel=1e-4)
    assert (levels.sigma_at(0.0), levels.sigma_at(1.0)) == (float("inf"), 0.0)
    torch.testing.assert_close(levels.sigma(torch.tensor([levels.timestep(7.0)])), torch.tensor([7.0]))
    assert levels.sigma_min == pytest.approx(0.01) and levels.sigma_max == pytest.approx(100.0)


def test_a_run_starts_with_noise_of_the_level_and_ends_unscaled() -> None:
    levels = ContinuousSampling("edm", 0.01, 100.0).levels()
    latent, noise = X, OUTPUT
    torch.testing.assert_close(levels.noised(latent, noise, 100.0), noise * (1 + 100.0**2) ** 0.5 + latent)
    torch.testing.assert_close(levels.noised(latent, noise, 3.0), noise * 3.0 + latent)
    torch.testing.assert_close(levels.noised_to(latent, noise, 100.0), noise * 100.0 + latent)
    assert torch.equal(levels.finished(X, 0.0), X)
