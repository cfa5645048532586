"""Datasets from pictures of a workflow, samples at fixed steps, and the film of a run."""

from __future__ import annotations

import json

import pytest
import torch

from nodes.pictures.pixels import to_bytes
from nodes.training import dataset_nodes, nodes
from nodes.training.errors import DatasetError, TrainingError
from nodes.training.film import row_names, sample_grids
from nodes.training.pictures import load_picture
from tests.nodes.training.test_training_nodes import train


def captioned(context, pictures, captions, name="run"):
    return dataset_nodes.caption_pictures(images=pictures, captions=captions, name=name, context=context)


def test_pictures_of_a_workflow_become_a_dataset(context):
    pictures = torch.rand(3, 16, 24, 3, generator=torch.Generator().manual_seed(1))
    dataset = captioned(context, pictures, "a red apple\n\n 熊猫 \na car\n")
    assert dataset.folder == context.folders.output / "training" / "run" / "pictures"
    assert [example.captions for example in dataset.examples] == [("a red apple",), ("熊猫",), ("a car",)]
    for example, picture in zip(dataset.examples, pictures, strict=True):
        assert (to_bytes(load_picture(example.picture)) == to_bytes(picture)).all()
    lines = (dataset.folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["a red apple", "熊猫", "a car"]


def test_the_same_pictures_are_the_same_dataset(context):
    pictures = torch.rand(2, 8, 8, 3, generator=torch.Generator().manual_seed(1))
    first = captioned(context, pictures, "one caption for all")
    assert captioned(context, pictures, "one caption for all") == first
    assert [example.captions for example in first.examples] == [("one caption for all",)] * 2
    other = captioned(context, 1 - pictures, "one caption for all")
    assert other.fingerprint != first.fingerprint and len(other.examples) == 2


@pytest.mark.parametrize("captions", ["", "one\ntwo"])
def test_another_number_of_captions_is_refused(context, captions):
    with pytest.raises(DatasetError, match="expected one line for each picture, or one for all"):
        captioned(context, torch.zeros(3, 8, 8, 3), captions)


@pytest.mark.slow
def test_a_run_is_a_film(context, start):
    pictures = torch.zeros(2, 32, 32, 3)
    pictures[0, ..., 0] = pictures[1, ..., 2] = 1
    dataset = captioned(context, pictures, "red\nblue")
    data = dataset_nodes.encode_dataset(dataset=dataset, vae=start[2], name="run", width=64, height=64, context=context)
    trained = train(context, start, data, steps=5, sample_prompts="red\nblue", sample_steps=2, sample_minutes=1440.0)
    folder = context.folders.output / "training" / "run"
    assert [step for step, _ in sample_grids(folder, 5)] == [1, 2, 4, 5]
    assert [row_names(path) for _, path in sample_grids(folder, 5)] == [["red", "blue"]] * 4
    result = nodes.training_film_node(loss=trained.loss, name="run", context=context)
    picture, table = result.values
    assert picture.shape[0] == 1 and picture.shape[2:] == (900, 3)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[0] == ["step", "loss", "mean loss"]
    assert [row[:2] for row in rows[2:]] == [
        [str(step), f"{trained.loss['loss'][step - 1]:.4f}"] for step in (1, 2, 4, 5)
    ]
    (shown,) = result.ui["images"]
    assert shown["type"] == "temp" and result.ui["text"] == [table]


def test_a_long_run_shows_its_first_and_last_grid(context, tmp_path):
    for step in range(10, 210, 10):
        (tmp_path / f"samples_{step:07}.png").touch()
    assert [step for step, _ in sample_grids(tmp_path, 150)] == [10, 50, 80, 110, 150]


def test_a_run_without_samples_is_refused(context):
    with pytest.raises(TrainingError, match="sample_prompts"):
        nodes.training_film_node(loss={"loss": [1.0]}, name="nothing", context=context)
