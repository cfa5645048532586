"""Weights changed when they are loaded."""

from __future__ import annotations

import pytest
import torch

from nodes.models.weight_changes import Difference, LowRank, Renormalized, Replacement
from nodes.models.weight_patches import WeightPatch, WeightPatchError, patched

WEIGHT = torch.arange(12.0).reshape(3, 4)


def test_a_difference_and_a_scale() -> None:
    patches = [WeightPatch("w", Difference(torch.ones(3, 4)), 2.0, 0.5), WeightPatch("w", Difference(WEIGHT), 1.0)]
    kept = WEIGHT.clone()
    torch.testing.assert_close(patched(WEIGHT, patches), WEIGHT * 1.5 + 2)
    assert torch.equal(WEIGHT, kept)


def test_a_replacement() -> None:
    assert torch.equal(patched(WEIGHT, [WeightPatch("w", Replacement(-WEIGHT), 0.3)]), -WEIGHT)


def test_low_rank() -> None:
    up, down = torch.randn(3, 2), torch.randn(2, 4)
    torch.testing.assert_close(patched(WEIGHT, [WeightPatch("w", LowRank(up, down), 0.5)]), WEIGHT + up @ down / 2)
    scaled = patched(WEIGHT, [WeightPatch("w", LowRank(up, down, alpha=1.0))])
    torch.testing.assert_close(scaled, WEIGHT + up @ down / 2)


def test_low_rank_of_a_convolution_with_a_core() -> None:
    weight = torch.zeros(5, 4, 3, 3)
    up, down, middle = torch.randn(5, 2, 1, 1), torch.randn(3, 4, 1, 1), torch.randn(2, 3, 3, 3)
    expected = torch.zeros_like(weight)
    for y in range(3):
        for x in range(3):
            expected[:, :, y, x] = up[:, :, 0, 0] @ middle[:, :, y, x] @ down[:, :, 0, 0]
    torch.testing.assert_close(patched(weight, [WeightPatch("w", LowRank(up, down, 3.0, middle))]), expected)


@pytest.mark.parametrize("shape", [(3, 1), (1, 4)])
def test_magnitudes_are_those_that_are_said(shape: tuple[int, int]) -> None:
    magnitude = torch.rand(shape) + 1
    change = Renormalized(LowRank(torch.randn(3, 2), torch.randn(2, 4)), magnitude)
    result = patched(WEIGHT, [WeightPatch("w", change)])
    torch.testing.assert_close(result.norm(dim=1 if shape[0] == 3 else 0, keepdim=True), magnitude)


def test_a_part_of_a_tensor_and_a_function_of_the_change() -> None:
    patch = WeightPatch("w", Difference(torch.ones(1, 4)), 1.0, 1.0, (0, 1, 1), lambda change: change * 10)
    expected = WEIGHT.clone()
    expected[1] += 10
    torch.testing.assert_close(patched(WEIGHT, [patch]), expected)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(WeightPatchError, match=r"'w' does not fit: the tensor is \[3, 4\], the patch has \[\[5\]\]"):
        patched(WEIGHT, [WeightPatch("w", Difference(torch.ones(5)))])
