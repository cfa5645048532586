"""A rectangle written into Crop Image, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch

import graph
from nodes import model_folders, registry
from nodes.image.newer_nodes import image_crop_v2
from nodes.resize import SizeError

REGISTRY = registry()
BOX = {"x": 10, "y": 20, "width": 30, "height": 40}


def prompt(box: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {"class_type": "ImageCropV2", "inputs": {"image": ["1", 0], "crop_region": box}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
        "4": {"class_type": "PrimitiveBoundingBox", "inputs": BOX},
    }


def sizes(document: dict[str, Any], base: Path) -> tuple[int, int]:
    folders = model_folders.folders(base)
    workflow = graph.load(document, REGISTRY)
    assert graph.validate(workflow, REGISTRY, folders=folders) == []
    with graph.Engine(REGISTRY, folders=folders) as engine:
        saved = engine.run(workflow).outputs["3"]["images"][0]["filename"]
    with PIL.Image.open(base / "output" / saved) as found:
        return found.size


@pytest.mark.parametrize("box", [BOX, {**BOX, "width": "30", "height": 40.0}, ["4", 0]])
def test_a_rectangle_is_a_value_or_a_link(box: Any, tmp_path: Path) -> None:
    assert sizes(prompt(box), tmp_path) == (30, 40)


def test_a_rectangle_in_an_editor_file(tmp_path: Path) -> None:
    image = {
        "id": 1,
        "type": "EmptyImage",
        "inputs": [],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
        "widgets_values": [64, 64, 1, 255],
    }
    crop = {
        "id": 2,
        "type": "ImageCropV2",
        "inputs": [
            {"name": "image", "type": "IMAGE", "link": 1},
            {"name": "crop_region", "type": "BOUNDING_BOX", "widget": {"name": "crop_region"}, "link": None},
        ],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
        "widgets_values": [BOX],
    }
    save = {
        "id": 3,
        "type": "SaveImage",
        "inputs": [{"name": "images", "type": "IMAGE", "link": 2}],
        "outputs": [],
        "widgets_values": ["x"],
    }
    links = [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]]
    assert sizes({"nodes": [image, crop, save], "links": links, "version": 0.4}, tmp_path) == (30, 40)


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ({"x": 1, "y": 2, "width": 3}, "'height' is missing"),
        ({**BOX, "x": "left"}, "'x': "),
        ({**BOX, "y": None}, "'y': null is not an integer"),
        ("10,20,30,40", "a str is not a rectangle"),
    ],
)
def test_a_wrong_rectangle_is_refused(box: Any, what: str) -> None:
    problems = graph.validate(graph.load(prompt(box), REGISTRY), REGISTRY)
    assert [(each.type, each.node_id, each.input_name) for each in problems] == [
        ("invalid_input_type", "2", "crop_region")
    ]
    assert what in problems[0].message and "rectangle in pixels" in str(problems[0].expected)


def test_a_wrong_rectangle_through_a_link_is_refused() -> None:
    with pytest.raises(SizeError, match="expected a rectangle with x, y, width, height"):
        image_crop_v2(image=torch.zeros(1, 8, 8, 3), crop_region={"x": 0})
