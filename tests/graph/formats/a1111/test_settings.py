"""Settings of A1111's text that no node accepts, and the models that Civitai's settings name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graph.formats.a1111 import read_parameters
from graph.formats.a1111.model_files import ModelFiles, hashes_of
from graph.workflow import Workflow
from nodes.model_folders import folders as installation

WHOLE = "Sampler: Euler, RNG: CPU, Model: m"


def read(settings: str, prompt: str = "a cat") -> Workflow:
    return read_parameters(f"{prompt}\nSteps: 8, {settings}")


def inputs_of(workflow: Workflow, class_type: str) -> list[dict[str, Any]]:
    return [dict(node.inputs) for node in workflow.nodes.values() if node.class_type == class_type]


def notes_about(workflow: Workflow, name: str) -> list[str]:
    return [note for note in workflow.notes if note.startswith(name)]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "-3", "9" * 5000])
@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("Clip skip", ""),
        ("CFG scale", ""),
        ("Denoising strength", ""),
        ("Hires upscale", ""),
        ("Hires steps", ", Hires upscale: 2"),
        ("Hires CFG Scale", ", Hires upscale: 2"),
    ],
)
def test_numbers_that_no_node_accepts_are_listed_and_replaced(name: str, beside: str, value: str) -> None:
    found = read(f"{WHOLE}, Seed: 1, {name}: {value}{beside}")
    assert len(notes_about(found, f"{name}:")) == 1
    assert max(map(len, found.notes)) < 400
    for node in found.nodes.values():
        assert all(math.isfinite(value) for value in node.inputs.values() if isinstance(value, float))
    assert not inputs_of(found, "CLIPSetLastLayer")
    sampler = inputs_of(found, "KSampler")[-1]
    assert (sampler["steps"], sampler["cfg"], sampler["denoise"]) == (8, 7.0, 1.0)


@pytest.mark.parametrize("size", ["0x512", "512x0", "1000000x512", "8x8", f"{'9' * 5000}x1"])
@pytest.mark.parametrize("resize", ["", ", Hires resize: 1024x0"])
def test_sizes_that_no_node_accepts(size: str, resize: str) -> None:
    found = read(f"{WHOLE}, Seed: 1, Size: {size}{resize}")
    [latent] = inputs_of(found, "EmptyLatentImage")
    assert (latent["width"], latent["height"]) == (512, 512)
    assert len(notes_about(found, "Size:")) == 1
    assert [(each["width"], each["height"]) for each in inputs_of(found, "LatentUpscale")] == [(1024, 1024)] * bool(
        resize
    )


def test_a_second_pass_of_an_unusable_size_is_listed() -> None:
    found = read(f"{WHOLE}, Seed: 1, Size: 512x512, Hires upscale: 1000")
    assert len(inputs_of(found, "KSampler")) == 1
    assert notes_about(found, "Hires fix: 512000×512000")


def test_a_hires_resize_of_zero_leaves_the_size_to_the_factor() -> None:
    found = read(f"{WHOLE}, Seed: 1, Size: 512x512, Hires resize: 0x0, Hires upscale: 2")
    assert [(each["width"], each["height"]) for each in inputs_of(found, "LatentUpscale")] == [(1024, 1024)]
    assert not notes_about(found, "Hires")


@pytest.mark.parametrize("seed", ["-1", "-7", "18446744073709551616", "nan", "1.5", "9" * 5000])
def test_seeds_that_no_node_accepts(seed: str) -> None:
    found = read(f"{WHOLE}, Seed: {seed}")
    assert inputs_of(found, "KSampler")[0]["seed"] == 0
    assert len(notes_about(found, "Seed:")) == 1


@pytest.mark.parametrize("strength", ["nan", "inf", "1000"])
def test_lora_strengths_that_no_node_accepts(strength: str) -> None:
    found = read(f"{WHOLE}, Seed: 1", f"a cat <lora:x:{strength}>")
    [lora] = inputs_of(found, "LoraLoader")
    assert (lora["strength_model"], lora["strength_clip"]) == (1.0, 1.0)
    assert notes_about(found, f"<lora:x:{strength}>")


def test_what_is_missing_or_has_an_effect_is_listed() -> None:
    found = read("RNG: CPU, Model: m, Seed: 1, VAE hash: 0123456789, Hires Module 1: ae.safetensors")
    assert notes_about(found, "The text names no sampler; Euler is used.")
    assert notes_about(found, "VAE (hash 0123456789)")
    assert notes_about(found, "Hires Module 1: ae.safetensors is not converted.")
    assert not notes_about(read(f"{WHOLE}, Seed: 1, Hires Module 1: Use same choices"), "Hires Module 1")


class TestWithFiles:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        for number, name in enumerate(
            ["checkpoints/a.safetensors", "checkpoints/b.safetensors", "vae/v.safetensors", "loras/ink.safetensors"]
        ):
            path = tmp_path / "models" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"w": torch.full((4,), float(number))}, path)
        return tmp_path

    def read(self, root: Path, settings: str, prompt: str = "a cat") -> Workflow:
        text = f"{prompt}\nSteps: 8, Sampler: Euler, RNG: CPU, Seed: 1, {settings}"
        return read_parameters(text, ModelFiles(installation(root)))

    def digits(self, root: Path, name: str) -> str:
        return hashes_of(root / "models" / name).whole[:10]

    def test_hashes_name_the_model_and_the_vae(self, root: Path) -> None:
        model, vae = self.digits(root, "checkpoints/b.safetensors"), self.digits(root, "vae/v.safetensors")
        hashes = {"model": model, "vae": vae}
        found = self.read(root, f"Hashes: {json.dumps(hashes)}")
        assert inputs_of(found, "CheckpointLoaderSimple") == [{"ckpt_name": "b.safetensors"}]
        assert inputs_of(found, "VAELoader") == [{"vae_name": "v.safetensors"}]
        assert found.notes == ()

    def test_hashes_name_a_lora_of_the_prompt(self, root: Path) -> None:
        hashes = {"lora:Other": self.digits(root, "loras/ink.safetensors")}
        found = self.read(root, f"Model: a, Hashes: {json.dumps(hashes)}", "a cat <lora:Other:0.5>")
        assert [lora["lora_name"] for lora in inputs_of(found, "LoraLoader")] == ["ink.safetensors"]

    def test_a_vae_hash_alone_names_the_vae(self, root: Path) -> None:
        found = self.read(root, f"Model: a, VAE hash: {self.digits(root, 'vae/v.safetensors')}")
        assert inputs_of(found, "VAELoader") == [{"vae_name": "v.safetensors"}]

    def test_resources_of_civitai(self, root: Path) -> None:
        resources = [
            {"type": "checkpoint", "modelVersionId": 1, "hash": self.digits(root, "checkpoints/b.safetensors")},
            {"type": "lora", "weight": 0.7, "modelVersionId": 2, "modelName": "ink", "modelVersionName": "v1"},
            {"type": "lora", "weight": 0.2, "modelName": "elsewhere"},
            {"type": "embed", "modelName": "EasyNegative"},
        ]
        settings = f"Civitai resources: {json.dumps(resources)}, Civitai metadata: {{}}"
        found = self.read(root, settings)
        assert inputs_of(found, "CheckpointLoaderSimple") == [{"ckpt_name": "b.safetensors"}]
        [lora] = inputs_of(found, "LoraLoader")
        assert (lora["lora_name"], lora["strength_model"], lora["strength_clip"]) == ("ink.safetensors", 0.7, 0.7)
        assert [note for note in found.notes if "elsewhere" in note and "0.2" in note]
        assert [note for note in found.notes if "EasyNegative" in note]
        [lora] = inputs_of(self.read(root, settings, "a cat <lora:ink:0.4>"), "LoraLoader")
        assert lora["strength_model"] == 0.4

    @pytest.mark.parametrize("resources", ["something", "[1, 2]", '{"type": "lora"}'])
    def test_unreadable_resources_are_listed(self, root: Path, resources: str) -> None:
        found = self.read(root, f"Model: a, Civitai resources: {resources}")
        assert notes_about(found, "Civitai resources: ")
