"""The same seed gives the same noise."""

from __future__ import annotations

import torch

from nodes.sampling.noise import independent_noise, initial_noise


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


def test_step_noise_is_drawn_in_order_from_one_generator() -> None:
    noise = independent_noise(torch.zeros(1, 4, 2, 2), 2**64 - 1)
    generator = torch.Generator().manual_seed(2**64 - 1)
    for _ in range(3):
        assert torch.equal(noise(2.0, 1.0), torch.randn(1, 4, 2, 2, generator=generator))
