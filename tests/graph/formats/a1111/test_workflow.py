"""The workflow that A1111's parameters become: nodes, values, models by name or hash, and what is listed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import graph
from graph.folders import Folders
from graph.formats.a1111 import read_parameters
from graph.formats.a1111.model_files import HASHES, ModelFiles, hashes_of
from graph.workflow import Link, Workflow
from nodes import registry
from nodes.model_folders import folders as installation

GPU_NOISE = "A1111 drew the noise on the GPU"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """An installation with small files of every kind."""
    found = installation(tmp_path)
    for number, (folder, name) in enumerate(
        [
            ("checkpoints", "sd15/v1-5-pruned-emaonly.safetensors"),
            ("checkpoints", "Deliberate_v2.safetensors"),
            ("loras", "ink.safetensors"),
            ("loras", "styles/Line Art.safetensors"),
            ("vae", "vae-ft-mse-840000-ema-pruned.safetensors"),
            ("upscale_models", "RealESRGAN_x4plus.pth"),
            ("embeddings", "EasyNegative.safetensors"),
        ]
    ):
        path = tmp_path / "models" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"w": torch.full((4,), float(number))}, path)
    return found


def nodes_of(workflow: Workflow, class_type: str) -> list[dict[str, Any]]:
    return [dict(node.inputs) for node in workflow.nodes.values() if node.class_type == class_type]


def only(workflow: Workflow, class_type: str) -> dict[str, Any]:
    [found] = nodes_of(workflow, class_type)
    return found


def source(workflow: Workflow, link: Link) -> str:
    return workflow.nodes[link.node].class_type


def read(settings: str, folders: Folders | None = None, prompt: str = "a cat", negative: str = "dog") -> Workflow:
    return read_parameters(f"{prompt}\nNegative prompt: {negative}\n{settings}", ModelFiles(folders))


def listed(workflow: Workflow) -> list[str]:
    return [note for note in workflow.notes if not note.startswith(GPU_NOISE)]


def test_text_to_image(folders: Folders) -> None:
    found = read(
        "Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 18446744073709551615, "
        "Size: 512x768, Model hash: 0000000000, Model: v1-5-pruned-emaonly, Clip skip: 2, Version: v1.9.4",
        folders,
    )
    sampler = only(found, "KSampler")
    assert {name: value for name, value in sampler.items() if not isinstance(value, Link)} == {
        "seed": 2**64 - 1,
        "steps": 25,
        "cfg": 6.5,
        "sampler_name": "dpmpp_2m",
        "scheduler": "karras",
        "denoise": 1.0,
    }
    assert only(found, "EmptyLatentImage") == {"width": 512, "height": 768, "batch_size": 1}
    assert only(found, "CheckpointLoaderSimple") == {"ckpt_name": "sd15/v1-5-pruned-emaonly.safetensors"}
    assert only(found, "CLIPSetLastLayer")["stop_at_clip_layer"] == -2
    positive, negative = (found.nodes[sampler[side].node].inputs for side in ("positive", "negative"))
    assert (positive["text"], negative["text"]) == ("a cat", "dog")
    assert source(found, positive["clip"]) == "CLIPSetLastLayer"
    assert listed(found) == []
    assert graph.validate(found, registry(), folders=folders) == []


@pytest.mark.parametrize("digits", [8, 10, 12, 64])
def test_a_model_is_found_by_every_hash(folders: Folders, digits: int) -> None:
    path = folders.find("checkpoints", "Deliberate_v2.safetensors")
    data = path.read_bytes()
    header = int.from_bytes(data[:8], "little")
    assert hashes_of(path) == (
        hashlib.sha256(data).hexdigest(),
        hashlib.sha256(data[8 + header :]).hexdigest(),
        hashlib.sha256(data[0x100000:0x110000]).hexdigest(),
    )
    for known in hashes_of(path)[:2]:
        found = read(f"Steps: 20, Sampler: Euler, Seed: 1, Model hash: {known[:digits]}, Model: renamed", folders)
        assert only(found, "CheckpointLoaderSimple")["ckpt_name"] == "Deliberate_v2.safetensors"
        assert listed(found) == []


def test_the_first_hash_is_of_64_kib_behind_the_first_mib(folders: Folders) -> None:
    path = folders.find("checkpoints", "Deliberate_v2.safetensors").with_name("large.ckpt")
    path.write_bytes(bytes(range(256)) * 5000)
    digits = hashlib.sha256(path.read_bytes()[0x100000:0x110000]).hexdigest()[:8]
    found = read(f"Steps: 20, Sampler: Euler, Seed: 1, Model hash: {digits}", folders)
    assert only(found, "CheckpointLoaderSimple")["ckpt_name"] == "large.ckpt"


def test_hashes_are_computed_only_when_no_name_matches_and_only_once(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    read("Steps: 20, Sampler: Euler, Seed: 1, Model hash: 0123456789, Model: Deliberate_v2", folders)
    assert not (folders.user / HASHES).exists()
    wanted = hashes_of(folders.find("checkpoints", "Deliberate_v2.safetensors")).whole
    for _ in range(2):
        assert ModelFiles(folders).find("checkpoints", "other", wanted[:10]) == "Deliberate_v2.safetensors"
        monkeypatch.setattr("graph.formats.a1111.model_files.hashes_of", lambda path: pytest.fail("computed again"))
    assert len(json.loads((folders.user / HASHES).read_text())) >= 1


def test_files_that_there_was_no_time_to_hash_are_counted(folders: Folders) -> None:
    files = ModelFiles(folders, seconds=-1)
    found = read_parameters("a\nSteps: 20, Sampler: Euler, Seed: 1, Model hash: 0123456789", files)
    assert listed(found) == [
        "Model (hash 0123456789) is not in the folder models/checkpoints (2 files have not been hashed yet)."
    ]


def test_a_damaged_memory_of_hashes_is_replaced(folders: Folders) -> None:
    folders.user.mkdir(exist_ok=True)
    (folders.user / HASHES).write_text("[1")
    wanted = hashes_of(folders.find("checkpoints", "Deliberate_v2.safetensors")).whole
    assert ModelFiles(folders).find("checkpoints", "", wanted) == "Deliberate_v2.safetensors"
    assert isinstance(json.loads((folders.user / HASHES).read_text()), dict)


def test_files_of_one_name_are_told_apart_by_hash(folders: Folders) -> None:
    path = folders.find("checkpoints", "Deliberate_v2.safetensors")
    other = path.parent / "a" / path.name
    other.parent.mkdir()
    save_file({"w": torch.ones(9)}, other)
    for file, expected in ((path, path.name), (other, f"a/{path.name}")):
        digits = hashes_of(file).whole[:10]
        assert ModelFiles(folders).find("checkpoints", "Deliberate_v2", digits) == expected


def test_a_model_that_is_not_there_keeps_its_name_and_is_listed(folders: Folders) -> None:
    found = read("Steps: 20, Sampler: Euler, Seed: 1, Model hash: 0123456789, Model: dreamshaper_8", folders)
    assert only(found, "CheckpointLoaderSimple")["ckpt_name"] == "dreamshaper_8.safetensors"
    assert listed(found) == ["Model “dreamshaper_8” (hash 0123456789) is not in the folder models/checkpoints."]
    [problem] = graph.validate(found, registry(), folders=folders)
    assert "dreamshaper_8" in str(problem)


def test_without_a_model_the_first_one_is_used_and_listed(folders: Folders) -> None:
    found = read("Steps: 20, Sampler: Euler, Seed: 1", folders)
    assert only(found, "CheckpointLoaderSimple")["ckpt_name"] == "Deliberate_v2.safetensors"
    assert listed(found) == ["The text names no model; “Deliberate_v2.safetensors” is used."]


def test_loras_are_chained_before_the_clip_skip(folders: Folders) -> None:
    lora = hashes_of(folders.find("loras", "styles/Line Art.safetensors"))
    found = read(
        "Steps: 20, Sampler: Euler, Seed: 1, Model: Deliberate_v2, Clip skip: 2, RNG: CPU, "
        f'Lora hashes: "renamed: {lora.tensors[:12]}, ink: 000000000000"',
        folders,
        prompt="a cat <lora:ink:0.8> <lora:renamed:0.5:1>",
    )
    assert listed(found) == []
    first, second = nodes_of(found, "LoraLoader")
    assert (first["lora_name"], first["strength_model"], first["strength_clip"]) == ("ink.safetensors", 0.8, 0.8)
    assert (second["lora_name"], second["strength_model"], second["strength_clip"]) == (
        "styles/Line Art.safetensors",
        1.0,
        0.5,
    )
    assert source(found, first["model"]) == "CheckpointLoaderSimple"
    assert source(found, second["model"]) == source(found, second["clip"]) == "LoraLoader"
    assert source(found, only(found, "CLIPSetLastLayer")["clip"]) == "LoraLoader"
    assert source(found, only(found, "KSampler")["model"]) == "LoraLoader"
    assert nodes_of(found, "CLIPTextEncode")[0]["text"] == "a cat"
    assert graph.validate(found, registry(), folders=folders) == []


def test_a_missing_lora_stays_and_is_listed(folders: Folders) -> None:
    found = read("Steps: 20, Sampler: Euler, Seed: 1, Model: Deliberate_v2", folders, prompt="<lora:gone:1> a")
    assert only(found, "LoraLoader")["lora_name"] == "gone.safetensors"
    assert listed(found) == ["LoRA “gone” is not in the folder models/loras."]


def test_a_vae_of_its_own_decodes(folders: Folders) -> None:
    usual = "Steps: 20, Sampler: Euler, Seed: 1, Model: Deliberate_v2"
    found = read(f"{usual}, VAE hash: 0123456789, VAE: vae-ft-mse-840000-ema-pruned.safetensors", folders)
    assert only(found, "VAELoader") == {"vae_name": "vae-ft-mse-840000-ema-pruned.safetensors"}
    assert source(found, only(found, "VAEDecode")["vae"]) == "VAELoader"
    for none in ("Automatic", "None"):
        assert nodes_of(read(f"{usual}, VAE: {none}", folders), "VAELoader") == []


def test_break_joins_conditionings(folders: Folders) -> None:
    found = read("Steps: 20, Sampler: Euler, Seed: 1, Model: Deliberate_v2", folders, prompt="a BREAK b BREAK c")
    assert [node["text"] for node in nodes_of(found, "CLIPTextEncode")] == ["a", "b", "c", "dog"]
    assert len(nodes_of(found, "ConditioningConcat")) == 2
    assert graph.validate(found, registry(), folders=folders) == []
    assert source(found, only(found, "KSampler")["positive"]) == "ConditioningConcat"


def test_embeddings_are_those_that_the_text_lists(folders: Folders) -> None:
    usual = "Steps: 20, Sampler: Euler, Seed: 1, Model: Deliberate_v2"
    versions = {
        f"{usual}": "embedding:EasyNegative, ugly",
        f"{usual}, Version: v1.6.0": "easynegative, ugly",
        f'{usual}, TI hashes: "easynegative: 66a7279a88dd", Version: v1.6.0': "embedding:EasyNegative, ugly",
    }
    for settings, expected in versions.items():
        found = read(settings, folders, negative="easynegative, ugly")
        assert nodes_of(found, "CLIPTextEncode")[1]["text"] == expected
    found = read(f'{usual}, TI hashes: "ugly: 66a7279a88dd"', folders, negative="easynegative, ugly")
    assert nodes_of(found, "CLIPTextEncode")[1]["text"] == "easynegative, embedding:ugly"
    assert listed(found) == ["Embedding “ugly” (hash 66a7279a88dd) is not in the folder models/embeddings."]


HIRES = (
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x768, Model: Deliberate_v2, Denoising strength: 0.4"
)


def test_hires_fix_in_the_latent(folders: Folders) -> None:
    found = read(f"{HIRES}, Hires upscale: 1.5, Hires steps: 12, Hires upscaler: Latent (nearest-exact)", folders)
    scaled = only(found, "LatentUpscale")
    assert (scaled["upscale_method"], scaled["width"], scaled["height"]) == ("nearest-exact", 768, 1152)
    first, second = nodes_of(found, "KSampler")
    assert (first["steps"], first["denoise"], second["steps"], second["denoise"]) == (20, 1.0, 12, 0.4)
    same = ("seed", "cfg", "sampler_name", "scheduler", "positive", "negative", "model")
    assert all(first[name] == second[name] for name in same)
    assert source(found, second["latent_image"]) == "LatentUpscale"
    assert found.nodes[only(found, "VAEDecode")["samples"].node].title == "Hires fix"
    assert graph.validate(found, registry(), folders=folders) == []
    assert listed(found) == []


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("Hires resize: 1024x1536", (1024, 1536)),
        ("Hires resize: 1024x0", (1024, 1536)),
        ("Hires resize: 0x1536", (1024, 1536)),
        ("Hires upscale: 2", (1024, 1536)),
        ("Hires upscale: 1.3", (664, 992)),
    ],
)
def test_hires_fix_to_a_size(folders: Folders, resize: str, expected: tuple[int, int]) -> None:
    scaled = only(read(f"{HIRES}, {resize}, Hires upscaler: Latent", folders), "LatentUpscale")
    assert (scaled["width"], scaled["height"], scaled["upscale_method"]) == (*expected, "bilinear")


def test_hires_fix_by_a_model(folders: Folders) -> None:
    found = read(f"{HIRES}, Hires upscale: 2, Hires upscaler: R-ESRGAN 4x+", folders)
    assert only(found, "UpscaleModelLoader") == {"model_name": "RealESRGAN_x4plus.pth"}
    scaled = only(found, "ImageScale")
    assert source(found, scaled["image"]) == "ImageUpscaleWithModel"
    assert (scaled["width"], scaled["height"], scaled["upscale_method"]) == (1024, 1536, "lanczos")
    assert source(found, nodes_of(found, "KSampler")[1]["latent_image"]) == "VAEEncode"
    assert nodes_of(found, "KSampler")[1]["steps"] == 20
    assert graph.validate(found, registry(), folders=folders) == []
    missing = read(f"{HIRES}, Hires upscale: 2, Hires upscaler: 4x-UltraSharp", folders)
    assert listed(missing) == ["Upscaler “4x-UltraSharp” is not in the folder models/upscale_models."]
    plain = read(f"{HIRES}, Hires upscale: 2, Hires upscaler: Lanczos", folders)
    assert nodes_of(plain, "UpscaleModelLoader") == [] and only(plain, "ImageScale")["upscale_method"] == "lanczos"


def test_hires_fix_with_its_own_prompts_and_sampler(folders: Folders) -> None:
    found = read(
        f'{HIRES}, Hires upscale: 2, Hires upscaler: Latent, Hires prompt: "sharp, cat", Hires CFG Scale: 4, '
        "Hires sampler: DPM++ 2M, Hires schedule type: Karras",
        folders,
    )
    first, second = nodes_of(found, "KSampler")
    assert (second["cfg"], second["sampler_name"], second["scheduler"]) == (4.0, "dpmpp_2m", "karras")
    assert found.nodes[second["positive"].node].inputs["text"] == "sharp, cat"
    assert second["negative"] == first["negative"]


def test_hires_fix_as_it_was_before_2023(folders: Folders) -> None:
    found = read(
        "Steps: 20, Sampler: DDIM, CFG scale: 7, Seed: 5, Size: 1024x1024, Model: Deliberate_v2, "
        "Denoising strength: 0.7, First pass size: 512x512",
        folders,
    )
    assert only(found, "EmptyLatentImage")["width"] == 512
    assert only(found, "LatentUpscale")["width"] == 1024
    assert nodes_of(found, "KSampler")[1]["denoise"] == 0.7


def test_what_has_no_counterpart_is_listed(folders: Folders) -> None:
    found = read(
        "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512, Model: Deliberate_v2, ENSD: 31337, "
        "Variation seed: 3, Variation seed strength: 0.2, Tiling: True, Denoising strength: 0.5, Mask blur: 4, "
        'ControlNet 0: "Module: canny, Model: x", Eta: 0, Version: v1.6.0',
        folders,
        prompt="(a:1.2) [b:c:0.5]",
        negative="dog <lora:x:1>",
    )
    assert listed(found) == [
        "[b:c:0.5] changes the prompt during sampling; “b” is used throughout.",
        "LoRAs in the negative prompt have no effect and were removed.",
        "Weighted words differ slightly: A1111 keeps the mean of the text's vectors.",
        "ENSD: 31337 is not converted: the noise of each step differs.",
        "Denoising strength 0.5: the picture was made from another one, which it does not contain. "
        "The workflow makes it from the text alone.",
        "Variation seed: 3 is not converted.",
        "Variation seed strength: 0.2 is not converted.",
        "Tiling: True is not converted.",
        "Mask blur: 4 is not converted.",
        "ControlNet 0: Module: canny, Model: x is not converted.",
    ]
    assert len(found.notes) == len(listed(found)) + 1


def test_values_that_make_no_sense_are_listed(folders: Folders) -> None:
    found = read("Steps: 20, Sampler: Euler, CFG scale: high, Seed: x, Size: big, Model: Deliberate_v2", folders)
    assert listed(found) == [
        "Size: “big” is not a size such as 512x768.",
        "Seed: “x” is not a whole number; 0 is used.",
        "CFG scale: “high” is not a number; 7 is used.",
    ]
    assert graph.validate(found, registry(), folders=folders) == []
