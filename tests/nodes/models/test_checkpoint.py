"""How model files are detected, and how bad ones are refused."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import types
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nodes.models.checkpoint import Checkpoint, CheckpointError, fingerprint

TENSORS = {
    "half": torch.arange(6, dtype=torch.float16).reshape(2, 3),
    "brain": torch.randn(4, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "nothing": torch.empty(0, 5),
    "eight": torch.ones(3).to(torch.float8_e4m3fn),
}
TENSORS_OF_OLD = {name: tensor for name, tensor in TENSORS.items() if name != "eight"}


def _written(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def _entry(begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4], "data_offsets": [begin, end]}


def _complaint(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.open(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def _assert_holds(checkpoint: Checkpoint, tensors: dict[str, torch.Tensor]) -> None:
    assert dict(checkpoint.shapes) == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        read = checkpoint.tensor(name)
        assert read.dtype == tensor.dtype
        assert torch.equal(read.float(), tensor.float())


def test_safetensors_hold_what_was_written(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "m.safetensors", metadata={"modelspec.title": "t"})
    checkpoint = Checkpoint.open(tmp_path / "m.safetensors")
    _assert_holds(checkpoint, TENSORS)
    assert checkpoint.dtypes["brain"] == "BF16"
    assert checkpoint.metadata == {"modelspec.title": "t"}


@pytest.mark.parametrize("new_format", [True, False], ids=["zip", "bare pickle"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_pytorch_files_hold_what_was_written(tmp_path: Path, new_format: bool, wrapped: bool) -> None:
    tensors = {name: tensor for name, tensor in TENSORS.items() if new_format or name != "eight"}
    content: Any = {"state_dict": tensors, "global_step": 875000} if wrapped else OrderedDict(tensors)
    torch.save(content, tmp_path / "m.ckpt", _use_new_zipfile_serialization=new_format)
    _assert_holds(Checkpoint.open(tmp_path / "m.ckpt"), tensors)


def test_the_ending_of_the_name_does_not_matter(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "m.ckpt")
    torch.save(TENSORS, tmp_path / "m.safetensors")
    _assert_holds(Checkpoint.open(tmp_path / "m.ckpt"), TENSORS)
    _assert_holds(Checkpoint.open(tmp_path / "m.safetensors"), TENSORS)


def test_a_lightning_callback_among_the_weights_is_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original SD1 checkpoints name a class of pytorch_lightning beside the weights."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    callback = type("ModelCheckpoint", (), {"__module__": name})
    for module in ("pytorch_lightning", "pytorch_lightning.callbacks", name):
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    monkeypatch.setattr(sys.modules[name], "ModelCheckpoint", callback, raising=False)
    torch.save({"state_dict": TENSORS, "callbacks": {callback: {"best": 1}}}, tmp_path / "m.ckpt")
    _assert_holds(Checkpoint.open(tmp_path / "m.ckpt"), TENSORS)


@pytest.mark.parametrize("new_format", [True, False], ids=["zip", "bare pickle"])
def test_numbers_and_arrays_of_numpy_are_no_code(tmp_path: Path, new_format: bool) -> None:
    beside = {
        "loss": np.float64(0.25),
        "step": np.int64(3),
        "done": np.bool_(True),
        "name": np.str_("sd"),
        "half": np.float16(1),
        "kind": np.dtype(">f4"),
        "betas": np.linspace(0, 1, 4),
        "names": np.array(["a", None], dtype=object),
        "bytes": bytes(range(256)),
    }
    torch.save({"state_dict": TENSORS_OF_OLD, **beside}, tmp_path / "m.ckpt", _use_new_zipfile_serialization=new_format)
    _assert_holds(Checkpoint.open(tmp_path / "m.ckpt"), TENSORS_OF_OLD)


def test_numpy_numbers_written_before_numpy_2_are_no_code(tmp_path: Path) -> None:
    content = {"state_dict": TENSORS_OF_OLD, "loss": np.float64(0.25), "betas": np.ones(3)}
    torch.save(content, tmp_path / "m.ckpt", _use_new_zipfile_serialization=False)
    written = (tmp_path / "m.ckpt").read_bytes()
    assert b"cnumpy._core.multiarray\nscalar\n" in written
    (tmp_path / "m.ckpt").write_bytes(written.replace(b"cnumpy._core.", b"cnumpy.core."))
    _assert_holds(Checkpoint.open(tmp_path / "m.ckpt"), TENSORS_OF_OLD)


@pytest.mark.parametrize("new_format", [True, False])
def test_paths_and_defaultdicts_are_no_code(tmp_path: Path, new_format: bool) -> None:
    content = {
        "state_dict": {"w": torch.ones(3)},
        "paths": [tmp_path, PurePosixPath("/a/b"), PureWindowsPath("C:/a"), {1, 2}],
        "counts": [defaultdict(list, {"a": [1]}), defaultdict(int, {"a": 1}), defaultdict(None, {"a": 1})],
    }
    torch.save(content, tmp_path / "m.ckpt", _use_new_zipfile_serialization=new_format)
    assert torch.equal(Checkpoint.open(tmp_path / "m.ckpt").tensor("w"), torch.ones(3))


def test_code_inside_an_array_is_refused_and_not_executed(tmp_path: Path) -> None:
    array = np.array([_Payload(tmp_path / "executed")], dtype=object)
    torch.save({"state_dict": TENSORS_OF_OLD, "x": array}, tmp_path / "m.ckpt")
    assert "mkdir" in _complaint(tmp_path / "m.ckpt")
    assert not (tmp_path / "executed").exists()


def test_older_text_encoder_names_are_read_as_todays(tmp_path: Path) -> None:
    save_file({"cond_stage_model.transformer.encoder.layers.0.mlp.fc1.bias": torch.ones(2)}, tmp_path / "m.safetensors")
    checkpoint = Checkpoint.open(tmp_path / "m.safetensors")
    assert list(checkpoint.shapes) == ["cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.bias"]
    assert checkpoint.tensor(*checkpoint.shapes).tolist() == [1.0, 1.0]


class _Payload:
    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("new_format", [True, False], ids=["zip", "bare pickle"])
def test_code_is_refused_and_not_executed(tmp_path: Path, new_format: bool) -> None:
    content = {"state_dict": {"w": torch.ones(1)}, "x": _Payload(tmp_path / "executed")}
    torch.save(content, tmp_path / "m.ckpt", _use_new_zipfile_serialization=new_format)
    complaint = _complaint(tmp_path / "m.ckpt")
    assert "mkdir" in complaint
    assert "not executed" in complaint
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_plain_pickle_with_code_is_refused_and_not_executed(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "m.pt").write_bytes(pickle.dumps(_Payload(tmp_path / "executed"), protocol=protocol))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        complaint = _complaint(tmp_path / "m.pt")
    assert "weights_only" not in complaint  # torch's own message tells people to load it all the same
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\0" * 4096, "zeros"),
        (b"abc", "too short"),
        (b"\n<!DOCTYPE html><html><body>Please log in</body></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4265380512\n", "Git LFS"),
        (b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0", "GGUF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a model file"),
        (b"PK\x03\x04" + b"\xff" * 100, "damaged"),
        (b"\x80\x02}q\x00.", "damaged"),
        (b"\x80\x02", "damaged"),
    ],
)
def test_foreign_files_are_told_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "m.safetensors").write_bytes(content)
    assert said in _complaint(tmp_path / "m.safetensors")


@pytest.mark.parametrize(("content", "said"), [({"epoch": 3}, "without tensors"), ([1, 2], "expected a state dict")])
def test_pytorch_files_without_weights(tmp_path: Path, content: Any, said: str) -> None:
    torch.save(content, tmp_path / "m.pt")
    assert said in _complaint(tmp_path / "m.pt")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "No such file" in _complaint(tmp_path / "none.safetensors")
    assert "directory" in _complaint(tmp_path)


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        ({"w": _entry(0, 8)}, bytes(4), "truncated: tensor 'w' ends 4 bytes"),
        ({"v": _entry(0, 8), "w": _entry(4, 12)}, bytes(12), "'v' and 'w' overlap"),
        ({"w": _entry(4, 8)}, bytes(8), "belong to no tensor"),
        ({"w": _entry(0, 4)}, bytes(8), "belong to no tensor"),
        ({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, bytes(8), "offsets span 8"),
        ({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, bytes(8), "not sizes"),
        ({"w": {"dtype": "F32", "shape": ["2"], "data_offsets": [0, 8]}}, bytes(8), "not sizes"),
        ({"w": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}, bytes(8), "not sizes"),
        ({"w": {"dtype": "F31", "shape": [2], "data_offsets": [0, 8]}}, bytes(8), "unknown dtype"),
        ({"w": {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}}, bytes(8), "unknown dtype"),
        ({"w": {"dtype": "F32", "shape": [2]}}, bytes(8), "lacks"),
        ({"w": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}}, bytes(8), "lacks"),
        ({"w": 3}, bytes(8), "lacks"),
        ({"__metadata__": 3, "w": _entry(0, 8)}, bytes(8), "__metadata__"),
        (b'{"w": ', b"", "damaged"),
        (b'{"w": "\xff"}', b"", "damaged"),
        (b'{"w":' + b"[" * 100_000, b"", "damaged"),
    ],
)
def test_damaged_headers_name_the_place(tmp_path: Path, header: Any, data: bytes, said: str) -> None:
    assert said in _complaint(_written(tmp_path / "m.safetensors", header, data))


def test_every_truncation_of_a_sound_file_is_refused(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "m.safetensors")
    whole = (tmp_path / "m.safetensors").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.safetensors").write_bytes(whole[:length])
        _complaint(tmp_path / "cut.safetensors")


def test_truncated_pytorch_files_are_refused(tmp_path: Path) -> None:
    for new_format in (True, False):
        torch.save(TENSORS, tmp_path / "m.ckpt", _use_new_zipfile_serialization=new_format)
        whole = (tmp_path / "m.ckpt").read_bytes()
        for length in range(2, len(whole) - 1, len(whole) // 12):
            (tmp_path / "cut.ckpt").write_bytes(whole[:length])
            _complaint(tmp_path / "cut.ckpt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["safetensors", "zip", "bare pickle"])
def test_damaged_bytes_are_read_or_refused_and_nothing_else(tmp_path: Path, kind: str) -> None:
    tensors = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.float16)}
    if kind == "safetensors":
        save_file(tensors, tmp_path / "m.bin")
    else:
        torch.save(tensors, tmp_path / "m.bin", _use_new_zipfile_serialization=kind == "zip")
    whole, chance = (tmp_path / "m.bin").read_bytes(), random.Random(1)
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (tmp_path / "m.bin").write_bytes(damaged)
        with contextlib.suppress(CheckpointError):
            checkpoint = Checkpoint.open(tmp_path / "m.bin")
            assert [checkpoint.tensor(name).shape for name in checkpoint.shapes] == list(checkpoint.shapes.values())


def test_asking_for_a_tensor_that_is_not_there(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match="no tensor named 'third'"):
        Checkpoint.open(tmp_path / "m.safetensors").tensor("third")


def test_the_fingerprint_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file(TENSORS, path)
    before = fingerprint(path)
    assert before == Checkpoint.open(path).fingerprint
    os.utime(path, ns=(1, 1))
    assert fingerprint(path) != before


def test_reading_a_header_imports_no_torch(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "m.safetensors")
    program = (
        "import sys; from nodes.models.checkpoint import Checkpoint\n"
        "assert len(Checkpoint.open(sys.argv[1]).shapes) == 5\n"
        "assert not {'torch', 'numpy', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "m.safetensors")], check=True)
