"""The part of a schedule that a run uses."""

from __future__ import annotations

import math

import pytest
import torch

from nodes.models.handle import ModelSampling
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling import names
from nodes.sampling.schedules import SCHEDULES, cut, sigmas_for

LEVELS = NoiseLevels.of(ModelSampling())


def test_there_is_a_schedule_for_every_name() -> None:
    assert tuple(SCHEDULES) == names.SCHEDULERS


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 999, 1500])
@pytest.mark.parametrize("scheduler", names.SCHEDULERS)
def test_schedules_fall_from_the_largest_sigma_to_zero(scheduler: str, steps: int) -> None:
    sigmas = SCHEDULES[scheduler](steps, LEVELS)
    assert sigmas.dtype == torch.float32 and sigmas.device.type == "cpu"
    assert sigmas[-1] == 0 and sigmas.isfinite().all()
    # More steps than the model has timesteps visit some of them twice.
    assert (sigmas.diff() <= 0 if steps > 1000 else sigmas.diff() < 0).all()
    if scheduler not in ("ddim_uniform", "beta"):
        assert len(sigmas) == steps + 1
    if scheduler != "ddim_uniform":
        assert LEVELS.is_maximum(float(sigmas[0])) or math.isclose(float(sigmas[0]), LEVELS.sigma_max, rel_tol=0.02)


@pytest.mark.parametrize("scheduler", ["normal", "karras", "simple"])
def test_denoise_keeps_the_tail_of_a_longer_schedule(scheduler: str) -> None:
    whole = SCHEDULES[scheduler](int(7 / 0.3), LEVELS)
    assert torch.equal(sigmas_for(scheduler, 7, LEVELS, denoise=0.3), whole[-8:])
    assert torch.equal(sigmas_for(scheduler, 7, LEVELS, denoise=0.99995), SCHEDULES[scheduler](7, LEVELS))
    assert len(sigmas_for(scheduler, 7, LEVELS, denoise=0.0)) == 0


def test_denoise_keeps_the_tail_even_of_a_schedule_no_longer_but_with_steps_to_spare() -> None:
    whole = SCHEDULES["ddim_uniform"](7, LEVELS)
    assert len(whole) == 9
    assert torch.equal(sigmas_for("ddim_uniform", 7, LEVELS, denoise=0.99), whole[-8:])
    assert torch.equal(sigmas_for("ddim_uniform", 7, LEVELS, denoise=1.0), whole)


def test_without_the_penultimate_sigma() -> None:
    longer = SCHEDULES["karras"](6, LEVELS)
    found = sigmas_for("karras", 5, LEVELS, skip_penultimate=True)
    assert torch.equal(found, torch.cat([longer[:5], longer[6:]]))
    longer = SCHEDULES["karras"](11, LEVELS)
    found = sigmas_for("karras", 5, LEVELS, denoise=0.5, skip_penultimate=True)
    assert torch.equal(found, torch.cat([longer[5:10], longer[11:]]))


def test_cutting_out_steps() -> None:
    sigmas = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0])
    assert cut(sigmas, 0, 10_000, to_zero=True).tolist() == [8, 4, 2, 1, 0]
    assert cut(sigmas, 1, 3, to_zero=False).tolist() == [4, 2, 1]
    assert cut(sigmas, 1, 3, to_zero=True).tolist() == [4, 2, 0]
    assert len(cut(sigmas, 3, 2, to_zero=False)) < 2
    assert len(cut(sigmas, 4, 9, to_zero=False)) < 2
    assert sigmas.tolist() == [8, 4, 2, 1, 0]


def test_percent_of_a_run_is_a_noise_level() -> None:
    assert LEVELS.sigma_at(0.0) == math.inf and LEVELS.sigma_at(-1) == math.inf
    assert LEVELS.sigma_at(1.0) == 0.0
    assert LEVELS.sigma_at(0.25) == pytest.approx(float(LEVELS.sigma(749.25)))
    assert LEVELS.timestep(LEVELS.sigma_at(0.25)) == 749


def test_a_run_from_the_largest_sigma_starts_with_the_variance_of_a_noised_latent() -> None:
    latent, noise = torch.full((1, 4, 2, 2), 0.5), torch.ones(1, 4, 2, 2)
    assert torch.equal(LEVELS.noised(latent, noise, 3.0), latent + 3)
    largest = LEVELS.sigma_max
    assert torch.allclose(LEVELS.noised(latent, noise, largest), latent + math.sqrt(1 + largest**2))
    assert LEVELS.is_maximum(largest * (1 - 1e-6)) and not LEVELS.is_maximum(largest * 0.999)
