"""The loss of the noise predictor, against diffusers' schedulers and the papers' formulas."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from nodes.models.model_sampling import ContinuousSampling, ModelSampling
from nodes.training.errors import TrainingError
from nodes.training.objective import loss_weight, noised_and_target, prediction_loss, prediction_of

SCHEDULER = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
SIGMAS = ModelSampling().levels().sigmas


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_input_and_target_agree_with_diffusers(prediction):
    latents, noise = torch.randn(2, 5, 4, 3, 3)
    timesteps = torch.tensor([0, 1, 250, 700, 999])
    noisy, target = noised_and_target(latents, noise, SIGMAS[timesteps], prediction)
    torch.testing.assert_close(noisy, SCHEDULER.add_noise(latents, noise, timesteps), rtol=1e-4, atol=1e-5)
    expected = noise if prediction == "eps" else SCHEDULER.get_velocity(latents, noise, timesteps)
    torch.testing.assert_close(target, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_min_snr_agrees_with_diffusers(prediction):
    timesteps = torch.tensor([0, 1, 250, 700, 999])
    snr = compute_snr(SCHEDULER, timesteps)
    expected = snr.clamp(max=5.0) / (snr if prediction == "eps" else snr + 1)
    torch.testing.assert_close(loss_weight(SIGMAS[timesteps], prediction, "min-SNR"), expected, rtol=1e-3, atol=1e-6)


def test_a_weight_counts_the_same_error_for_both_predictions():
    """The error of the clean latent is n²/s² times that of the noise and n² times that of the velocity."""
    sigma = SIGMAS[::100]
    share_of_noise = sigma**2 / (sigma**2 + 1)
    for weighting in ("min-SNR", "clean latent"):
        of_noise = loss_weight(sigma, "eps", weighting) / sigma**2
        of_velocity = loss_weight(sigma, "v", weighting) / share_of_noise
        torch.testing.assert_close(of_noise, of_velocity)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_a_network_that_knows_the_latent_has_no_loss(prediction):
    latents = torch.randn(6, 4, 4, 4)

    def network(noisy, timesteps):
        sigma = SIGMAS[timesteps].view(-1, 1, 1, 1)
        signal = 1 / (sigma**2 + 1).sqrt()
        noise = (noisy - signal * latents) / (sigma * signal)
        return noise if prediction == "eps" else signal * noise - sigma * signal * latents

    loss = prediction_loss(network, latents, SIGMAS, prediction, torch.Generator().manual_seed(1))
    assert loss < 1e-4


def test_unknown_names_are_refused():
    latents = torch.randn(2, 4, 4, 4)
    with pytest.raises(TrainingError, match="eps or v"):
        noised_and_target(latents, latents, SIGMAS[:2], "edm")
    with pytest.raises(TrainingError, match="EdmPrediction"):
        prediction_of(ContinuousSampling().levels())
    assert [prediction_of(ModelSampling(name).levels()) for name in ("eps", "v")] == ["eps", "v"]
    with pytest.raises(TrainingError, match="min-SNR"):
        loss_weight(SIGMAS[:2], "eps", "heavy")
