"""The API format, plain and in the wrappers in which people save it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graph.formats import load
from graph.schema import Registry
from graph.workflow import Link, MalformedLink

API: dict[str, Any] = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x"}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}, "_meta": {"title": "Negative"}},
}
EDITOR = {"nodes": [], "links": [], "version": 0.4}


def test_nodes_literals_links_and_titles(registry: Registry) -> None:
    workflow = load(API, registry)
    assert list(workflow.nodes) == ["4", "7"]
    assert workflow.nodes["7"].class_type == "CLIPTextEncode"
    assert workflow.nodes["7"].inputs == {"text": "", "clip": Link("4", 1)}
    assert (workflow.nodes["7"].title, workflow.nodes["4"].title) == ("Negative", None)
    assert workflow.editor is None


def test_lists_are_links_unless_they_are_wrapped(registry: Registry) -> None:
    inputs = {"a": {"__value__": [1, 2]}, "b": ["4", 0], "c": [4, 0.0], "d": {"x": [1, 2]}, "e": ["4", 0, 1]}
    read = load({"1": {"class_type": "X", "inputs": inputs}}, registry).nodes["1"].inputs
    assert read == {"a": [1, 2], "b": Link("4", 0), "c": Link("4", 0), "d": {"x": [1, 2]}, "e": ["4", 0, 1]}
    assert isinstance(read["e"], MalformedLink)
    assert not isinstance(read["a"], MalformedLink)


def test_what_is_written_reads_back_the_same(registry: Registry) -> None:
    document = {
        "a:1": {
            "class_type": "Anything",
            "inputs": {"n": 1, "t": "é🐈", "l": {"__value__": [["x", 1]]}, "k": ["b", 2], "bad": [1], "none": None},
            "_meta": {"title": "Título"},
        }
    }
    written = load(document, registry).to_api()
    assert written == document
    assert load(json.dumps(written), registry) == load(document, registry)


def test_integer_ids_become_text(registry: Registry) -> None:
    workflow = load({4: API["4"], 7: API["7"]}, registry)  # type: ignore[dict-item]
    assert list(workflow.nodes) == ["4", "7"]


@pytest.mark.parametrize(
    "wrapped",
    [
        {"prompt": API, "client_id": "c", "extra_data": {"extra_pnginfo": {"workflow": EDITOR}}},
        {"output": API, "workflow": EDITOR},
        {"prompt": json.dumps(API), "workflow": EDITOR},
        [3, "id", API, {"extra_pnginfo": {"workflow": EDITOR}}, ["7"]],
        {"prompt": [3, "id", API, {"extra_pnginfo": {"workflow": EDITOR}}, ["7"]], "outputs": {}},
    ],
    ids=["request body", "both dialects", "prompt as text", "queue item", "history entry"],
)
def test_wrapped_workflows(wrapped: Any, registry: Registry) -> None:
    workflow = load(json.dumps(wrapped), registry)
    assert workflow.to_api() == API
    assert workflow.editor == EDITOR


def test_nodes_may_be_called_anything(registry: Registry) -> None:
    for name in ("nodes", "prompt", "workflow", "output"):
        assert list(load({name: API["4"]}, registry).nodes) == [name]


def test_sources_of_every_kind(tmp_path: Path, registry: Registry) -> None:
    text = json.dumps(API, ensure_ascii=False)
    path = tmp_path / "workflow.json"
    path.write_text(text)
    utf16 = text.encode("utf-16")
    for source in (API, text, "  " + text, text.encode(), bytearray(text.encode()), path, str(path), utf16):
        assert load(source, registry).to_api() == API
    assert load(b"\xef\xbb\xbf" + text.encode(), registry).to_api() == API
