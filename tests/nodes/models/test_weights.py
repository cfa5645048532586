"""Loading weights into a module: precision, memory, and errors."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.weights import Weights, weights_at
from tests.nodes.models.networks import load

CPU = torch.device("cpu")


class Net(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.linear = nn.Linear(width, 2, bias=False)


def _shapes(width: int) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in Net(width).state_dict().items()}


def _saved(path: Path, tensors: dict[str, Tensor]) -> Weights[int]:
    save_file({f"net.{name}": tensor.contiguous() for name, tensor in tensors.items()}, path)
    return weights_at(Checkpoint.open(path), "net.", 8, _shapes(8))


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
@pytest.mark.parametrize("wanted", [torch.float32, torch.float16, torch.bfloat16])
def test_every_tensor_arrives_converted(tmp_path: Path, stored: torch.dtype, wanted: torch.dtype) -> None:
    state = {name: tensor.to(stored) for name, tensor in Net(8).state_dict().items()}
    net = load(_saved(tmp_path / "m.safetensors", state), Net, wanted, CPU)
    for name, tensor in net.state_dict().items():
        assert tensor.dtype == wanted
        assert torch.equal(tensor, state[name].to(wanted))
    assert net.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert not net.conv.weight.requires_grad
    assert not net.training


def test_weights_do_not_stay_mapped(tmp_path: Path) -> None:
    weights = _saved(tmp_path / "m.safetensors", Net(8).state_dict())
    net = load(weights, Net, torch.float32, CPU)
    before = net.linear.weight.clone()
    (tmp_path / "m.safetensors").write_bytes(b"")
    assert torch.equal(net.linear.weight, before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_refused_by_name(tmp_path: Path, bad: float) -> None:
    state = Net(8).state_dict()
    state["linear.weight"][1, 3] = bad
    with pytest.raises(CheckpointError, match=r"m\.safetensors: tensor 'net\.linear\.weight' holds NaN or infinity"):
        load(_saved(tmp_path / "m.safetensors", state), Net, torch.float32, CPU)


def test_weights_beyond_the_precision_are_refused(tmp_path: Path) -> None:
    state = Net(8).state_dict()
    state["linear.weight"][0, 0] = 1e6
    weights = _saved(tmp_path / "m.safetensors", state)
    with pytest.raises(CheckpointError, match=r"net\.linear\.weight' does not fit torch\.float16"):
        load(weights, Net, torch.float16, CPU)
    assert load(weights, Net, torch.bfloat16, CPU).linear.weight[0, 0] > 9e5


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    weights = _saved(tmp_path / "m.safetensors", Net(8).state_dict())
    os.utime(tmp_path / "m.safetensors", ns=(1, 1))
    with pytest.raises(CheckpointError, match="has changed"):
        load(weights, Net, torch.float32, CPU)
    (tmp_path / "m.safetensors").unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        load(weights, Net, torch.float32, CPU)


def test_resident_weights_are_shared_by_equal_handles(tmp_path: Path) -> None:
    weights = _saved(tmp_path / "m.safetensors", Net(8).state_dict())
    first = weights.resident(Net, torch.float32, CPU)
    assert replace(weights).resident(Net, torch.float32, CPU) is first
    assert weights.resident(Net, torch.bfloat16, CPU) is not first


def test_parameters_are_counted(tmp_path: Path) -> None:
    net = Net(8)
    weights = _saved(tmp_path / "m.safetensors", net.state_dict())
    assert weights.parameters == sum(parameter.numel() for parameter in net.parameters())
