"""Prompts joined by AND and prompts for some steps only, over a small real network."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.sampling.areas import ConditionError
from nodes.sampling.guiders import BasicGuider, CfgGuider
from nodes.sampling.noise import initial_noise
from nodes.sampling.sample import sample
from nodes.sampling.sampler import SAMPLERS
from nodes.sampling.schedules import sigmas_for
from nodes.unet.unet import UNet
from tests.nodes.sampling.small_model import denoiser_of, model_of, noisy, prompt, small_unet

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
SIGMA = 2.0


@pytest.fixture(scope="module")
def network() -> UNet:
    return small_unet()


def alone(network: UNet, number: int) -> Tensor:
    return denoiser_of(model_of(network), BasicGuider(prompt(number)))(noisy(), SIGMA)


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_prompts_joined_by_and_add_their_directions(network: UNet, scale: float) -> None:
    positive = [*prompt(1, composed=(0, 1.0)), *prompt(2, composed=(1, 0.5)), *prompt(3, composed=(2, -0.7))]
    guided = denoiser_of(model_of(network), CfgGuider(positive, prompt(4), scale))(noisy(), SIGMA)
    a, b, c, u = (alone(network, number) for number in (1, 2, 3, 4))
    expected = u + scale * (1.0 * (a - u) + 0.5 * (b - u) - 0.7 * (c - u))
    torch.testing.assert_close(guided, expected, **CLOSE)


def test_a_single_weighted_prompt_is_nearer_to_the_negative_one(network: UNet) -> None:
    guided = denoiser_of(model_of(network), CfgGuider(prompt(1, composed=(0, 0.5)), prompt(4), 7.0))(noisy(), SIGMA)
    a, u = alone(network, 1), alone(network, 4)
    torch.testing.assert_close(guided, u + 3.5 * (a - u), **CLOSE)


def test_entries_of_one_part_are_averaged(network: UNet) -> None:
    positive = [*prompt(1, composed=(0, 2.0)), *prompt(2, composed=(0, 2.0))]
    guided = denoiser_of(model_of(network), CfgGuider(positive, prompt(4), 3.0))(noisy(), SIGMA)
    a, b, u = (alone(network, number) for number in (1, 2, 4))
    torch.testing.assert_close(guided, u + 6.0 * ((a + b) / 2 - u), **CLOSE)


def test_without_a_negative_side_the_parts_are_averaged(network: UNet) -> None:
    parts = [*prompt(1, composed=(0, 3.0)), *prompt(2, composed=(1, 1.0))]
    found = denoiser_of(model_of(network), BasicGuider(parts))(noisy(), SIGMA)
    torch.testing.assert_close(found, 0.75 * alone(network, 1) + 0.25 * alone(network, 2), **CLOSE)
    opposed = [*prompt(1, composed=(0, 1.0)), *prompt(2, composed=(1, -1.0))]
    with pytest.raises(ConditionError, match="add up to 0"):
        denoiser_of(model_of(network), BasicGuider(opposed))(noisy(), SIGMA)


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "dpm_2_ancestral"])
def test_steps_use_the_prompt_of_their_range(network: UNet, sampler: str) -> None:
    model = model_of(network)
    sigmas = sigmas_for("karras", 8, model.sampling.levels())
    seen: list[tuple[float, int]] = []

    def sampled(positive: list[list[Any]]) -> Tensor:
        return sample(
            model,
            initial_noise((1, 4, 16, 16), 5),
            sigmas,
            positive=positive,
            negative=prompt(4),
            scale=1.0,
            sampler=SAMPLERS[sampler],
            latent=torch.zeros(1, 4, 16, 16),
            seed=5,
            on_step=lambda done: seen.append((done.sigma, done.step)),
        )

    switched = sampled([*prompt(1, step_ranges=[(0, 3)]), *prompt(2, step_ranges=[(3, None)])])
    first, second = sampled(prompt(1)), sampled(prompt(2))
    assert not torch.allclose(switched, first) and not torch.allclose(switched, second)
    whole = [*prompt(1, step_ranges=[(0, 2), (2, None)]), *prompt(2, step_ranges=[(8, None)])]
    torch.testing.assert_close(sampled(whole), first, **CLOSE)


def test_a_run_in_two_pieces_is_the_same_as_one_that_switches(network: UNet) -> None:
    model = model_of(network)
    sigmas = sigmas_for("normal", 6, model.sampling.levels())

    def sampled(positive: list[list[Any]], levels: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
        settings: dict[str, Any] = {"negative": prompt(4), "scale": 3.0, "sampler": SAMPLERS["euler"], "seed": 1}
        return sample(model, noise, levels, positive=positive, latent=latent, **settings)

    empty, noise = torch.zeros(1, 4, 16, 16), initial_noise((1, 4, 16, 16), 5)
    alternating = [*prompt(1, step_ranges=[(0, 1), (2, 3)]), *prompt(2, step_ranges=[(1, 2), (3, None)])]
    expected = empty
    for number, (start, end) in zip((1, 2, 1, 2), ((0, 1), (1, 2), (2, 3), (3, 6)), strict=True):
        first = noise if start == 0 else torch.zeros_like(noise)
        expected = sampled(prompt(number), sigmas[start : end + 1], expected, first)
    torch.testing.assert_close(sampled(alternating, sigmas, empty, noise), expected, **CLOSE)
    assert math.isfinite(float(expected.sum()))
