"""Outputs that have the type of an input: a resized picture is a picture."""

from __future__ import annotations

from typing import Any

import pytest

import graph
from nodes import registry

REGISTRY = registry()
RESIZE = {"resize_type": "scale width", "resize_type.width": 8, "scale_method": "area"}


def resized(source: list[Any]) -> dict[str, Any]:
    return {"class_type": "ResizeImageMaskNode", "inputs": {"input": source, **RESIZE}}


def found(document: dict[str, Any]) -> list[tuple[str, str | None, Any]]:
    sources = {
        "image": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "mask": {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 8, "height": 8}},
        "p": {"class_type": "PreviewImage", "inputs": {"images": ["m", 0]}},
    }
    problems = graph.validate(graph.load({**sources, **document}, REGISTRY), REGISTRY)
    return [(each.type, each.node_id, each.found) for each in problems]


TO_MASK = {"class_type": "MaskToImage", "inputs": {"mask": ["r", 0]}}
REFUSED = ("return_type_mismatch", "m", "IMAGE")


def test_a_resized_picture_is_not_a_mask() -> None:
    assert found({"r": resized(["image", 0]), "m": TO_MASK}) == [REFUSED]
    assert found({"r": resized(["mask", 0]), "m": TO_MASK}) == []


def test_the_type_passes_through_several_nodes() -> None:
    for source, problems in (("image", [REFUSED]), ("mask", [])):
        assert found({"a": resized([source, 0]), "r": resized(["a", 0]), "m": TO_MASK}) == problems
    chain = {str(n): resized([str(n - 1), 0]) for n in range(1, 3000)}
    assert found({"0": resized(["image", 0]), **chain, "r": resized(["2999", 0]), "m": TO_MASK}) == [REFUSED]


@pytest.mark.parametrize(("source", "problems"), [("image", [REFUSED]), ("mask", [])])
def test_a_batch_has_the_type_of_its_parts(source: str, problems: list[Any]) -> None:
    batch = {"inputs.input0": [source, 0], "inputs.input1": [source, 0]}
    assert found({"r": {"class_type": "BatchImagesMasksLatentsNode", "inputs": batch}, "m": TO_MASK}) == problems


def test_a_value_of_any_type_and_a_circle_are_left_to_the_node() -> None:
    switch = {"class_type": "ComfySwitchNode", "inputs": {"switch": True, "on_true": ["image", 0]}}
    assert found({"s": switch, "r": resized(["s", 0]), "m": TO_MASK}) == []
    circle = found({"r": resized(["a", 0]), "a": resized(["r", 0]), "m": TO_MASK})
    assert [kind for kind, _, _ in circle] == ["dependency_cycle"]


def test_a_wrong_input_is_one_problem() -> None:
    latent = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
    problems = found({"l": latent, "r": resized(["l", 0]), "m": TO_MASK})
    assert problems == [("return_type_mismatch", "r", "LATENT")]
