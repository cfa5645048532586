"""Arithmetic of SIGMAS, by hand-computed values."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from nodes.models.handle import ModelSampling
from nodes.models.model_sampling import ContinuousSampling
from nodes.models.noise_levels import NoiseLevels
from nodes.sampling import scheduler_nodes, sigma_nodes
from nodes.sampling.guiders import CfgGuider
from nodes.sampling.sample import sample_guided
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import ScheduleError
from nodes.sampling.sigmas import sigma_of_percent
from tests.nodes.sampling.small_model import model_of, prompt, small_unet

SIGMAS = torch.tensor([14.0, 6.0, 2.0, 0.5, 0.0])
LEVELS = NoiseLevels.of(ModelSampling())


def test_split() -> None:
    for step, high, low in (
        (0, [14.0], [14.0, 6.0, 2.0, 0.5, 0.0]),
        (2, [14.0, 6.0, 2.0], [2.0, 0.5, 0.0]),
        (4, [14.0, 6.0, 2.0, 0.5, 0.0], [0.0]),
        (9, [14.0, 6.0, 2.0, 0.5, 0.0], []),
    ):
        found = sigma_nodes.split_sigmas(sigmas=SIGMAS, step=step)
        assert (found.high_sigmas.tolist(), found.low_sigmas.tolist()) == (high, low)


def test_split_by_denoise() -> None:
    high, low = sigma_nodes.split_sigmas_denoise(sigmas=SIGMAS, denoise=0.75)
    assert high.tolist() == [14.0, 6.0] and low.tolist() == [6.0, 2.0, 0.5, 0.0]
    high, low = sigma_nodes.split_sigmas_denoise(sigmas=SIGMAS, denoise=1.0)
    assert high.tolist() == [14.0] and low.tolist() == SIGMAS.tolist()
    high, low = sigma_nodes.split_sigmas_denoise(sigmas=SIGMAS, denoise=0.0)
    assert high.tolist() == [] and low.tolist() == [0.0]
    high, low = sigma_nodes.split_sigmas_denoise(sigmas=SIGMAS, denoise=0.1)  # round(4 · 0.1) = 0
    assert high.tolist() == [] and low.tolist() == [0.0]
    assert [len(part) for part in sigma_nodes.split_sigmas_denoise(sigmas=SIGMAS[:0], denoise=0.5)] == [0, 0]


@pytest.mark.parametrize("part", [0, 1])
def test_a_split_part_without_steps_leaves_the_latent(part: int) -> None:
    model = model_of(small_unet())
    sigmas = sigma_nodes.split_sigmas_denoise(sigmas=SIGMAS, denoise=0.0)[part]
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    guider = CfgGuider(prompt(1), prompt(2), 3.0)
    noise = torch.zeros_like(latent) if part else torch.ones_like(latent)
    found = sample_guided(model, guider, noise, sigmas, sampler=SAMPLERS["euler"], latent=latent, seed=0)
    torch.testing.assert_close(found, latent)


def test_flip_and_first() -> None:
    flipped = sigma_nodes.flip_sigmas(sigmas=SIGMAS)
    torch.testing.assert_close(flipped, torch.tensor([0.0001, 0.5, 2.0, 6.0, 14.0]))
    assert sigma_nodes.flip_sigmas(sigmas=SIGMAS[:3]).tolist() == [2.0, 6.0, 14.0]
    assert sigma_nodes.set_first_sigma(sigmas=SIGMAS, sigma=136.0).tolist() == [136.0, 6.0, 2.0, 0.5, 0.0]
    assert SIGMAS.tolist() == [14.0, 6.0, 2.0, 0.5, 0.0]  # inputs stay


@pytest.mark.parametrize(
    ("spacing", "part"),
    [("linear", 1 / 3), ("cosine", math.sin(math.pi / 6)), ("sine", 1 - math.cos(math.pi / 6))],
)
def test_extended_steps(spacing: Any, part: float) -> None:
    found = sigma_nodes.extend_intermediate_sigmas(
        sigmas=SIGMAS, steps=3, start_at_sigma=6.0, end_at_sigma=2.0, spacing=spacing
    )
    assert len(found) == 9
    torch.testing.assert_close(found[[0, 1, 4, 7, 8]], SIGMAS)
    assert float(found[2]) == pytest.approx(6 - 4 * part) and float(found[5]) == pytest.approx(2 - 1.5 * part)


def test_extension_without_bounds_and_into_single_steps() -> None:
    def extended(steps: int, start: float, end: float) -> Any:
        return sigma_nodes.extend_intermediate_sigmas(
            sigmas=SIGMAS, steps=steps, start_at_sigma=start, end_at_sigma=end, spacing="linear"
        )

    assert extended(2, -1.0, 0.0).tolist() == [14.0, 10.0, 6.0, 4.0, 2.0, 1.25, 0.5, 0.25, 0.0]
    assert extended(2, -1.0, 12.0).tolist() == [14.0, 10.0, 6.0, 2.0, 0.5, 0.0]
    assert torch.equal(extended(1, -1.0, 0.0), SIGMAS)
    assert torch.equal(extended(2, 1.0, 0.9), SIGMAS)


def test_sigma_of_a_percent() -> None:
    model = model_of(small_unet())
    for percent, actual, expected in (
        (0.0, False, math.inf),
        (1.0, False, 0.0),
        (0.0, True, LEVELS.sigma_max),
        (1.0, True, LEVELS.sigma_min),
        (0.3, False, float(LEVELS.sigma(699.3))),
        (0.3, True, float(LEVELS.sigma(699.3))),
    ):
        (found,) = sigma_nodes.sampling_percent_to_sigma(
            model=model, sampling_percent=percent, return_actual_sigma=actual
        )
        assert found == pytest.approx(expected)
    levels = ContinuousSampling("edm", 0.01, 100.0, 0.5).levels()
    assert sigma_of_percent(levels, 0.5) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0.5, 0", [0.5, 0.0]),
        ("14.6 6;2|.5\n0", [14.6, 6.0, 2.0, 0.5, 0.0]),
        ("[1.0, 9.2e-1, 4E-1, 0.]", [1.0, 0.92, 0.4, 0.0]),
        ("3-2-0", [3.0, 2.0, 0.0]),
        ("", []),
        ("none", []),
        ("info 3, nancy 0", [3.0, 0.0]),
    ],
)
def test_written_sigmas(text: str, numbers: list[float]) -> None:
    found = sigma_nodes.manual_sigmas(sigmas=text)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor(numbers))


@pytest.mark.parametrize("text", ["-1, 0", "5 -0.5", "1e999", "inf, 0", "14.6, -Infinity", "NaN"])
def test_written_sigmas_below_0_or_without_end_are_refused(text: str) -> None:
    with pytest.raises(ScheduleError, match=r"the noise levels contain .*; expected numbers from 0 up"):
        sigma_nodes.manual_sigmas(sigmas=text)


def test_a_basic_schedule_has_the_steps_that_were_asked_for() -> None:
    model = model_of(small_unet())
    for scheduler in ("normal", "karras", "ddim_uniform", "simple", "kl_optimal"):
        for steps in (1, 7, 30):
            sigmas = scheduler_nodes.basic_scheduler(model=model, scheduler=scheduler, steps=steps)
            assert len(sigmas) == steps + 1 and sigmas[-1] == 0, scheduler
    half = scheduler_nodes.basic_scheduler(model=model, scheduler="normal", steps=5, denoise=0.5)
    assert torch.equal(half, scheduler_nodes.basic_scheduler(model=model, scheduler="normal", steps=10)[-6:])
