"""Which fields and outputs a workflow has as an app."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graph.app import App, describe_app, read_app
from graph.formats import load
from graph.schema import Registry
from nodes import registry

EXAMPLE = Path(__file__).parents[3] / "workflows" / "text_to_image.json"


@pytest.fixture(scope="module")
def catalogue() -> Registry:
    return registry()


def app_of(document: Any, catalogue: Registry) -> App:
    return read_app(load(document, catalogue), catalogue)


def kinds(app: App) -> dict[str, str]:
    return {f"{field.place.node}.{field.place.name}": field.kind for field in app.fields}


def encode(text: str) -> dict[str, Any]:
    return {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["1", 1]}}


def drawing(positive: list[Any], negative: list[Any], **nodes: Any) -> dict[str, Any]:
    """A prompt in which ``nodes`` (n2 is node 2) make what KSampler 90 draws."""
    sampler = {
        "model": ["1", 0],
        "seed": 3,
        "steps": 9,
        "cfg": 5.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": positive,
        "negative": negative,
        "latent_image": ["80", 0],
        "denoise": 1.0,
    }
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "80": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        **{name[1:]: node for name, node in nodes.items()},
        "90": {"class_type": "KSampler", "inputs": sampler},
        "91": {"class_type": "VAEDecode", "inputs": {"samples": ["90", 0], "vae": ["1", 2]}},
        "92": {"class_type": "SaveImage", "inputs": {"images": ["91", 0], "filename_prefix": "x"}},
    }


def test_a_control_net_that_takes_both_prompts_keeps_them_apart(catalogue: Registry) -> None:
    control = {
        "class_type": "ControlNetApplyAdvanced",
        "inputs": {"positive": ["2", 0], "negative": ["3", 0], "control_net": ["5", 0], "image": ["6", 0]},
    }
    loader = {"class_type": "ControlNetLoader", "inputs": {"control_net_name": "c.safetensors"}}
    picture = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
    nodes = {"n2": encode("good"), "n3": encode("bad"), "n4": control, "n5": loader, "n6": picture}
    straight = kinds(app_of(drawing(["4", 0], ["4", 1], **nodes), catalogue))
    assert (straight["2.text"], straight["3.text"], straight["6.image"]) == ("prompt", "negative", "picture")


def test_crossed_outputs_follow_the_links_not_the_names(catalogue: Registry) -> None:
    control = {
        "class_type": "ControlNetApplyAdvanced",
        "inputs": {"positive": ["2", 0], "negative": ["3", 0], "control_net": ["5", 0], "image": ["6", 0]},
    }
    loader = {"class_type": "ControlNetLoader", "inputs": {"control_net_name": "c.safetensors"}}
    picture = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
    nodes = {"n2": encode("a"), "n3": encode("b"), "n4": control, "n5": loader, "n6": picture}
    crossed = kinds(app_of(drawing(["4", 1], ["4", 0], **nodes), catalogue))
    assert (crossed["2.text"], crossed["3.text"]) == ("negative", "prompt")


def test_a_prompt_that_is_zeroed_for_the_other_side_is_positive(catalogue: Registry) -> None:
    zeroed = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["2", 0]}}
    found = kinds(app_of(drawing(["2", 0], ["3", 0], n2=encode("a"), n3=zeroed), catalogue))
    assert found["2.text"] == "prompt" and "negative" not in found.values()


def test_a_text_for_both_sides_is_one_positive_prompt(catalogue: Registry) -> None:
    found = kinds(app_of(drawing(["2", 0], ["2", 0], n2=encode("a")), catalogue))
    assert [name for name, kind in found.items() if kind in ("prompt", "negative")] == ["2.text"]
    assert found["2.text"] == "prompt"


def test_texts_are_found_through_nodes_that_join_and_hold_them(catalogue: Registry) -> None:
    text = {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "a cat"}}
    joined = {"class_type": "StringConcatenate", "inputs": {"string_a": ["5", 0], "string_b": "b", "delimiter": ", "}}
    both = {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["2", 0], "conditioning_2": ["4", 0]}}
    encoded = {"class_type": "CLIPTextEncode", "inputs": {"text": ["6", 0], "clip": ["1", 1]}}
    nodes = {"n2": encoded, "n3": encode("bad"), "n4": encode("c"), "n5": text, "n6": joined, "n7": both}
    found = kinds(app_of(drawing(["7", 0], ["3", 0], **nodes), catalogue))
    assert {name for name, kind in found.items() if kind == "prompt"} == {"5.value", "6.string_b", "4.text"}
    assert found["6.delimiter"] == "other" and found["3.text"] == "negative"


def test_a_number_node_is_the_field_that_it_feeds(catalogue: Registry) -> None:
    steps = {"class_type": "PrimitiveInt", "inputs": {"value": 12}}
    document = drawing(["2", 0], ["3", 0], n2=encode("a"), n3=encode(""), n4=steps)
    document["90"]["inputs"]["steps"] = ["4", 0]
    [field] = [field for field in app_of(document, catalogue).fields if field.kind == "steps"]
    assert (field.place.node, field.place.name, field.main, field.value) == ("4", "value", True, 12)


def test_what_reaches_no_output_has_no_field(catalogue: Registry) -> None:
    found = kinds(app_of(drawing(["2", 0], ["3", 0], n2=encode("a"), n3=encode(""), n4=encode("idle")), catalogue))
    assert "4.text" not in found


def test_pictures_say_whether_their_mask_is_used(catalogue: Registry) -> None:
    loaded = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
    encoded = {"class_type": "VAEEncode", "inputs": {"pixels": ["4", 0], "vae": ["1", 2]}}
    masked = {"class_type": "SetLatentNoiseMask", "inputs": {"samples": ["5", 0], "mask": ["4", 1]}}
    document = drawing(["2", 0], ["3", 0], n2=encode("a"), n3=encode(""), n4=loaded, n5=encoded, n6=masked)
    document["90"]["inputs"]["latent_image"] = ["6", 0]
    app = app_of(document, catalogue)
    assert [field.mask for field in app.fields if field.kind == "picture"] == [True]
    assert [field.main for field in app.fields if field.kind == "denoise"] == [True]
    document["90"]["inputs"]["latent_image"] = ["5", 0]
    assert [field.mask for field in app_of(document, catalogue).fields if field.kind == "picture"] == [False]


def test_a_workflow_without_known_kinds_shows_all_its_fields(catalogue: Registry) -> None:
    document = {
        "1": {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 8, "height": 8}},
        "2": {"class_type": "MaskPreview", "inputs": {"mask": ["1", 0]}},
    }
    assert [field.place.name for field in app_of(document, catalogue).fields if field.main] == [
        "value",
        "width",
        "height",
    ]


def authored(inputs: list[Any], outputs: list[Any] | None = None, **extra: Any) -> dict[str, Any]:
    document = json.loads(EXAMPLE.read_text())
    return {**document, "extra": {"linearData": {"inputs": inputs, "outputs": outputs or []}, **extra}}


def main(app: App) -> list[tuple[str, str]]:
    return [(field.place.node, field.place.name) for field in app.fields if field.main]


@pytest.mark.parametrize(
    "node",
    [7, "7", 7.0, "0f9a6cde-3b1c-4d5e-8f70-112233445566:7:cfg", "main:7:cfg%231"],
    ids=["number", "text", "float", "graph:node:name", "encoded"],
)
def test_the_authors_fields_come_first_in_every_form_of_id(node: Any, catalogue: Registry) -> None:
    app = app_of(authored([[node, "cfg"], [2, "text", {"height": 120, "other": 1}]]), catalogue)
    assert app.chosen and main(app) == [("7", "cfg"), ("2", "text")]
    assert [field.height for field in app.fields if field.main] == [None, 120]
    assert len(app.fields) == len(app_of(json.loads(EXAMPLE.read_text()), catalogue).fields)


def test_entries_of_other_forms_are_passed_over(catalogue: Registry) -> None:
    entries = [None, [], [7], [7, 5], ["nowhere", "cfg"], [True, "cfg"], {"id": 7}, [99, "cfg"], [7, "steps"]]
    app = app_of(authored(entries), catalogue)
    assert main(app) == [("7", "steps")] and app.fields[0].entry == len(entries) - 1
    for extra in ({"linearData": 5}, {"linearData": {"inputs": 3, "outputs": {}}}, {"linearData": None}):
        document = {**json.loads(EXAMPLE.read_text()), "extra": extra}
        assert not app_of(document, catalogue).chosen


def test_a_choice_that_names_nothing_in_the_file_leaves_the_default(catalogue: Registry) -> None:
    app = app_of(authored([[99, "cfg"]]), catalogue)
    assert not app.chosen and main(app)[0] == ("2", "text")


def test_linear_mode_says_whether_a_file_opens_as_an_app(catalogue: Registry) -> None:
    modes = [app_of(authored([], linearMode=mode), catalogue).opens_as_app for mode in (True, False, "yes")]
    assert modes == [True, False, None]


def test_outputs_that_save_or_that_the_author_chose_come_first(catalogue: Registry) -> None:
    document = drawing(["2", 0], ["3", 0], n2=encode("a"), n3=encode(""))
    document["93"] = {"class_type": "PreviewImage", "inputs": {"images": ["91", 0]}}
    assert [(output.node, output.main) for output in app_of(document, catalogue).outputs] == [
        ("92", True),
        ("93", False),
    ]


def test_an_inner_nodes_field_is_found_where_one_subgraph_shows_it(catalogue: Registry) -> None:
    path = Path(__file__).parents[1] / "formats" / "files" / "nested_fields.json"
    document = json.loads(path.read_text())
    document["nodes"] = [node for node in document["nodes"] if node["id"] in (1, 3)]
    document["links"] = [
        link for link in document["links"] if (link[3] if isinstance(link, list) else link["target_id"]) == 3
    ]
    document["extra"] = {"linearData": {"inputs": [["3", "height"], ["1", "width"]]}}
    app = app_of(document, catalogue)
    assert main(app) == [("1:2", "height"), ("1", "width")]


def test_the_description_has_what_a_form_needs(catalogue: Registry) -> None:
    app = app_of(json.loads(EXAMPLE.read_text()), catalogue)
    described = describe_app(app, lambda folder: [f"{folder}.safetensors"])
    by_kind = {field["kind"]: field for field in described["fields"]}
    assert by_kind["model"]["choices"] == ["checkpoints.safetensors"]
    assert by_kind["steps"]["min"] == 1 and by_kind["prompt"]["multiline"] is True
    assert by_kind["seed"]["targets"] == [["7", "seed"]] and json.loads(json.dumps(described)) == described
