"""Feature maps in strips of rows: the same as whole maps, for every position of a strip's edge."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nodes import strips
from nodes.fused import Convolution, GroupNorm


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps of every size are computed in strips of eight rows."""
    monkeypatch.setattr(strips, "LARGEST_WHOLE", 0)
    monkeypatch.setattr(strips, "STRIP_BYTES", 1)


@pytest.mark.parametrize("height", [1, 8, 9, 16, 30])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
def test_a_residual_block_in_strips(height: int, dtype: torch.dtype, tolerance: float, small_strips: None) -> None:
    torch.manual_seed(0)
    norm, convolution, shortcut = GroupNorm(8, 16), Convolution(16, 24, 3, padding=1), Convolution(16, 24, 1)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = (2 * torch.randn(2, 16, height, 11) + 3).to(dtype).contiguous(memory_format=torch.channels_last)
    for layer in (norm, convolution, shortcut):
        layer.to(dtype)
    with torch.no_grad():
        activated = norm(x, activated=True)
        assert not isinstance(activated, torch.Tensor)
        found = convolution(activated, shortcut(x, in_rows=True))
        again = convolution(activated, shortcut(x, in_rows=True))  # with the weight in oneDNN's order
        wide = F.silu(F.group_norm(x.double(), 8, norm.weight.double(), norm.bias.double()))
        weights = [layer.state_dict()["weight"].double() for layer in (convolution, shortcut)]
        biases = [layer.bias.double() for layer in (convolution, shortcut) if layer.bias is not None]
        expected = F.conv2d(wide, weights[0], biases[0], padding=1) + F.conv2d(x.double(), weights[1], biases[1])
    for each in (found, again):
        torch.testing.assert_close(each.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("height", [1, 4, 13])
def test_a_doubled_map_in_strips(height: int, small_strips: None) -> None:
    torch.manual_seed(0)
    layer = Convolution(16, 16, 3, padding=1).requires_grad_(False)
    x = torch.randn(2, 16, height, 5)
    with torch.no_grad():
        found = layer(strips.Doubled(x))
        expected = layer(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_winograd_in_strips(small_strips: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodes.fused.is_faster", lambda x, weight: True)
    torch.manual_seed(0)
    layer = Convolution(16, 24, 3, padding=1).requires_grad_(False)
    x, plus = torch.randn(1, 16, 21, 9), torch.randn(1, 24, 21, 9)
    with torch.no_grad():
        found = layer(strips.Part(x), plus)
        expected = F.conv2d(x.double(), layer.weight.double(), layer.bias.double(), padding=1) + plus
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_gradients_need_the_whole_map(small_strips: None) -> None:
    norm = GroupNorm(8, 16)
    x = torch.randn(1, 16, 9, 9, requires_grad=True)
    norm(x, activated=True).sum().backward()
    assert x.grad is not None


def test_a_constant_map_has_finite_statistics(small_strips: None) -> None:
    with torch.no_grad():
        rows = GroupNorm(8, 16)(torch.full((1, 16, 9, 9), 2.0), activated=True)
        assert torch.equal(rows.rows(0, 9), torch.zeros(1, 16, 9, 9))
