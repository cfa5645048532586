"""Every node has the interface that ComfyUI's node of that name has, so that saved workflows fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graph.node_types.describe import describe
from graph.schema import MISSING, Input
from nodes import registry

CATALOGUE = json.loads((Path(__file__).parents[1] / "object_info.json").read_text())
OWN = {"CLIPTokenize", "CLIPEncodeTokens"} | {
    *("LoadCaptionedPictures", "EncodeDataset", "NewStableDiffusion", "TrainVAE", "TrainDiffusionModel"),
    *("TrainTextualInversion", "NewCLIP", "TrainCLIP", "ImageOnlyCheckpointLoader", "SweepGrid"),
    *("ExplainTokens", "ExplainNearestTokens", "ExplainPromptSimilarity", "ExplainReverseDiffusion"),
    *("ExplainReverseDiffusionCustom", "ExplainCrossAttention", "ExplainCLIPSimilarity"),
    *("ExplainForwardDiffusion", "ExplainNoiseSchedules", "ExplainVAE", "ExtractVAE"),
    *("CaptionPictures", "TrainingFilm", "CLIPTextEncodeA1111", "VariationNoise", "BlurMask", "FillMaskedArea"),
    *("ResizeAndFillImage", "DistilLCMLoRA", "DeepCache", "GuidanceInterval", "AdaptiveGuidance"),
}
"""Nodes for stages, training, explaining, speed, sweeps and A1111's pictures that ComfyUI lacks."""

NEWER = {"ManualSigmas"} | {
    *("ComfySwitchNode", "ComfyNotNode", "ComfyAndNode", "ComfyOrNode", "ComfyPassOrNoneNode", "CustomCombo"),
    *("ComfyMathExpression", "ComfyNumberConvert", "ResolutionSelector", "ResizeImageMaskNode", "ImageCompare"),
    *("BatchImagesNode", "BatchMasksNode", "BatchLatentsNode", "BatchImagesMasksLatentsNode", "SaveImageAdvanced"),
    *("LatentCutToBatch", "ImageCropV2", "PrimitiveBoundingBox", "SplitImageToTileList", "ImageMergeTileList"),
    *("GetLatentSize", "EasyCache", "LazyCache"),
}
"""Common nodes of ComfyUI that are newer than the catalogue."""

ADDED_INPUTS: dict[str, dict[str, Any]] = {
    "ImageScaleToTotalPixels": {"resolution_steps": ["INT", {"default": 1, "min": 1, "max": 256}]},
}
"""Required inputs that ComfyUI has added to a class since. Files that lack them get the default."""

REGISTRY = registry()
SHARED = sorted(set(REGISTRY) & set(CATALOGUE))


def described(declared: Input) -> dict[str, Any]:
    """Return the facts in the catalogue's form for an input of Sumi's."""
    facts: dict[str, Any] = {"type": declared.type, **declared.hints}
    for name, value in (
        ("default", declared.default),
        ("min", MISSING if declared.minimum is None else declared.minimum),
        ("max", MISSING if declared.maximum is None else declared.maximum),
        ("step", MISSING if declared.step is None else declared.step),
        ("lazy", declared.lazy or MISSING),
        ("forceInput", declared.socket_only or MISSING),
        ("choices", MISSING if declared.choices is None else list(declared.choices)),
    ):
        if value is not MISSING:
            facts[name] = value
    # The texts for people are our own.
    facts.pop("tooltip", None)
    # Said of every list of choices in the object form; the description adds it.
    facts.pop("multiselect", None)
    return facts


def stated(entry: list[Any]) -> dict[str, Any]:
    """Return the facts of an input of the catalogue, for both forms of choices."""
    facts = dict(entry[1]) if len(entry) > 1 else {}
    facts.pop("multiselect", None)
    if isinstance(entry[0], list):
        return {"type": "COMBO", "choices": entry[0], **facts}
    if "options" in facts:
        facts["choices"] = facts.pop("options")
    return {"type": entry[0], **facts}


@pytest.mark.parametrize("name", SHARED)
def test_inputs_are_the_catalogues(name: str) -> None:
    ours, theirs = REGISTRY[name], CATALOGUE[name]
    for group, required in (("required", True), ("optional", False)):
        declared = {i.name: i for i in ours.inputs if i.required is required}
        added = ADDED_INPUTS.get(name, {}) if required else {}
        entries = {**theirs["input"].get(group, {}), **added}
        assert list(declared) == [*theirs["input_order"].get(group, []), *added]
        for input_name, entry in entries.items():
            found, wanted = described(declared[input_name]), stated(entry)
            if declared[input_name].files is not None:
                # The catalogue's file lists are emptied: they are the installation's own. "[None]" went with them.
                found["choices"] = [choice for choice in found.get("choices", []) if choice != "[None]"]
                wanted.setdefault("choices", [])
            assert found == wanted, f"{name}.{input_name}"


@pytest.mark.parametrize("name", SHARED)
def test_choices_have_the_catalogues_form(name: str) -> None:
    for group in ("required", "optional"):
        for input_name, entry in CATALOGUE[name]["input"].get(group, {}).items():
            declared = REGISTRY[name].by_name[input_name]
            if declared.type == "COMBO" and (declared.choices or declared.files):
                assert declared.combo_object is (entry[0] == "COMBO"), f"{name}.{input_name}"


@pytest.mark.parametrize("name", SHARED)
def test_hidden_inputs_are_the_catalogues(name: str) -> None:
    found = describe(REGISTRY[name], lambda folder: [])["input"].get("hidden", {})
    assert found == CATALOGUE[name]["input"].get("hidden", {})


@pytest.mark.parametrize("name", SHARED)
def test_outputs_are_the_catalogues(name: str) -> None:
    ours, theirs = REGISTRY[name].outputs, CATALOGUE[name]
    assert [output.name for output in ours] == theirs["output_name"]
    assert [output.is_list for output in ours] == theirs["output_is_list"]
    assert [output.type for output in ours] == [
        # A list of choices as a type is the COMBO that has them.
        "COMBO" if isinstance(output, list) else output
        for output in theirs["output"]
    ]


@pytest.mark.parametrize("name", SHARED)
def test_names_and_marks_are_the_catalogues(name: str) -> None:
    ours, theirs = REGISTRY[name], CATALOGUE[name]
    found = (ours.display_name, ours.category, ours.output_node, ours.deprecated, ours.experimental)
    wanted = (
        theirs["display_name"],
        theirs["category"],
        theirs["output_node"],
        theirs.get("deprecated", False),
        theirs.get("experimental", False),
    )
    assert found == wanted


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_node_says_what_it_does(name: str) -> None:
    description = REGISTRY[name].description
    assert description.endswith((".", "…")) and len(description) > 12


def test_every_class_of_the_catalogue_is_there() -> None:
    assert len(CATALOGUE) == 227
    assert set(CATALOGUE) - set(REGISTRY) == set()


def test_all_other_nodes_are_newer_or_our_own() -> None:
    assert set(REGISTRY) - set(CATALOGUE) == OWN | NEWER
