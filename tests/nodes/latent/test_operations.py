"""Latent operations: directions and lengths apart."""

from __future__ import annotations

import torch

from nodes.latent import nodes

SAMPLES = torch.randn(2, 4, 24, 24, generator=torch.Generator().manual_seed(0))


def applied(operation: object) -> torch.Tensor:
    return nodes.latent_apply_operation(samples={"samples": SAMPLES}, operation=operation)["samples"]


def test_tonemapping_shortens_long_vectors_most_and_turns_none() -> None:
    mapped = applied(nodes.latent_operation_tonemap_reinhard(multiplier=1.0))
    before, after = SAMPLES.norm(dim=1), mapped.norm(dim=1)
    torch.testing.assert_close((mapped * SAMPLES).sum(1), before * after)
    top = before.mean((1, 2)) + 5 * before.flatten(1).std(1)
    expected = before / (before / top[:, None, None] + 1)
    torch.testing.assert_close(after, expected)


def test_a_multiplier_of_zero_leaves_nothing() -> None:
    assert not applied(nodes.latent_operation_tonemap_reinhard(multiplier=0.0)).any()


def test_sharpening_by_nothing_changes_nothing() -> None:
    torch.testing.assert_close(applied(nodes.latent_operation_sharpen(alpha=0.0)), SAMPLES)


def test_sharpening_leaves_flat_latents_and_strengthens_differences() -> None:
    flat = torch.ones(1, 4, 24, 24)
    sharpen = nodes.latent_operation_sharpen(sharpen_radius=3, alpha=0.5)
    torch.testing.assert_close(sharpen(flat), flat)
    assert applied(sharpen).std() > SAMPLES.std()


def test_operations_are_values() -> None:
    assert nodes.latent_operation_sharpen(alpha=0.5) == nodes.latent_operation_sharpen(alpha=0.5)
