"""What the editor suggests next comes from the examples and from known nodes."""

from __future__ import annotations

import json

from commands.wiring_tables import TARGET, USUAL, tables, text_of
from graph.workflow import Link, Workflow, WorkflowNode
from nodes import registry


def test_the_table_is_current() -> None:
    """If this fails, run `make docs`."""
    assert TARGET.read_text(encoding="utf-8") == text_of(registry())


def test_the_usual_nodes_exist_and_have_the_sockets() -> None:
    types = registry()
    for kind, (takers, givers) in USUAL.items():
        for name in takers:
            assert any(each.accepts(kind) for each in types[name].inputs), f"{name} does not take {kind}"
        for name in givers:
            assert kind in {output.type for output in types[name].outputs}, f"{name} does not give {kind}"


def test_links_are_counted_by_type_and_by_socket() -> None:
    workflow = Workflow(
        {
            "1": WorkflowNode("EmptyLatentImage"),
            "2": WorkflowNode("LatentFlip", {"samples": Link("1", 0)}),
            "3": WorkflowNode("LatentRotate", {"samples": Link("1", 0)}),
            "4": WorkflowNode("LatentRotate", {"samples": Link("2", 0)}),
        }
    )
    made = tables(registry(), {"turned": workflow})
    assert made["after"]["EmptyLatentImage/0"] == ["LatentFlip", "LatentRotate"]
    assert made["before"]["LatentRotate/samples"] == ["EmptyLatentImage", "LatentFlip"]
    assert made["after"]["LATENT"][-2:] == ["LatentRotate", "LatentFlip"]
    assert made["examples"] == {name: ["turned"] for name in ("EmptyLatentImage", "LatentFlip", "LatentRotate")}


def test_every_example_is_listed_at_its_nodes() -> None:
    made = json.loads(TARGET.read_text(encoding="utf-8"))
    assert "text_to_image" in made["examples"]["KSampler"]
    assert made["examples"]["UpscaleModelLoader"] == ["upscale_model"]
