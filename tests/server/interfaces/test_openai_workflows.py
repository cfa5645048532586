"""The workflows that OpenAI's requests mean are valid, and fit the checkpoint's family."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graph.folders import Folders, ModelFolder
from graph.validation.validate import validate
from nodes.rooms import registry
from server.interfaces.checkpoints import Checkpoint, default_checkpoint, find_checkpoint, read_checkpoint
from server.interfaces.openai.parameters import ImageRequest
from server.interfaces.openai.workflows import Drawing, InputPicture, generation, redrawing

REGISTRY = registry()
TO_K = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
FIRST = "model.diffusion_model.input_blocks.0.0.weight"


def folders(base: Path) -> Folders:
    for name in ("input", "output", "temp", "user", "checkpoints"):
        (base / name).mkdir()
    models = {"checkpoints": ModelFolder((base / "checkpoints",), frozenset({".safetensors", ".ckpt"}))}
    return Folders(base / "input", base / "output", base / "temp", base / "user", models)


def checkpoint(place: Folders, name: str, text_width: int, inputs: int = 4, channels: int = 320, **notes: str) -> None:
    """Write a file whose header looks like a checkpoint's."""
    tensors = {FIRST: torch.zeros(channels, inputs, 3, 3), TO_K: torch.zeros(2, text_width)}
    metadata = {f"modelspec.{key}": value for key, value in notes.items()}
    save_file(tensors, place.models["checkpoints"].directories[0] / name, metadata)


@pytest.mark.parametrize(
    ("text_width", "options", "family", "side", "inpaints"),
    [
        (768, {}, "SD1", 512, False),
        (768, {"inputs": 9}, "SD1", 512, True),
        (1024, {}, "SD2", 768, False),
        (1024, {"resolution": "512x512"}, "SD2", 512, False),
        (2048, {}, "SDXL", 1024, False),
        (2048, {"resolution": "nonsense"}, "SDXL", 1024, False),
        (256, {"channels": 64}, None, 128, False),
        (333, {}, None, 512, False),
    ],
)
def test_a_checkpoint_is_known_by_its_header(
    tmp_path: Path, text_width: int, options: Any, family: str | None, side: int, inpaints: bool
) -> None:
    place = folders(tmp_path)
    checkpoint(place, "a.safetensors", text_width, **options)
    assert read_checkpoint(place, "a.safetensors") == Checkpoint("a.safetensors", family, side, inpaints)


def test_a_refiner_makes_no_picture_of_a_text(tmp_path: Path) -> None:
    place = folders(tmp_path)
    checkpoint(place, "refiner.safetensors", 1280)
    assert read_checkpoint(place, "refiner.safetensors").reason_not_to_run is not None
    (place.models["checkpoints"].directories[0] / "old.ckpt").write_bytes(b"PK")
    assert read_checkpoint(place, "old.ckpt").side == 512


def test_names_may_lack_ending_and_folder(tmp_path: Path) -> None:
    place = folders(tmp_path)
    assert default_checkpoint(place) is None
    (place.models["checkpoints"].directories[0] / "sd").mkdir()
    for name in ("b.safetensors", "sd/photo.v2.safetensors", "a.ckpt"):
        (place.models["checkpoints"].directories[0] / name).write_bytes(b"")
    for name in ("sd/photo.v2.safetensors", "sd/photo.v2", "photo.v2"):
        assert find_checkpoint(place, name) == "sd/photo.v2.safetensors"
    assert find_checkpoint(place, "photo") is None and default_checkpoint(place) == "a.ckpt"


@pytest.mark.parametrize(
    ("size", "scaled"), [((100, 100), (512, 512)), ((2000, 1000), (728, 360)), ((10, 10_000), (64, 4096))]
)
def test_a_picture_keeps_its_shape_at_the_models_area(size: tuple[int, int], scaled: tuple[int, int]) -> None:
    assert Checkpoint("a", "SD1", 512, False).size_like(*size) == scaled


WANTED = ImageRequest(
    task="generation", model=None, prompt="a cat", n=2, size=None, quality="auto", response_format="b64_json",
    output_format="png", compression=None, seed=1, stream=False, partial_images=0, denoise=0.75,
)  # fmt: skip


def classes(drawing: Drawing) -> list[str]:
    assert validate(drawing.workflow, REGISTRY, run_custom=False) == []
    assert drawing.workflow.editor is not None
    assert all(drawing.workflow.nodes[node].class_type == "SaveImage" for node in drawing.outputs)
    return [node.class_type for node in drawing.workflow.nodes.values()]


@pytest.mark.parametrize("inpaints", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_every_workflow_is_valid(inpaints: bool, n: int) -> None:
    model = Checkpoint("a.safetensors", "SD1", 512, inpaints)
    wanted = dataclasses.replace(WANTED, n=n)
    drawing = generation(REGISTRY, model, wanted, 5)
    assert drawing.size == (512, 512) and "EmptyLatentImage" in classes(drawing)
    pictures = [InputPicture("a.png", 64, 64, masked=True), InputPicture("b.png", 64, 64)]
    drawing = redrawing(REGISTRY, model, dataclasses.replace(wanted, task="edit"), pictures, 2**64 - 1)
    found = classes(drawing)
    assert len(drawing.outputs) == 2 and ("InpaintModelConditioning" in found) == inpaints
    assert ("SetLatentNoiseMask" in found) != inpaints and ("RepeatLatentBatch" in found) == (n > 1)
    seeds = [node.inputs["seed"] for node in drawing.workflow.nodes.values() if node.class_type == "KSampler"]
    assert seeds == [2**64 - 1, 0]
    drawing = redrawing(REGISTRY, model, dataclasses.replace(wanted, task="variation"), pictures[1:], 5)
    assert ("SolidMask" in classes(drawing)) == inpaints
    assert "ImageCompositeMasked" not in classes(drawing)
