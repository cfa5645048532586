"""The script that makes small model files, and the example workflows that use them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import graph
from graph.events import NodeStarted
from models import make_example_files
from nodes import device, registry
from nodes.control.loading import control_in
from nodes.model_folders import folders
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def precision() -> Iterator[None]:
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with the embedded model and the example files."""
    base = tmp_path_factory.mktemp("installation")
    make_example_files.make(base / "models")
    shutil.copy(make_example_files.EMBEDDED, base / "models/checkpoints")
    shutil.copy(make_example_files.HERE / "loras" / "sumi-tiny-lcm.safetensors", base / "models/loras")
    return base


def small(name: str) -> dict[str, Any]:
    """An example with two steps of a small picture."""
    workflow: dict[str, Any] = json.loads((ROOT / "workflows" / f"{name}.json").read_text())
    for node in workflow["nodes"]:
        if node["type"] == "KSampler":
            node["widgets_values"][2] = 2
        elif node["type"] == "EmptyLatentImage":
            node["widgets_values"] = [64, 64, 1]
    return workflow


def run(base: Path, workflow: dict[str, Any]) -> list[str]:
    """The classes of the nodes that had to run."""
    started: list[str] = []

    def listen(event: Any) -> None:
        if isinstance(event, NodeStarted):
            started.append(event.class_type)

    settings = graph.CacheSettings(disk=base / "cache")
    with graph.Engine(registry(), folders=folders(base), cache=settings) as engine:
        engine.run(graph.load(workflow, registry()), listener=listen)
    return started


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("controlnet", "ControlNetApplyAdvanced"),
        ("unclip", "unCLIPConditioning"),
        ("lcm", "LoraLoaderModelOnly"),
        ("lora", "LoraLoader"),
        ("two_loras", "LoraLoader"),
        ("textual_inversion", "CLIPTextEncode"),
        ("merging", "ModelMergeSimple"),
        ("upscale_model", "ImageUpscaleWithModel"),
        ("sdxl_base_and_refiner", "KSamplerAdvanced"),
    ],
)
def test_examples_run_and_a_new_process_finds_their_results(name: str, kind: str, base: Path) -> None:
    started = run(base, small(name))
    assert kind in started and started.count("VAEDecode") >= 1
    (path,) = (base / "output").glob(f"{name}_*.png")
    with Image.open(path) as picture:
        assert (
            picture.size == ((128, 128) if name == "upscale_model" else (64, 64))
            and len(set(picture.convert("L").tobytes())) > 10
        )
    assert not {"KSampler", "KSamplerAdvanced"} & set(run(base, small(name)))


def test_the_controlnet_fits_the_embedded_model(base: Path) -> None:
    control = control_in(Checkpoint.open(base / "models/controlnet/example_controlnet.safetensors"))
    control.check(model_in(Checkpoint.open(make_example_files.EMBEDDED)))
