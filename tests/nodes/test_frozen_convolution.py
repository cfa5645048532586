"""Convolutions with fixed weights: gradients of their input are torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nodes.fused import Convolution
from nodes.models.layers import copied

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.05}


def frozen(dtype: torch.dtype, *shape: int, **geometry: Any) -> Convolution:
    torch.manual_seed(0)
    return Convolution(*shape, **geometry).requires_grad_(False).to(dtype, memory_format=torch.channels_last)


def gradients(layer: Any, x: torch.Tensor, plus: torch.Tensor) -> tuple[torch.Tensor, ...]:
    x, plus = x.clone().requires_grad_(), plus.clone().requires_grad_()
    result = layer(x, plus)
    result.backward(torch.linspace(-1, 1, result.numel()).view_as(result).to(result.dtype))
    assert x.grad is not None and plus.grad is not None
    return result.detach().float(), x.grad.float(), plus.grad.float()


def plain(layer: Convolution) -> Any:
    weight = layer.state_dict()["weight"].clone()

    def call(x: torch.Tensor, plus: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, weight, layer.bias, layer.stride, layer.padding) + plus  # type: ignore[arg-type]

    return call


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2)])
def test_gradients_of_the_input_are_torchs(dtype: torch.dtype, kernel: int, stride: int) -> None:
    layer = frozen(dtype, 16, 24, kernel, stride=stride, padding=kernel // 2)
    x = torch.randn(2, 16, 8, 6, dtype=dtype).contiguous(memory_format=torch.channels_last)
    plus = torch.randn(2, 24, 8 // stride, 6 // stride, dtype=dtype)
    expected = gradients(plain(layer), x, plus)
    for _ in range(2):  # the second call finds its weights packed
        for found, wanted in zip(gradients(layer, x, plus), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


def test_another_weight_gives_other_gradients() -> None:
    layer = frozen(torch.float32, 8, 8, 3, padding=1)
    x, plus = torch.randn(1, 8, 8, 8), torch.randn(1, 8, 8, 8)
    gradients(layer, x, plus)
    other = copied(layer)
    other.weight = torch.nn.Parameter(torch.randn(8, 8, 3, 3), requires_grad=False)
    layer.load_state_dict({"weight": 2 * layer.state_dict()["weight"], "bias": layer.bias})
    for changed in (other, layer):
        wanted = gradients(plain(changed), x, plus)
        torch.testing.assert_close(gradients(changed, x, plus)[1], wanted[1], rtol=1e-4, atol=1e-4)


def test_a_weight_that_is_trained_gets_its_gradient() -> None:
    layer = Convolution(8, 8, 3, padding=1)
    layer(torch.randn(1, 8, 8, 8, requires_grad=True)).sum().backward()
    assert layer.weight.grad is not None and layer.bias is not None and layer.bias.grad is not None
