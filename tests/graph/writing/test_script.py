"""A workflow as Python statements, which build exactly the same workflow again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from commands.export import python_script
from graph import Registry, WorkflowBuilder, load
from graph.writing.places import read_surroundings
from graph.writing.script import statements


def built(script: str, registry: Registry) -> WorkflowBuilder:
    """Run a script's ``build``."""
    names: dict[str, Any] = {"__name__": "script"}
    exec(compile(script, "script.py", "exec"), names)
    w = WorkflowBuilder(registry)
    names["build"](w)
    return w


def round_trip(document: Any, registry: Registry) -> WorkflowBuilder:
    return built(python_script(load(document, registry), registry, "a.json", "a.py")[0], registry)


def test_every_example_becomes_a_script_that_builds_the_same(file: Path, registry: Registry) -> None:
    workflow = load(file, registry)
    script, _ = python_script(workflow, registry, file.name, "a.py")
    w = built(script, registry)
    assert w.to_api() == workflow.to_api()
    assert [list(node["inputs"]) for _, node in sorted(w.to_api().items())] == [
        list(node["inputs"]) for _, node in sorted(workflow.to_api().items())
    ] or "_inputs=" in script
    if workflow.editor is not None:
        before, after = read_surroundings(workflow.editor), read_surroundings(w.to_editor())
        kept = {node_id: place for node_id, place in before.places.items() if node_id in workflow.nodes}
        assert {node_id: after.places[node_id] for node_id in kept if node_id.isdecimal()} == kept
        assert (list(after.notes), list(after.groups)) == (list(before.notes), list(before.groups))
    again, _ = python_script(w.workflow(), registry, file.name, "a.py")
    assert built(again, registry).to_api() == workflow.to_api()


AWKWARD: dict[str, Any] = {
    "dotted names": {
        "1": {"class_type": "ResizeImageMaskNode", "inputs": {"resize_type": "x", "resize_type.width": 5}}
    },
    "names that are not identifiers": {
        "1": {"class_type": 'Größe|pack\'s "x"', "inputs": {"": 1, "a b": 2, "class": 3, "self": 4, "_id": 5, "w": 6}},
        "a'b\n": {"class_type": "KSampler", "inputs": {"model": ["1", 2], "unknown": [" ", 0]}},
    },
    "names of the builder's own methods": {
        "node": {"class_type": "node", "inputs": {}},
        "workflow": {"class_type": "workflow", "inputs": {"x": ["node", 0]}},
        "3": {"class_type": "__init__", "inputs": {"x": ["workflow", 1], "_inputs": 3, "class_type": 4}},
    },
    "a cycle and a missing node": {
        "1": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["9", 0]}},
        "2": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 0], "vae": ["1", 7]}},
        "3": {"class_type": "VAEEncode", "inputs": {"pixels": ["3", 0], "vae": ["1", -1]}},
    },
    "ids of subgraphs": {
        "9:1": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "9:4:2": {"class_type": "SaveLatent", "inputs": {"samples": ["9:1", 0], "filename_prefix": "x"}},
    },
    "values of every kind": {
        "1": {
            "class_type": "X",
            "inputs": {
                "a": 'quote " \\ and\ttab',
                "b": "three\nlines\r\nof text that is long enough for several lines \u2028 é 熊猫 \x7f\x85",
                "c": 1e300,
                "d": -0.0,
                "e": 10**30,
                "f": None,
                "g": {"__value__": [1, [True, None], {"x": []}]},
                "h": {"nested": [1, {"a": 2.5}]},
                "i": [1, 2, 3],
                "j": False,
                "k": "{}",
            },
            "_meta": {"title": '"""\n'},
        },
    },
    "titles that collide": {
        str(number): {"class_type": "EmptyLatentImage", "inputs": {}, "_meta": {"title": title}}
        for number, title in enumerate(
            ["w", "Link", "build", "for", "print", "a b", "a-b", "提示词", "3 d", "!", ""], 1
        )
    }
    | {"99": {"class_type": "Any", "inputs": {str(number): [str(number), 0] for number in range(1, 12)}}},
}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_workflows_come_back_unchanged(name: str, registry: Registry) -> None:
    expected = load(AWKWARD[name], registry).to_api()
    assert round_trip(AWKWARD[name], registry).to_api() == expected
    assert "__value__" not in str(expected) or expected == AWKWARD[name]


def test_numbers_that_are_not_finite_come_back(registry: Registry) -> None:
    api = round_trip({"1": {"class_type": "X", "inputs": {"a": math.nan, "b": -math.inf}}}, registry).to_api()
    assert math.isnan(api["1"]["inputs"]["a"]) and api["1"]["inputs"]["b"] == -math.inf


def test_variables_are_named_after_titles_inputs_and_classes(registry: Registry) -> None:
    document = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a"}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "b"}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 8}, "_meta": {"title": "The Size!"}},
        "5": {
            "class_type": "KSampler",
            "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]},
        },
    }
    lines = statements(load(document, registry), registry).lines
    starts = [line.split(" = ")[0] for line in lines if " = " in line]
    assert starts == ["checkpoint_loader_simple", "positive", "negative", "the_size"]
    assert "    positive=positive," in lines
    assert 'positive = w.CLIPTextEncode(clip=checkpoint_loader_simple.CLIP, text="a", _id="2")' in lines


def test_the_script_says_what_it_does_not_keep(registry: Registry) -> None:
    files = Path(__file__).parents[1] / "formats" / "files"
    script, lost = python_script(load(files / "subgraphs.json", registry), registry, "subgraphs.json", "x.py")
    assert any(sentence.startswith("Subgraph ") and "IDs that begin with" in sentence for sentence in lost)
    assert all(f"# - {sentence}" in script for sentence in lost)
    _, lost = python_script(load(files / "canvas_things.json", registry), registry, "canvas_things.json", "x.py")
    assert any("muted" in sentence for sentence in lost) and any("bypassed" in sentence for sentence in lost)


def test_a_seed_that_changes_is_listed(registry: Registry) -> None:
    values = [5, "randomize", 20, 8.0, "euler", "normal", 1.0]
    document = {"nodes": [{"id": 3, "type": "KSampler", "widgets_values": values}], "links": []}
    _, lost = python_script(load(document, registry), registry, "a.json", "a.py")
    assert lost == ["1 seed no longer changes after each run: 3."]
    values[1] = "fixed"
    assert python_script(load(document, registry), registry, "a.json", "a.py")[1] == []
