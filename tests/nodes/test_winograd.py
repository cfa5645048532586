"""Winograd convolutions: the same as the direct sum, in double precision and at any size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nodes.fused import Convolution
from nodes.winograd import convolved, is_faster


@pytest.mark.parametrize("size", [(4, 4), (1, 1), (7, 9), (24, 21)])
@pytest.mark.parametrize("batch", [1, 3])
def test_it_is_the_direct_convolution(size: tuple[int, int], batch: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(batch, 40, *size), torch.randn(24, 40, 3, 3) / 19, torch.randn(24)
    plus = torch.randn(batch, 24, *size)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        found = convolved(given, weight, bias)
        assert found.is_contiguous(memory_format=torch.channels_last)
        error = (found - expected).abs()
        assert error.max() < 2e-5 and error.square().mean().sqrt() < 3e-6
        torch.testing.assert_close(convolved(given, weight, None, plus), found - bias[:, None, None] + plus)


def test_the_layer_uses_it_for_large_float32_convolutions_only() -> None:
    torch.manual_seed(0)
    layer = Convolution(128, 256, 3, padding=1).requires_grad_(False).to(memory_format=torch.channels_last)
    direct = torch.nn.Conv2d(128, 256, 3, padding=1).requires_grad_(False)
    direct.load_state_dict(layer.state_dict())
    large, small = torch.randn(1, 128, 64, 64), torch.randn(1, 128, 8, 8)
    assert is_faster(large, layer.weight) and not is_faster(small, layer.weight)
    for x in (large, small, large):  # the small one packs the weight
        given = x.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(layer(given), direct(x), rtol=1e-4, atol=5e-5)
    assert torch.equal(layer(given), convolved(given, direct.weight, direct.bias))
    strided = Convolution(128, 256, 3, stride=2, padding=1).requires_grad_(False)
    assert strided(large).shape == (1, 256, 32, 32)


def test_gradients_flow_through_the_layer() -> None:
    layer = Convolution(128, 256, 3, padding=1)
    x = torch.randn(1, 128, 64, 64, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None and layer.weight.grad is not None
