"""Cached values are bit-identical; handles cost nothing and stay in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nodes.models.checkpoint import Fingerprint
from nodes.models.handle import Model, Vae
from nodes.models.handle_codec import HandleCodec
from nodes.models.unet_config import SD1
from nodes.models.vae_config import VaeConfig
from nodes.models.weight_changes import LowRank
from nodes.models.weight_patches import WeightPatch
from nodes.models.weights import Weights
from nodes.tensor_codec import TensorCodec

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64),
]


def _same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.contiguous().flatten().view(torch.uint8).tolist() == b.contiguous().flatten().view(torch.uint8).tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4), (1,)], ids=str)
def test_tensors_come_back_bit_for_bit(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.randn(shape) * 50).to(dtype)
    blob = TensorCodec().dump(tensor)
    assert blob is not None
    assert len(bytes(blob.data)) == tensor.numel() * tensor.element_size()
    for data in (blob.data, bytes(blob.data), bytearray(blob.data)):
        back = TensorCodec().load(type(blob)(blob.dtype, blob.shape, data))
        assert (back.dtype, back.shape) == (dtype, tensor.shape)
        assert _same_bits(back, tensor)


def test_nan_and_negative_zero_survive() -> None:
    tensor = torch.tensor([float("nan"), -0.0, float("inf")])
    blob = TensorCodec().dump(tensor)
    assert blob is not None
    assert _same_bits(TensorCodec().load(blob), tensor)


@pytest.mark.parametrize(
    "view",
    [
        torch.randn(4, 6).t(),
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(3, 1).expand(3, 4),
        torch.randn(10)[2::3],
        torch.randn(3, dtype=torch.complex64).conj(),
        torch.nn.Parameter(torch.randn(3)),
    ],
)
def test_views_are_written_in_order(view: torch.Tensor) -> None:
    blob = TensorCodec().dump(view)
    assert blob is not None
    assert torch.equal(TensorCodec().load(blob), view)


def test_what_is_read_may_be_written_to() -> None:
    blob = TensorCodec().dump(torch.ones(3))
    assert blob is not None
    back = TensorCodec().load(type(blob)(blob.dtype, blob.shape, bytes(blob.data)))
    back += 1
    assert back.tolist() == [2.0, 2.0, 2.0]


def test_a_slice_costs_what_it_keeps_alive() -> None:
    assert TensorCodec().nbytes(torch.zeros(100)[:1]) == 400


def test_sparse_tensors_stay_in_memory() -> None:
    assert TensorCodec().dump(torch.eye(3).to_sparse()) is None


def test_only_tensors_are_accepted() -> None:
    assert TensorCodec().accepts(torch.zeros(1))
    assert not TensorCodec().accepts([1])
    assert not HandleCodec().accepts(torch.zeros(1))


def test_handles_cost_nothing_and_are_not_written() -> None:
    state = Fingerprint("m.safetensors", 1, 1)
    for handle in (
        Model(Weights(Path("m"), "", state, SD1, 1)),
        Vae(Weights(Path("m"), "", state, VaeConfig(), 1)),
    ):
        assert HandleCodec().accepts(handle)
        assert HandleCodec().nbytes(handle) == 0
        assert HandleCodec().dump(handle) is None


def test_patches_of_weights_are_counted() -> None:
    patch = WeightPatch("w", LowRank(torch.zeros(8, 2), torch.zeros(2, 4)))
    model = Model(Weights(Path("m"), "", Fingerprint("m.safetensors", 1, 1), SD1, 1), patches=(patch, patch))
    assert HandleCodec().nbytes(model) == 2 * 4 * (16 + 8)


def test_asking_imports_nothing_heavy() -> None:
    program = (
        "import sys; from nodes.rooms import CODECS\n"
        "assert not any(codec.accepts(object()) for codec in CODECS)\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_asking_while_another_thread_imports_torch() -> None:
    program = (
        "import sys, types; from nodes.tensor_codec import TensorCodec\n"
        "sys.modules['torch'] = types.ModuleType('torch')\n"
        "assert not TensorCodec().accepts(object())"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
