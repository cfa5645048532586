"""Whole files as the editor saves them, read with the schemas of the built-in nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graph.formats import load
from graph.validation.validate import validate_outputs
from nodes import registry

FILES = Path(__file__).parent / "files"
REGISTRY = registry()
PLAIN = {
    "4": {"ckpt_name": "sumi-tiny.safetensors"},
    "5": {"width": 512, "height": 384, "batch_size": 2},
    "6": {"text": "a red apple", "clip": ["4", 1]},
    "7": {"text": "text, watermark", "clip": ["4", 1]},
    "3": {
        "model": ["4", 0],
        "seed": 156680208700286,
        "steps": 25,
        "cfg": 7.5,
        "sampler_name": "dpmpp_2m",
        "scheduler": "karras",
        "positive": ["6", 0],
        "negative": ["7", 0],
        "latent_image": ["5", 0],
        "denoise": 0.9,
    },
    "8": {"samples": ["3", 0], "vae": ["4", 2]},
    "9": {"images": ["8", 0], "filename_prefix": "apple"},
}


def inputs(name: str) -> dict[str, dict[str, Any]]:
    api = load(FILES / name, REGISTRY).to_api()
    return {node_id: node["inputs"] for node_id, node in api.items()}


def test_a_plain_file_of_version_0_4() -> None:
    workflow = load(FILES / "plain.json", REGISTRY)
    assert inputs("plain.json") == PLAIN
    assert {i: node.title for i, node in workflow.nodes.items() if node.title} == {"6": "Positive"}
    assert workflow.editor == json.loads((FILES / "plain.json").read_text())


def test_reroutes_primitives_notes_muted_and_bypassed_nodes() -> None:
    read = inputs("canvas_things.json")
    sampler = {
        **PLAIN["3"],
        "seed": 4242,  # from a primitive, through a reroute
        "steps": 20,
        "cfg": 8,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1,
    }
    assert read == {
        **PLAIN,  # the bypassed LoRA, latent upscale and upscale model are passed through
        "3": sampler,
        "19": {"vae": ["4", 2]},  # a muted LoadImage fed it
        "20": {"samples": ["19", 0], "filename_prefix": "latents/x"},
    }
    verdict = validate_outputs(load(FILES / "canvas_things.json", REGISTRY), REGISTRY)
    assert [(p.type, p.node_id, p.input_name) for p in verdict.problems] == [("required_input_missing", "19", "pixels")]
    assert (verdict.valid_outputs, verdict.invalid_outputs) == (("9",), ("20",))


def test_a_file_of_version_1_with_every_widget_as_a_slot() -> None:
    read = inputs("every_widget_a_slot.json")
    assert read["5"] == {"width": 256, "height": 192, "batch_size": 1}
    assert read["6"] == {"text": "一只猫 🐈", "clip": ["4", 1]}
    assert (read["3"]["seed"], read["3"]["steps"], read["3"]["denoise"]) == (7, ["30", 0], 1)


def test_subgraphs_three_deep_placed_twice_and_muted_once() -> None:
    read = inputs("subgraphs.json")
    inside = {"2", "3", "1:3", "1:1:1", "1:2:1"}
    assert set(read) == {"1", "3", "5", "7"} | {f"{holder}:{inner}" for holder in "24" for inner in inside}
    assert read["2:1:1:1"] == {"text": "a lighthouse", "clip": ["1", 1]}
    assert read["4:1:1:1"]["text"] == "middle"
    assert read["2:1:2:1"]["text"] == "blurry"
    assert (read["2:3"]["width"], read["4:3"]["width"]) == (64, 128)
    assert read["4:1:3"]["model"] == ["1", 0]  # straight through the first instance
    assert read["4:1:3"]["steps"] == 11
    assert read["5"]["images"] == ["4:2", 0]
    assert read["7"] == {}


def test_a_field_lifted_out_of_two_subgraphs() -> None:
    read = inputs("nested_fields.json")
    assert (read["1:2:3"]["width"], read["1:2:3"]["height"]) == (96, 80)
    assert (read["4:2:3"]["width"], read["4:2:3"]["height"]) == (48, 80)


def test_unknown_nodes_are_named_and_the_rest_may_run() -> None:
    verdict = validate_outputs(load(FILES / "unknown_nodes.json", REGISTRY), REGISTRY)
    assert [(p.type, p.node_id, p.class_type) for p in verdict.problems] == [
        ("unknown_node_type", "41", "ImageSharpenFancy")
    ]
    assert verdict.problems[0].extra["dependent_outputs"] == ("42",)
    assert verdict.valid_outputs == ("9",)


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.glob("*.json")))
def test_what_is_read_from_a_canvas_is_the_same_in_the_api_dialect(name: str) -> None:
    workflow = load(FILES / name, REGISTRY)
    assert load(json.dumps(workflow.to_api()), REGISTRY).nodes == workflow.nodes


def test_file_names_hold_the_values_that_run() -> None:
    read = inputs("file_names.json")
    names = {node_id: node["filename_prefix"] for node_id, node in read.items() if "filename_prefix" in node}
    assert names == {
        "4": "main987_inner4711_3_folded555_12",
        "6": "fed987",
        "10:3": "once4711",
        "11:3": "twice12_20",
        "12:2": "group555_heun",
    }


def test_the_values_of_group_nodes_in_every_form() -> None:
    read = inputs("group_values.json")
    samplers = {
        node_id: [node[name] for name in ("seed", "steps", "cfg", "sampler_name", "denoise")]
        for node_id, node in read.items()
        if "seed" in node
    }
    assert samplers == {
        "1:0": [555, 4, 5.5, "heun", 1],
        "2:0": [555, 4, 8, "euler", 1],
        "3:0": [555, 4, 5.5, "heun", 1],
        "4:0": [555, 4, 5.5, "heun", 1],
        "5:0": [555, 4, 7.5, "euler", 1],
        "6:0": [555, 8, 7.5, "euler", 1],
        "7:0": [5, 4, 5.5, "euler", 1],
        "7:1": [6, 3, 2.5, "heun", 0.5],
        "8:0": [5, 20, 8, "euler", 1],
        "8:1": [6, 20, 8, "euler", 1],
        "9:0": [5, 4, 5.5, "euler", 1],
        "9:1": [6, 3, 2.5, "heun", 1],
    }
