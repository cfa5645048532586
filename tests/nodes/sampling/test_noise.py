"""The same seed gives the same noise."""

from __future__ import annotations

import pytest
import torch

from nodes.sampling.noise import RandomNoise, VariationNoise, independent_noise, initial_noise, step_seed
from nodes.types import LatentDict


def test_noise_is_torch_randn_of_a_seeded_cpu_generator() -> None:
    for seed in (0, 42, 2**63, 2**64 - 1):
        expected = torch.randn(2, 4, 8, 8, generator=torch.Generator("cpu").manual_seed(seed))
        assert torch.equal(initial_noise((2, 4, 8, 8), seed), expected)


def test_an_item_gets_the_noise_of_its_place_in_the_batch() -> None:
    whole = initial_noise((5, 4, 8, 8), 7, batch_index=range(5))
    assert torch.equal(initial_noise((2, 4, 8, 8), 7, batch_index=[3, 1]), whole[[3, 1]])
    assert torch.equal(initial_noise((3, 4, 8, 8), 7, batch_index=[2, 2, 0]), whole[[2, 2, 0]])
    generator = torch.Generator().manual_seed(7)
    one_by_one = torch.cat([torch.randn(1, 4, 8, 8, generator=generator) for _ in range(5)])
    assert torch.equal(whole, one_by_one)


def test_step_noise_is_drawn_in_order_from_one_generator_of_the_next_seed() -> None:
    for seed, drawn_with in ((5, 6), (2**64 - 1, 0)):
        noise = independent_noise(torch.zeros(1, 4, 2, 2), seed)
        generator = torch.Generator().manual_seed(drawn_with)
        for _ in range(3):
            assert torch.equal(noise(2.0, 1.0), torch.randn(1, 4, 2, 2, generator=generator))


def test_other_devices_draw_step_noise_with_the_seed_itself() -> None:
    assert step_seed(7, torch.device("cuda", 0)) == 7
    assert step_seed(7, torch.device("cpu")) == 8


@pytest.mark.parametrize("seed", [0, 11, 2**64 - 1])
def test_the_first_step_noise_is_independent_of_the_initial_noise(seed: int) -> None:
    shape = (1, 4, 64, 64)
    initial = initial_noise(shape, seed).flatten()
    first = independent_noise(torch.zeros(shape), seed)(2.0, 1.0).flatten()
    correlation = torch.corrcoef(torch.stack([initial, first]))[0, 1]
    # Of independent noise the correlation deviates by 1 / sqrt(16384), 0.008.
    assert not torch.equal(initial, first) and abs(float(correlation)) < 0.04


def latent_of(count: int, height: int = 6, width: int = 5) -> LatentDict:
    return {"samples": torch.zeros(count, 4, height, width)}


def test_each_picture_of_a_batch_has_the_noise_of_its_own_seed() -> None:
    batch = VariationNoise(41).generate_noise(latent_of(3))
    for index in range(3):
        assert torch.equal(batch[index : index + 1], RandomNoise(41 + index).generate_noise(latent_of(1)))
    part = VariationNoise(41).generate_noise({**latent_of(2), "batch_index": [2, 0]})
    assert torch.equal(part, batch[[2, 0]])
    assert VariationNoise(2**64 - 1).generate_noise(latent_of(2)).shape[0] == 2


def test_variations_turn_from_one_seeds_noise_to_anothers() -> None:
    ends = (
        VariationNoise(5, 9, 1e-9).generate_noise(latent_of(1)),
        VariationNoise(5, 9, 1.0).generate_noise(latent_of(1)),
    )
    start, end = (initial_noise((1, 4, 6, 5), seed) for seed in (5, 9))
    torch.testing.assert_close(ends[0], start)
    torch.testing.assert_close(ends[1], end)
    half = VariationNoise(5, 9, 0.5).generate_noise(latent_of(2))
    a, b = start[0, 0, :, 0], end[0, 0, :, 0]
    angle = torch.acos((a @ b) / (a.norm() * b.norm()))
    torch.testing.assert_close(half[0, 0, :, 0], (a + b) * torch.sin(angle / 2) / torch.sin(angle))
    assert not torch.equal(half[0], half[1])


@pytest.mark.parametrize(("height", "width"), [(4, 3), (8, 9), (4, 9), (6, 5)])
def test_noise_of_another_size_lies_in_the_middle(height: int, width: int) -> None:
    found = VariationNoise(5, first_size=(width, height)).generate_noise(latent_of(1))[0]
    inner = initial_noise((1, 4, height, width), 5)[0]
    middle, inner_middle = found[:, 2:4, 2:3], inner[:, height // 2 - 1 : height // 2 + 1, width // 2 : width // 2 + 1]
    assert torch.equal(middle, inner_middle)
    if (height, width) == (4, 3):
        assert torch.equal(found[:, 0], initial_noise((1, 4, 6, 5), 5)[0, :, 0])
