"""A small captioned dataset and a small untrained model, as files."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

from graph.errors import Interrupted
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.training.start import Sizes, write_random_model

COLOURS = {"red": (230, 30, 30), "green": (20, 190, 60), "blue": (30, 60, 220), "yellow": (240, 220, 40)}
SIZES = Sizes(channels=32, multipliers=(1, 2), text_width=64, text_layers=1, vae_widths=(32, 32, 32, 32))


class StoppedAt:
    """A context whose run is interrupted at a step."""

    def __init__(self, context, step):
        self._context, self._step = context, step

    def __getattr__(self, name):
        return getattr(self._context, name)

    def progress(self, value, maximum, preview=None):
        if value == self._step:
            raise Interrupted


@pytest.fixture
def dataset_folder(context) -> Path:
    """Squares of one colour in input/squares, captioned by metadata.jsonl."""
    folder = context.folders.input / "squares"
    folder.mkdir()
    lines = []
    for name, colour in COLOURS.items():
        PIL.Image.new("RGB", (32, 32), colour).save(folder / f"{name}.png")
        lines.append(json.dumps({"file_name": f"{name}.png", "text": name, "texts": [f"a {name} square"]}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def start(tmp_path):
    """MODEL, CLIP and VAE of a small checkpoint with random weights."""
    path = tmp_path / "start.safetensors"
    write_random_model(path, SIZES, seed=3)
    checkpoint = Checkpoint.open(path)
    return contents.model_in(checkpoint), contents.text_encoder_in(checkpoint), contents.vae_in(checkpoint)


def with_output(start, folder: Path):
    """Return the small model with a last layer that is not zero, since a zero layer blocks a LoRA's gradient."""
    checkpoint = Checkpoint.open(start[0].weights.path)
    tensors = {name: checkpoint.tensor(name).clone() for name in checkpoint.shapes}
    last = "model.diffusion_model.out.2.weight"
    tensors[last] = torch.randn(tensors[last].shape, generator=torch.Generator().manual_seed(8)) * 0.05
    save_file(tensors, folder / "model.safetensors")
    return (contents.model_in(Checkpoint.open(folder / "model.safetensors")), *start[1:])
