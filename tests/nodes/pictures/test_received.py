"""Pictures that packs return, in the forms that they have, as Sumi's nodes receive them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from graph import Engine
from graph.errors import InputValueError, NodeError
from graph.workflow import Link, Workflow, WorkflowNode
from nodes import registry
from nodes.compat.class_nodes import node_type_of_class
from nodes.model_folders import folders
from nodes.pictures.received import picture_from

GREY = torch.linspace(0, 1, 16 * 24).reshape(16, 24)
COLOUR = torch.rand(16, 24, 3, generator=torch.Generator().manual_seed(1))
GREYS = GREY.expand(2, 16, 24)


def pack_node(returned: Any, is_output: bool = False) -> Any:
    class Made:
        RETURN_TYPES = ("IMAGE",)
        FUNCTION = "make"
        CATEGORY = "test"
        OUTPUT_NODE = is_output

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {}}

        def make(self) -> Any:
            return returned

    return node_type_of_class("Made", Made)


def scaled(tmp_path: Path, returned: Any, class_type: str = "ImageScale") -> Any:
    engine = Engine(registry({"Made": pack_node(returned)}), folders=folders(tmp_path))
    settings: dict[str, dict[str, Any]] = {
        "ImageScale": {
            "image": Link("1", 0),
            "upscale_method": "bilinear",
            "width": 48,
            "height": 32,
            "crop": "disabled",
        },
        "PreviewImage": {"images": Link("1", 0)},
        "SaveImage": {"images": Link("1", 0), "filename_prefix": "x"},
    }
    nodes = {"1": WorkflowNode("Made", {}), "2": WorkflowNode(class_type, settings[class_type])}
    return engine.run(Workflow(nodes), targets=["2"])


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (COLOUR, COLOUR[None]),
        (GREY, GREY[None, ..., None].repeat(1, 1, 1, 3)),
        (GREYS, GREYS[..., None].repeat(1, 1, 1, 3)),
        ([COLOUR, COLOUR], torch.stack([COLOUR, COLOUR])),
        ([COLOUR[None], COLOUR], torch.stack([COLOUR, COLOUR])),
        (COLOUR.numpy(), COLOUR[None]),
        (COLOUR[None].numpy(), COLOUR[None]),
        (np.full((16, 24, 3), 51, np.uint8), torch.full((1, 16, 24, 3), 0.2)),
        (PIL.Image.new("RGB", (24, 16), (255, 0, 51)), torch.tensor([1.0, 0.0, 0.2]).expand(1, 16, 24, 3)),
        ([PIL.Image.new("P", (24, 16))], torch.zeros(1, 16, 24, 3)),
    ],
)
def test_pictures_in_other_forms_are_converted(returned: Any, expected: torch.Tensor) -> None:
    found = picture_from(returned, "image", "IMAGE")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_batches_are_the_same_object() -> None:
    batch = COLOUR[None]
    assert picture_from(batch, "image", "IMAGE") is batch
    assert picture_from(GREYS, "mask", "MASK") is GREYS


BAD = [
    (None, "nothing (None)"),
    ((None,), "nothing (None)"),
    ({}, "nothing (None)"),
    (("text",), "a str"),
    (([COLOUR, COLOUR[:8]],), "a list of pictures of different sizes [8, 24, 3], [16, 24, 3]"),
    (([],), "a list of 0 values"),
    ((torch.zeros(1, 2, 16, 16, 3),), "a tensor [1, 2, 16, 16, 3]"),
]


@pytest.mark.parametrize("class_type", ["ImageScale", "PreviewImage", "SaveImage"])
@pytest.mark.parametrize(("returned", "found"), BAD)
def test_other_values_name_the_node_that_returned_them(
    returned: Any, found: str, class_type: str, tmp_path: Path
) -> None:
    with pytest.raises(NodeError) as raised:
        scaled(tmp_path, returned, class_type)
    assert raised.value.node_id == "2"
    assert isinstance(raised.value.cause, InputValueError)
    assert f"received {found} from output 0 of node 1 (Made); expected an IMAGE: a tensor [batch," in str(raised.value)


@pytest.mark.parametrize("class_type", ["ImageScale", "PreviewImage", "SaveImage"])
@pytest.mark.parametrize("value", [[COLOUR, COLOUR], COLOUR.numpy(), GREY, GREYS])
def test_nodes_take_them(value: Any, class_type: str, tmp_path: Path) -> None:
    result = scaled(tmp_path, (value,), class_type)
    if class_type == "ImageScale":
        [image] = result.values("2")
        assert tuple(image.shape[1:]) == (32, 48, 3)


def test_an_optional_picture_may_be_missing() -> None:
    checked = registry({"Made": pack_node(None)})["ImageCompositeMasked"]
    picture = COLOUR[None]
    checked.function(destination=picture, source=picture, x=0, y=0, resize_source=False, mask=None)
