"""Choices that bring inputs with them, in files of ComfyUI's editor: their values follow the choice."""

from __future__ import annotations

from typing import Any

import pytest

import graph
from graph.workflow import Link
from nodes import registry

REGISTRY = registry()


def loaded(values: list[Any], class_type: str = "ResizeImageMaskNode") -> dict[str, Any]:
    """The inputs of one node in an editor file, linked to a picture by its first socket."""
    node = {
        "id": 2,
        "type": class_type,
        "inputs": [{"name": "input", "type": "IMAGE,MASK", "link": 1}],
        "outputs": [],
        "widgets_values": values,
    }
    if class_type != "ResizeImageMaskNode":
        node["inputs"] = [{"name": "images", "type": "IMAGE", "link": 1}]
    picture = {
        "id": 1,
        "type": "EmptyImage",
        "inputs": [],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
        "widgets_values": [64, 64, 1, 0],
    }
    shown = {
        "id": 3,
        "type": "PreviewImage",
        "inputs": [{"name": "images", "type": "IMAGE", "link": 2}],
        "outputs": [],
        "widgets_values": [],
    }
    links = [[1, 1, 0, 2, 0, "IMAGE"]]
    nodes = [picture, node]
    if class_type == "ResizeImageMaskNode":
        node["outputs"] = [{"name": "resized", "type": "IMAGE", "links": [2]}]
        links.append([2, 2, 0, 3, 0, "IMAGE"])
        nodes.append(shown)
    workflow = graph.load({"nodes": nodes, "links": links, "version": 0.4}, REGISTRY)
    found = dict(workflow.nodes["2"].inputs)
    return {name: value for name, value in found.items() if not isinstance(value, Link)}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            ["scale dimensions", 512, 256, "center", "lanczos"],
            {"resize_type.width": 512, "resize_type.height": 256, "resize_type.crop": "center"},
        ),
        (["scale by multiplier", 0.5, "lanczos"], {"resize_type.multiplier": 0.5}),
        (["scale total pixels", 2.0, 8, "lanczos"], {"resize_type.megapixels": 2.0, "resize_type.multiple": 8}),
        (["match size", "disabled", "lanczos"], {"resize_type.crop": "disabled"}),
        (["scale to multiple", 16, "lanczos"], {"resize_type.multiple": 16}),
    ],
)
def test_values_follow_their_choice(values: list[Any], expected: dict[str, Any]) -> None:
    assert loaded(values) == {"resize_type": values[0], "scale_method": "lanczos", **expected}


def test_a_choice_within_a_choice() -> None:
    found = loaded(["x", "avif", "auto", "sRGB", 30, "animated", 12.0, 3], "SaveImageAdvanced")
    assert found == {
        "filename_prefix": "x",
        "format": "avif",
        "format.bit_depth": "auto",
        "format.input_color_space": "sRGB",
        "format.crf": 30,
        "format.save_mode": "animated",
        "format.save_mode.fps": 12.0,
        "format.save_mode.loop_count": 3,
    }


def test_each_value_of_a_choice_has_its_own_defaults() -> None:
    """A file whose list of values is short gets the chosen format's first values."""
    found = loaded(["x", "exr"], "SaveImageAdvanced")
    assert found["format.bit_depth"] == "32-bit float"
    found = loaded(["x", "avif", "auto", "HDR PQ"], "SaveImageAdvanced")
    assert (found["format.bit_depth"], found["format.input_color_space"], found["format.crf"]) == ("auto", "HDR PQ", 18)


def test_fields_that_a_node_does_not_declare_are_read_by_their_slots() -> None:
    names = ["choice", "index", "option1", "option2"]
    slots = [{"name": name, "type": "*", "widget": {"name": name}, "link": None} for name in names]
    node = {
        "id": 1,
        "type": "CustomCombo",
        "inputs": slots,
        "outputs": [],
        "widgets_values": ["beta", 1, "alpha", "beta"],
    }
    workflow = graph.load({"nodes": [node], "links": [], "version": 0.4}, REGISTRY)
    assert workflow.nodes["1"].inputs == {"choice": "beta", "index": 1, "option1": "alpha", "option2": "beta"}
    # ComfyUI names only the choice; the texts to choose from follow it.
    workflow = graph.load({"nodes": [{**node, "inputs": slots[:1]}], "links": [], "version": 0.4}, REGISTRY)
    assert workflow.nodes["1"].inputs == {"choice": "beta", "index": 1, "option1": "alpha", "option2": "beta"}
    workflow = graph.load({"nodes": [{**node, "widgets_values": ["beta"]}], "links": [], "version": 0.4}, REGISTRY)
    assert workflow.nodes["1"].inputs == {"choice": "beta"}
