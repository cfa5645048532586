"""Finding a sampler's current step from the noise levels that it requests."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.models.changes import StepDone
from nodes.models.handle import ModelSampling
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling.denoiser import Observed
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for

LEVELS = NoiseLevels.of(ModelSampling())


class Halved:
    def __call__(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        return x / 2

    def with_unconditional(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
        return x / 2, x / 3


@pytest.mark.parametrize("name", [name for name in SAMPLERS if not name.startswith("dpm_")])
def test_every_step_is_reported_in_order(name: str) -> None:
    sampler = SAMPLERS[name]
    sigmas = sigmas_for("karras", 9, LEVELS, skip_penultimate=sampler.skips_penultimate)
    seen: list[int] = []

    def on_step(done: StepDone) -> None:
        assert done.steps == 9 and done.denoised.shape == (1, 4, 2, 2)
        assert torch.equal(done.denoised, done.x / 2)
        seen.append(done.step)

    sampler.run(Observed(Halved(), sigmas, on_step), torch.ones(1, 4, 2, 2), sigmas, 0, LEVELS)
    assert seen == sorted(seen) and set(seen) == set(range(1, 10))


def test_rising_noise_levels_are_steps_too() -> None:
    sigmas = torch.tensor([0.1, 1.0, 5.0, 10.0])
    seen: list[int] = []
    model = Observed(Halved(), sigmas, lambda done: seen.append(done.step))
    SAMPLERS["euler"].run(model, torch.ones(1, 4, 2, 2), sigmas, 0, LEVELS)
    assert seen == [1, 2, 3]
