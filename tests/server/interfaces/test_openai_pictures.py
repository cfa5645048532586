"""The workflows of OpenAI's requests draw with checkpoints of SD2 and SDXL, and with those for inpainting."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from graph import CacheSettings, Engine
from graph.events import Event, NodeOutput
from graph.results import files_in
from nodes.model_folders import folders as model_folders
from nodes.rooms import registry
from server.interfaces.checkpoints import read_checkpoint
from server.interfaces.openai.workflows import InputPicture, generation, redrawing
from tests.oracle.small_checkpoints import SD2, SDXL, Small
from tests.server.interfaces.test_openai_workflows import WANTED

ROOT = Path(__file__).parents[3]
INPAINTING = dataclasses.replace(SDXL, unet=dataclasses.replace(SDXL.unet, in_channels=9))
SIZE = (64, 64)


@pytest.mark.parametrize("small", [SD2, SDXL, INPAINTING], ids=["SD2", "SDXL", "inpainting"])
def test_each_kind_of_request_draws(tmp_path: Path, small: Small) -> None:
    folders = model_folders(tmp_path)
    for name in ("input", "models/checkpoints"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    path = small.write(tmp_path / "models" / "checkpoints" / "small.safetensors")
    embedded = load_file(ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors")
    autoencoder = {name: tensor for name, tensor in embedded.items() if name.startswith("first_stage_model.")}
    save_file({**load_file(path), **autoencoder}, path)
    original = Image.new("RGBA", SIZE, (0, 200, 0, 255))
    original.paste((0, 200, 0, 0), (32, 0, 64, 64))
    original.save(tmp_path / "input" / "masked.png")
    original.convert("RGB").save(tmp_path / "input" / "plain.png")
    checkpoint = read_checkpoint(folders, "small.safetensors")
    assert checkpoint.inpaints == (small is INPAINTING)
    wanted = dataclasses.replace(WANTED, size=SIZE, quality="low", n=2)
    edit, variation = (dataclasses.replace(wanted, task=task, prompt="") for task in ("edit", "variation"))
    masked, plain = InputPicture("masked.png", *SIZE, masked=True), InputPicture("plain.png", *SIZE)
    nodes = registry()
    drawings = [
        redrawing(nodes, checkpoint, edit, [masked], 3),
        generation(nodes, checkpoint, wanted, 3),
        redrawing(nodes, checkpoint, variation, [plain], 3),
    ]
    with Engine(nodes, folders=folders, cache=CacheSettings(disk=None)) as engine:
        for drawing in drawings:
            told: list[Event] = []
            engine.run(drawing.workflow, listener=told.append)
            files = [file for event in told if isinstance(event, NodeOutput) for file in files_in(event.ui)]
            pictures = [Image.open(folders.output / file.relative).convert("RGB") for file in files]
            assert [picture.size for picture in pictures] == [SIZE, SIZE]
            assert pictures[0].tobytes() != pictures[1].tobytes()
            if drawing is drawings[0]:
                kept = pictures[0].crop((0, 0, 32, 64))
                assert kept.getcolors() == [(32 * 64, (0, 200, 0))]
                assert len(pictures[0].crop((32, 0, 64, 64)).getcolors(5000) or []) > 5
