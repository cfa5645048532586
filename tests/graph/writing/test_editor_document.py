"""Workflows as editor documents, which read back as the same workflow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from graph import Registry, Workflow, load
from graph.writing.editor_document import editor_document


def test_every_example_reads_back_the_same(file: Path, registry: Registry) -> None:
    workflow = load(file, registry)
    bare = Workflow(workflow.nodes)
    written = editor_document(bare, registry)
    numbers = {name: str(node["id"]) for name, node in zip(workflow.nodes, written.document["nodes"], strict=True)}
    again = load(written.document, registry).to_api()
    if not any("has a value, but no widget" in sentence for sentence in written.lost):
        expected = {numbers[name]: node for name, node in workflow.to_api().items()}
        for node in expected.values():
            for name, value in node["inputs"].items():
                if isinstance(value, list):
                    node["inputs"][name] = [numbers.get(value[0], value[0]), value[1]]
        for node_id, node in expected.items():
            for name, value in node["inputs"].items():
                assert again[node_id]["inputs"][name] == value, (node_id, name)
            added = again[node_id]["inputs"].keys() - node["inputs"].keys()
            node_type = registry.get(node["class_type"])
            assert node_type is not None or not added
            assert all(node_type is None or node_type.by_name[name].has_widget for name in added), added
            assert again[node_id].get("_meta") == node.get("_meta")


def test_no_two_nodes_overlap_and_links_lead_to_the_right(file: Path, registry: Registry) -> None:
    document = editor_document(Workflow(load(file, registry).nodes), registry).document
    boxes = {node["id"]: (*node["pos"], *node["size"]) for node in document["nodes"]}
    listed = list(boxes.values())
    for index, (x, y, width, height) in enumerate(listed):
        for other_x, other_y, other_width, other_height in listed[index + 1 :]:
            apart = x + width <= other_x or other_x + other_width <= x
            assert apart or y + height <= other_y - 30 or other_y + other_height <= y - 30
    for _, origin, _, target, _, _ in document["links"]:
        assert boxes[origin][0] + boxes[origin][2] <= boxes[target][0]


def test_seeds_and_uploads_have_their_companions(registry: Registry) -> None:
    api = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "KSampler", "inputs": {"seed": 7, "steps": 3, "cfg": ["1", 0], "sampler_name": "heun"}},
    }
    document = editor_document(load(api, registry), registry).document
    assert document["nodes"][0]["widgets_values"] == ["a.png", "image"]
    assert document["nodes"][1]["widgets_values"][:5] == [7, "fixed", 3, 8.0, "heun"]
    assert {"name": "cfg", "type": "FLOAT", "link": 1, "widget": {"name": "cfg"}} in document["nodes"][1]["inputs"]


@pytest.mark.parametrize(
    ("api", "words"),
    [
        ({"9:1": {"class_type": "EmptyLatentImage", "inputs": {}}}, r"Node 9:1 is node 1 in the editor"),
        ({"1": {"class_type": "VAEDecode", "inputs": {"vae": ["8", 0]}}}, r"'vae' links to the missing node 8"),
        ({"1": {"class_type": "VAEDecode", "inputs": {"vae": 5}}}, r"'vae' has a value, but no widget"),
    ],
)
def test_what_the_dialect_cannot_hold_is_said(api: Any, words: str, registry: Registry) -> None:
    [sentence] = editor_document(load(api, registry), registry).lost
    assert re.search(words, sentence)
