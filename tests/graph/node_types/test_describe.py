"""Descriptions of nodes have the form that ComfyUI's /object_info has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest

from graph.node import (
    Choices,
    ExtraPngInfo,
    Files,
    Hint,
    Lazy,
    Named,
    Optional_,
    Prompt,
    Range,
    Socket,
    SocketOnly,
    node,
)
from graph.node_types.describe import describe
from graph.schema import NodeType
from nodes import registry

CATALOGUE = json.loads((Path(__file__).parents[2] / "object_info.json").read_text())
REGISTRY = registry()
Picture = Annotated[Any, Socket("IMAGE")]
Mask = Annotated[Any, Socket("MASK")]


class PictureAndMask(NamedTuple):
    picture: Annotated[Any, Socket("IMAGE"), Named("IMAGE")]
    mask: Mask


@node("Everything", category="all/of it", display_name="Every Thing", experimental=True, output_node=True)
def everything(
    *,
    picture: Picture,
    seed: Annotated[int, Range(0, 9), Hint(control_after_generate=True)],
    strength: Annotated[float, Range(0.0, 1.0, 0.1)] = 0.5,
    method: Literal["a", "b"] = "b",
    mode: Annotated[str, Choices(("x", "y"), as_object=True)] = "x",
    name: Annotated[str, Files("input", (".png",)), Hint(image_upload=True)],
    flip: Annotated[bool, Lazy] = False,
    count: Annotated[int, SocketOnly] = 1,
    text: Annotated[str, Optional_, Hint(multiline=True)] = "",
    mask: Mask | None = None,
    prompt: Prompt = None,
    extra_pnginfo: ExtraPngInfo = None,
) -> PictureAndMask:
    """Has one of each. And more."""
    return PictureAndMask(picture, mask)


def names_of(folder: str) -> list[str]:
    return {"input": ["a.png", "b.PNG", "c.txt"]}[folder]


def test_each_kind_of_input_has_its_form() -> None:
    node_type: NodeType = everything.node_type  # type: ignore[attr-defined]
    assert describe(node_type, names_of) == {
        "input": {
            "required": {
                "picture": ["IMAGE"],
                "seed": ["INT", {"min": 0, "max": 9, "control_after_generate": True}],
                "strength": ["FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.1}],
                "method": [["a", "b"], {"default": "b"}],
                "mode": ["COMBO", {"multiselect": False, "default": "x", "options": ["x", "y"]}],
                "name": [["a.png", "b.PNG"], {"image_upload": True}],
                "flip": ["BOOLEAN", {"default": False, "lazy": True}],
                "count": ["INT", {"default": 1, "forceInput": True}],
            },
            "optional": {"text": ["STRING", {"default": "", "multiline": True}], "mask": ["MASK"]},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        },
        "input_order": {
            "required": ["picture", "seed", "strength", "method", "mode", "name", "flip", "count"],
            "optional": ["text", "mask"],
            "hidden": ["prompt", "extra_pnginfo"],
        },
        "output": ["IMAGE", "MASK"],
        "output_is_list": [False, False],
        "output_name": ["IMAGE", "mask"],
        "name": "Everything",
        "display_name": "Every Thing",
        "description": "Has one of each.",
        "python_module": everything.__module__,
        "category": "all/of it",
        "output_node": True,
        "experimental": True,
    }


@pytest.mark.parametrize("name", sorted(set(REGISTRY) & set(CATALOGUE)))
def test_nodes_are_described_as_the_catalogue_has_them(name: str) -> None:
    ours = json.loads(json.dumps(describe(REGISTRY[name], lambda folder: [])))
    # The texts for people and the papers are our own.
    assert ours.pop("description")
    assert all(ours.pop("output_tooltips", ["nothing is described"]))
    ours.pop("papers", None)
    files = {declared.name: declared.files for declared in REGISTRY[name].inputs}
    models = {name: folder for name, folder in files.items() if folder not in (None, "input", "input folders")}
    assert ours.pop("model_folders", {}) == models
    for group in ("required", "optional"):
        for input_name, (kind, *options) in ours["input"].get(group, {}).items():
            assert options[0].pop("tooltip")
            ours["input"][group][input_name] = [kind, *(each for each in options if each)]
    assert ours.pop("python_module").startswith("nodes.")
    theirs = json.loads(json.dumps(CATALOGUE[name]))
    if name == "ImageScaleToTotalPixels":  # has one input more since
        theirs["input"]["required"]["resolution_steps"] = ["INT", {"default": 1, "min": 1, "max": 256}]
        theirs["input_order"]["required"].append("resolution_steps")
    for declared in REGISTRY[name].inputs:
        if declared.files is not None and declared.choices:
            # The catalogue's file lists are emptied, fixed choices included: there are no files here either.
            described = ours["input"]["required" if declared.required else "optional"][declared.name]
            assert described[0] == list(declared.choices)
            described[0] = []
    for entry in (ours, theirs):
        for group in ("required", "optional"):
            for declared in entry["input"].get(group, {}).values():
                if declared[0] == "COMBO":  # some of the catalogue's say it and some do not
                    declared[1].pop("multiselect", None)
    assert ours == theirs
