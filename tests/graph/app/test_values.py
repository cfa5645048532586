"""An app is called like a function: named fields, checked values, the document with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nodes
from graph.app import FieldError, called, named_fields, read_app
from graph.app.values import values_of, with_random_seeds
from graph.formats import load
from graph.workflow import Workflow

ROOT = Path(__file__).parents[3]
REGISTRY = nodes.registry()


def read(name: str) -> tuple[Workflow, dict[str, Any]]:
    workflow = load(ROOT / "workflows" / name, REGISTRY)
    return workflow, dict(named_fields(read_app(workflow, REGISTRY)))


def test_names_say_the_kind_and_later_ones_are_numbered() -> None:
    _, fields = read("lora.json")
    assert [name for name, field in fields.items() if field.main] == [
        "prompt", "negative_prompt", "width", "height", "model", "lora", "strength_model", "strength_clip",
        "steps", "cfg", "sampler", "scheduler", "seed", "batch_size",
    ]  # fmt: skip
    _, fields = read("two_loras.json")
    assert fields["lora"].targets != fields["lora_2"].targets
    assert all(name.isidentifier() for name in fields)


def test_a_call_sets_the_run_and_the_document() -> None:
    workflow, fields = read("text_to_image.json")
    values = {"prompt": "a red house", "steps": 7, "cfg": "2.5"}
    changed = called(workflow, fields, values, REGISTRY)
    assert {name: values_of(changed, fields)[name] for name in values} == {**values, "cfg": 2.5}
    assert changed.editor is not None and load(json.loads(json.dumps(changed.editor)), REGISTRY).nodes == changed.nodes
    assert values_of(workflow, fields)["steps"] != 7


def test_an_input_of_a_node_names_its_field_too() -> None:
    workflow, fields = read("text_to_image.json")
    node, name = fields["steps"].targets[0]
    assert called(workflow, fields, {f"{node}.{name}": 3}, REGISTRY).nodes[node].inputs[name] == 3
    with pytest.raises(FieldError, match="is the same field as"):
        called(workflow, fields, {"steps": 3, f"{node}.{name}": 4}, REGISTRY)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stepz": 3}, r"stepz: there is no such field; expected one of prompt, .*\. Did you mean 'steps'"),
        ({"steps": 0}, "steps: 0 is too small; expected an integer from 1 to"),
        ({"steps": "many"}, r"steps: .*'many'"),
        ({"steps": 2.5}, "steps: 2.5 is not a whole number; expected an integer"),
        ({"steps": None}, "steps: "),
        ({"steps": [1]}, "steps: "),
        ({"sampler": "eular"}, r"sampler: .*'eular'.*Did you mean 'euler'"),
        ({"prompt": {"a": 1}}, "prompt: "),
        ({"steps": 0, "cfg": -1, "nothing": 1}, "nothing"),
    ],
)
def test_what_a_field_does_not_accept_is_refused_by_its_name(values: dict[str, Any], said: str) -> None:
    workflow, fields = read("text_to_image.json")
    with pytest.raises(FieldError, match=said):
        called(workflow, fields, values, REGISTRY)


def test_all_problems_are_reported_at_once() -> None:
    workflow, fields = read("text_to_image.json")
    with pytest.raises(FieldError) as refused:
        called(workflow, fields, {"steps": 0, "cfg": -1}, REGISTRY)
    assert [problem.name for problem in refused.value.problems] == ["steps", "cfg"] or {
        problem.name for problem in refused.value.problems
    } == {"steps", "cfg"}


def test_minus_one_draws_a_seed() -> None:
    _, fields = read("text_to_image.json")
    drawn = [with_random_seeds({"seed": -1, "steps": -1}, fields) for _ in range(4)]
    assert all(values["steps"] == -1 and 0 <= values["seed"] < 2**32 for values in drawn)
    assert len({values["seed"] for values in drawn}) > 1
    assert with_random_seeds({"seed": 5}, fields) == {"seed": 5}


def test_a_seed_in_a_primitive_node_is_set_there() -> None:
    document = {
        "nodes": [
            {"id": 1, "type": "PrimitiveInt", "outputs": [{"name": "INT", "type": "INT", "links": [1]}],
             "widgets_values": [5, "fixed"]},
            {"id": 2, "type": "EmptyLatentImage", "inputs": [
                {"name": "width", "type": "INT", "link": 1, "widget": {"name": "width"}}],
             "outputs": [{"name": "LATENT", "type": "LATENT", "links": [2]}], "widgets_values": [64, 64, 1]},
            {"id": 3, "type": "SaveLatent", "inputs": [{"name": "samples", "type": "LATENT", "link": 2}],
             "widgets_values": ["latents/x"]},
        ],
        "links": [[1, 1, 0, 2, 0, "INT"], [2, 2, 0, 3, 0, "LATENT"]],
    }  # fmt: skip
    workflow = load(document, REGISTRY)
    fields = named_fields(read_app(workflow, REGISTRY))
    name = next(name for name, field in fields.items() if field.targets[0][0] == "1")
    changed = called(workflow, fields, {name: 128}, REGISTRY)
    assert changed.nodes["1"].inputs["value"] == 128 and changed.editor is not None


def test_a_choice_among_the_workflows_own_texts_is_set_with_its_position() -> None:
    workflow = load(ROOT / "tests" / "graph" / "formats" / "files" / "custom_combo.json", REGISTRY)
    fields = named_fields(read_app(workflow, REGISTRY))
    assert fields["choice"].main and fields["choice"].declared.choices == ("a photo", "a sketch")
    changed = called(workflow, fields, {"choice": "a photo"}, REGISTRY)
    assert (changed.nodes["10"].inputs["choice"], changed.nodes["10"].inputs["index"]) == ("a photo", 0)
    assert changed.editor is not None and load(changed.editor, REGISTRY).nodes == changed.nodes
    with pytest.raises(FieldError, match=r"choice: 'a painting' is not among .* one of a photo, a sketch"):
        called(workflow, fields, {"choice": "a painting"}, REGISTRY)
