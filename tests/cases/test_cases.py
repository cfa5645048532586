"""Small workflows of kinds that once failed, run with the embedded model."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import graph
from graph.events import NodeText
from graph.folders import Folders
from nodes import registry
from nodes.model_folders import folders as installation
from nodes.pictures.loading import load_channel, load_image

CASES = Path(__file__).parent
ROOT = CASES.parents[1]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = installation(tmp_path, models=ROOT / "models")
    found.input.mkdir()
    return found


@pytest.fixture
def engine(folders: Folders) -> Iterator[graph.Engine]:
    with graph.Engine(registry(), folders=folders) as engine:
        yield engine


def ran(engine: graph.Engine, name: str, folders: Folders) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what each output node of the case shows, and the texts on its nodes."""
    workflow = graph.load(CASES / name, registry())
    assert graph.validate(workflow, registry(), folders=folders) == []
    texts: dict[str, str] = {}

    def listen(event: Any) -> None:
        if isinstance(event, NodeText):
            texts[event.node_id] = event.text

    return dict(engine.run(workflow, listener=listen).outputs), texts


def saved(outputs: dict[str, Any], folders: Folders) -> tuple[Path, dict[str, Any]]:
    """Return the saved picture and the workflow in its metadata."""
    [file] = outputs["7"]["images"]
    path = folders.output / file["subfolder"] / file["filename"]
    with PIL.Image.open(path) as picture:
        return path, json.loads(picture.info["prompt"])


def test_the_fields_of_a_compressed_subgraph_node_arrive(engine: graph.Engine, folders: Folders) -> None:
    outputs, _ = ran(engine, "subgraph_compressed.json", folders)
    assert outputs["3"]["text"] == ["field of the subgraph node+linked"]


def test_the_numbers_of_a_compressed_subgraph_node_arrive(engine: graph.Engine, folders: Folders) -> None:
    outputs, _ = ran(engine, "subgraph_compressed_numbers.json", folders)
    _, prompt = saved(outputs, folders)
    [sampler] = [node["inputs"] for node in prompt.values() if node["class_type"] == "KSampler"]
    assert (sampler["seed"], sampler["steps"]) == (4711, 3)


def test_a_group_node_runs(engine: graph.Engine, folders: Folders) -> None:
    outputs, _ = ran(engine, "group_node.json", folders)
    _, prompt = saved(outputs, folders)
    [sampler] = [node["inputs"] for node in prompt.values() if node["class_type"] == "KSampler"]
    wanted = {"seed": 555, "steps": 4, "sampler_name": "heun", "scheduler": "karras", "cfg": 5.5}
    assert wanted.items() <= sampler.items()


def test_file_names_are_filled_in_without_an_editor(engine: graph.Engine, folders: Folders) -> None:
    days = [time.strftime("%Y-%m-%d")]
    outputs, _ = ran(engine, "date_in_names_editor.json", folders)
    days.append(time.strftime("%Y-%m-%d"))
    path, _ = saved(outputs, folders)
    assert path in [folders.output / day / "s1_128_00001_.png" for day in days] and path.is_file()


def test_the_size_of_a_photo_is_rounded_down_and_the_node_says_so(
    engine: graph.Engine, folders: Folders, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(CASES / "odd.png", folders.input)
    outputs, texts = ran(engine, "size_of_a_photo.json", folders)
    path, _ = saved(outputs, folders)
    with PIL.Image.open(path) as picture:
        assert picture.size == (128, 112)
    warning = "131×117 was rounded down to 128×112: sizes are multiples of 8"
    assert texts["4"] == warning and warning in caplog.text


def test_inputs_that_were_added_later_take_their_default(engine: graph.Engine, folders: Folders) -> None:
    outputs, _ = ran(engine, "tiled_without_overlap.json", folders)
    path, _ = saved(outputs, folders)
    with PIL.Image.open(path) as picture:
        assert picture.size == (128, 128)


def test_a_phone_photo_is_upright() -> None:
    image, _ = load_image(CASES / "exif6.jpg")
    assert image.shape == (1, 64, 32, 3)


def test_a_jpeg_without_its_tail_is_read_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        image, _ = load_image(CASES / "j_cut10.jpg")
    with PIL.Image.open(CASES / "j_cut10.jpg") as picture:
        width, height = picture.size
    assert image.shape == (1, height, width, 3)
    top = image[0, : height // 2]
    assert top.std() > 0.01, "the pixels that are there"
    assert "j_cut10.jpg is damaged" in caplog.text


def test_a_png_with_a_damaged_text_is_read_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        image, _ = load_image(CASES / "p_badtext.png")
        channel = load_channel(CASES / "p_badtext.png", "red")
    assert image.ndim == 4 and torch.equal(channel, image[..., 0])
    assert "p_badtext.png is damaged (a part has a wrong checksum)" in caplog.text


def test_a_float_tiff_keeps_its_values() -> None:
    image, _ = load_image(CASES / "float.tif")
    with PIL.Image.open(CASES / "float.tif") as picture:
        values = torch.from_numpy(np.array(picture))
    assert values.min() == 0 and values.max() == 1
    for channel in range(3):
        assert torch.equal(image[0, ..., channel], values)
