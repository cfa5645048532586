"""Latents in files that ComfyUI reads and writes too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from graph.errors import InputFileError
from nodes.latent import nodes
from nodes.latent.files import load_latent
from nodes.pictures import metadata

SAMPLES = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))


def test_a_latent_comes_back_bit_for_bit(context: Any) -> None:
    ui = nodes.save_latent(samples={"samples": SAMPLES}, context=context).ui
    assert ui == {"latents": [{"filename": "ComfyUI_00001_.latent", "subfolder": "latents", "type": "output"}]}
    loaded = nodes.load_latent(latent="latents/ComfyUI_00001_.latent [output]", context=context)
    assert torch.equal(loaded["samples"], SAMPLES)


def test_the_file_is_comfyuis(context: Any) -> None:
    half = SAMPLES.permute(0, 1, 3, 2).to(torch.bfloat16)
    nodes.save_latent(
        samples={"samples": half}, filename_prefix="x", prompt={"1": {}}, extra_pnginfo={"workflow": {"a": "é"}},
        context=context,
    )  # fmt: skip
    with safe_open(context.folders.output / "x_00001_.latent", "pt") as file:
        assert set(file.keys()) == {"latent_tensor", "latent_format_version_0"}
        assert file.get_tensor("latent_tensor").dtype == torch.float32
        assert torch.equal(file.get_tensor("latent_tensor"), half.float())
        assert file.get_tensor("latent_format_version_0").numel() == 0
        texts = {key: json.loads(text) for key, text in file.metadata().items()}
    assert texts == {"prompt": {"1": {}}, "workflow": {"a": "é"}}


def test_metadata_can_be_left_out(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "enabled", False)
    nodes.save_latent(samples={"samples": SAMPLES}, filename_prefix="x", prompt={"1": {}}, context=context)
    with safe_open(context.folders.output / "x_00001_.latent", "pt") as file:
        assert file.metadata() is None


def test_old_files_are_unscaled(tmp_path: Path) -> None:
    safetensors.torch.save_file({"latent_tensor": SAMPLES}, tmp_path / "old.latent")
    torch.testing.assert_close(load_latent(tmp_path / "old.latent"), SAMPLES / 0.18215)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not safetensors",
        safetensors.torch.save({"latent_tensor": SAMPLES})[:-8],
        safetensors.torch.save({"something": SAMPLES}),
        safetensors.torch.save({"latent_tensor": SAMPLES[0]}),
    ],
)
def test_what_is_no_latent_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.latent").write_bytes(content)
    with pytest.raises(InputFileError, match=r"bad\.latent"):
        load_latent(tmp_path / "bad.latent")


def test_only_latents_are_offered(context: Any) -> None:
    for name in ("a.latent", "b.png", "c.LATENT"):
        (context.folders.input / name).touch()
    declared = nodes.load_latent.node_type.by_name["latent"]  # type: ignore[attr-defined]
    assert context.folders.names(declared.files, declared.file_endings) == ["a.latent", "c.LATENT"]
