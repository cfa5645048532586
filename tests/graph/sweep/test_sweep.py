"""Combinations of a sweep, their workflows and the nodes that they run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest

from graph import Engine, Workflow, WorkflowNode, events, load
from graph.errors import Problem
from graph.node import Choices, Range, Socket, node
from graph.results import NodeResult
from graph.schema import Registry
from graph.sweep.grid import GRID_NODE, grid_workflow
from graph.sweep.reading import SweepError, problems_of, read_sweep
from graph.sweep.sweep import Sweep, output_nodes
from graph.workflow import Link
from graph.writing.document_values import with_values

Text = Annotated[str, Socket("TEXT")]
Result = Annotated[str, Socket("RESULT")]


@node("Model", category="test")
def model(*, name: Annotated[str, Choices(("a", "b"))] = "a") -> Annotated[str, Socket("MODEL")]:
    """Load a model."""
    return name


@node("Encode", category="test")
def encode(*, model: Annotated[str, Socket("MODEL")], text: str) -> Text:
    """Encode a text."""
    return f"{model}({text})"


@node("Sample", category="test")
def sample(
    *,
    text: Text,
    cfg: Annotated[float, Range(0.0, 30.0)] = 7.0,
    sampler: Annotated[str, Choices(("euler", "ddim", "heun", "lms"))] = "euler",
) -> Result:
    """Make a picture."""
    return f"{text} {cfg} {sampler}"


@node("Show", category="test", output_node=True)
def show(*, value: Annotated[str, Socket("*")], note: str = "") -> NodeResult:
    """Show something."""
    return NodeResult(ui={"text": [f"{value}{note}"]})


NODES = (model, encode, sample, show)
REGISTRY = Registry({function.node_type.name: function.node_type for function in NODES})  # type: ignore[attr-defined]


def workflow() -> Workflow:
    """1 model → 2 text → 3 picture → 4 output; 5 shows the text."""
    return Workflow(
        {
            "1": WorkflowNode("Model", {"name": "a"}),
            "2": WorkflowNode("Encode", {"model": Link("1", 0), "text": "a red apple"}),
            "3": WorkflowNode("Sample", {"text": Link("2", 0), "cfg": 7.0, "sampler": "euler"}),
            "4": WorkflowNode("Show", {"value": Link("3", 0), "note": ""}),
            "5": WorkflowNode("Show", {"value": Link("2", 0), "note": ""}),
        }
    )


def sweep(*axes: tuple[str, str, Any]) -> Sweep:
    described = [{"node": node_id, "input": name, "values": values} for node_id, name, values in axes]
    return read_sweep(described, workflow(), REGISTRY, None)


def refused(*described: Any) -> list[Problem]:
    with pytest.raises(SweepError) as caught:
        read_sweep(list(described), workflow(), REGISTRY, None)
    return list(caught.value.problems)


def run_all(engine: Engine, swept: Sweep) -> tuple[Counter[str], dict[int, dict[str, Any]]]:
    """Run every combination; the classes of the nodes that ran, counted, and what was shown."""
    ran: Counter[str] = Counter()
    shown: dict[int, dict[str, Any]] = {}

    def listen(event: events.Event) -> None:
        if isinstance(event, events.NodeStarted):
            ran[event.class_type] += 1

    outputs = output_nodes(workflow(), REGISTRY)
    for number in swept.order():
        result = engine.run(swept.workflow(number), targets=swept.targets(number, outputs), listener=listen)
        shown[number] = result.outputs
    return ran, shown


def test_a_grid_of_three_by_four_encodes_the_text_once(make_engine: Callable[..., Engine]) -> None:
    swept = sweep(("3", "cfg", "3,5,7"), ("3", "sampler", "all"))
    ran, shown = run_all(make_engine(*NODES), swept)
    assert ran == {"Model": 1, "Encode": 1, "Sample": 12, "Show": 13}
    assert shown[0] == {"4": {"text": ["a(a red apple) 3.0 euler"]}, "5": {"text": ["a(a red apple)"]}}
    assert shown[11] == {"4": {"text": ["a(a red apple) 7.0 lms"]}}


def test_only_what_depends_on_a_value_runs_again(make_engine: Callable[..., Engine]) -> None:
    swept = sweep(("2", "text", "red|blue"), ("3", "cfg", [1, 2, 3]))
    ran, shown = run_all(make_engine(*NODES), swept)
    assert ran == {"Model": 1, "Encode": 2, "Sample": 6, "Show": 8}
    assert swept.runs(["4", "5"]) == {"1": 1, "2": 2, "3": 6, "4": 6, "5": 2}
    assert swept.runs(["5"]) == {"1": 1, "2": 2, "5": 2}
    assert [number for number in shown if "5" in shown[number]] == [0, 3]
    assert shown[5] == {"4": {"text": ["a(a blue apple) 3.0 euler"]}}


def test_the_last_axis_changes_fastest() -> None:
    swept = sweep(("3", "cfg", "3,5"), ("3", "sampler", "euler,ddim,heun"))
    assert len(swept) == 6
    assert [swept.label(number) for number in range(3)] == [
        "cfg 3, sampler euler",
        "cfg 3, sampler ddim",
        "cfg 3, sampler heun",
    ]
    assert [swept.number(swept.places(number)) for number in range(6)] == list(range(6))
    assert swept.values(4) == {("3", "cfg"): 5.0, ("3", "sampler"): "ddim"}


def test_models_change_as_rarely_as_possible() -> None:
    swept = sweep(("3", "cfg", "1,2,3"), ("1", "name", "a,b"), ("2", "text", "red|blue"))
    names = [swept.values(number)[("1", "name")] for number in swept.order()]
    assert names == ["a"] * 6 + ["b"] * 6
    assert sorted(swept.order()) == list(range(12))


def test_two_axes_of_one_name_say_which_node_they_are_of() -> None:
    swept = sweep(("4", "note", "x|y"), ("5", "note", "x|y"))
    assert swept.titles() == ["Show 4 note", "Show 5 note"]


def test_a_combination_has_its_values_and_all_else_unchanged() -> None:
    api = sweep(("3", "cfg", "3,5")).workflow(1).to_api()
    expected = workflow().to_api()
    expected["3"]["inputs"]["cfg"] = 5.0
    assert api == expected


def test_its_description_lists_every_value_and_is_read_again() -> None:
    swept = sweep(("2", "text", "red|blue"), ("3", "cfg", "1..3"))
    data = json.loads(json.dumps(swept.as_data()))
    assert data[0] == {
        "node": "2",
        "input": "text",
        "values": ["a red apple", "a blue apple"],
        "labels": ["red", "blue"],
    }
    assert read_sweep(data, workflow(), REGISTRY, None).as_data() == data


def test_values_in_a_list_are_whole_and_converted() -> None:
    assert sweep(("2", "text", ["red", "a | b"])).axes[0].values == ("red", "a | b")
    assert sweep(("3", "cfg", [3, "5"])).axes[0].values == (3.0, 5.0)
    assert sweep(("3", "cfg", 4)).axes[0].values == (4.0,)
    assert read_sweep({"node": 3, "input": "cfg", "values": "1"}, workflow(), REGISTRY, None).axes[0].node == "3"


@pytest.mark.parametrize(
    ("axis", "message", "expected"),
    [
        ({"node": "9", "input": "cfg", "values": "1"}, "node '9', which does not exist", "the id of a node"),
        ({"node": "3", "input": "cgf", "values": "1"}, "no input 'cgf'", "one of text, cfg, sampler"),
        ({"node": "3", "input": "text", "values": "1"}, "is linked to node 2", "not linked"),
        ({"node": "3", "input": "cfg", "values": "a"}, "'a' is not a number", "such as 3,5,7"),
        ({"node": "3", "input": "cfg", "values": None}, "neither a list nor a text", "values"),
        ({"node": "3", "input": "cfg", "values": []}, "there are no values", "at least one"),
        ({"node": "3", "input": "cfg"}, "lacks its node, input or values", "input"),
        ("cfg", "lacks its node, input or values", "input"),
    ],
)
def test_an_axis_that_cannot_be(axis: Any, message: str, expected: str) -> None:
    (problem,) = refused(axis)
    assert message in problem.message
    assert expected in str(problem.expected)


def test_a_misspelt_input_has_a_suggestion() -> None:
    assert refused({"node": "3", "input": "cgf", "values": "1"})[0].suggestions == ("cfg",)


def test_all_bad_axes_are_listed_at_once() -> None:
    axes = [{"node": "9", "input": "cfg", "values": "1"}, {"node": "3", "input": "cfg", "values": "x"}]
    assert [problem.node_id for problem in refused(*axes)] == ["9", "3"]


def test_there_are_one_to_three_axes_of_different_inputs() -> None:
    axis = {"node": "3", "input": "cfg", "values": "1,2"}
    assert "this one has 4" in refused(axis, axis, axis, axis)[0].message
    assert "this one has 0" in refused()[0].message
    assert "two axes for this input" in refused(axis, axis)[0].message


def test_too_many_combinations_are_refused_before_they_are_listed() -> None:
    many = {"node": "3", "input": "cfg", "values": "1..1000"}
    text = {"node": "2", "input": "text", "values": "|".join(map(str, range(1000)))}
    assert "1000000 combinations" in refused(many, text)[0].message


def problems(*axes: tuple[str, str, Any]) -> list[Problem]:
    return problems_of(sweep(*axes), REGISTRY, None, ["4", "5"], run_custom=True)


def test_every_value_is_validated() -> None:
    found = problems(("3", "cfg", "3,99,-1"), ("3", "sampler", "euler,eular"))
    assert [(problem.type, problem.node_id, problem.input_name) for problem in found] == [
        ("value_bigger_than_max", "3", "cfg"),
        ("value_smaller_than_min", "3", "cfg"),
        ("value_not_in_list", "3", "sampler"),
    ]
    assert found[0].extra["dependent_outputs"] == ["4"]
    assert problems(("3", "cfg", "3,30"), ("3", "sampler", "all")) == []
    assert [problem.found for problem in problems(("3", "cfg", [99, 3, 98]))] == [99.0, 98.0]


def test_an_axis_without_effect_is_a_problem() -> None:
    nodes = {**workflow().nodes, "6": WorkflowNode("Model", {"name": "a"})}
    swept = read_sweep([{"node": "6", "input": "name", "values": "all"}], Workflow(nodes), REGISTRY, None)
    (problem,) = problems_of(swept, REGISTRY, None, ["4"], run_custom=True)
    assert "nothing that the workflow saves or shows depends on this input" in problem.message


def test_pictures_are_counted_with_their_batches() -> None:
    @node("Empty", category="test")
    def empty(*, batch_size: int = 1) -> Text:
        """Make latents."""
        return str(batch_size)

    registry = REGISTRY.with_types({"Empty": empty.node_type})  # type: ignore[attr-defined]
    nodes = {**workflow().nodes, "2": WorkflowNode("Empty", {"batch_size": 4})}
    cfg = {"node": "3", "input": "cfg", "values": "1..30"}
    assert read_sweep([cfg], Workflow(nodes), registry, None).pictures(["4", "5"]) == 120
    sizes = {"node": "2", "input": "batch_size", "values": "1,3"}
    assert read_sweep([cfg, sizes], Workflow(nodes), registry, None).pictures(["4"]) == 120
    assert sweep(("3", "cfg", "1..30")).pictures(["4"]) == 30


def test_a_grid_has_the_axes_of_its_output() -> None:
    swept = sweep(("2", "text", "red|blue"), ("3", "cfg", "1,2,3"))

    def picture(number: int) -> dict[str, Any]:
        return {"images": [{"filename": f"{number}.png", "subfolder": "", "type": "output", "more": 1}]}

    shown = {number: {"4": picture(number), "5": {"text": ["x"]}} for number in range(6)}
    grid = grid_workflow(swept, shown, ["4", "5"], workflow().to_api())
    assert list(grid.nodes) == ["4"] and grid.nodes["4"].class_type == GRID_NODE
    described = json.loads(grid.nodes["4"].inputs["grid"])
    assert described["axes"] == [
        {"title": "text", "labels": ["red", "blue"]},
        {"title": "cfg", "labels": ["1", "2", "3"]},
    ]
    assert [cell[0]["filename"] for cell in described["cells"]] == [f"{number}.png" for number in range(6)]
    assert json.loads(grid.nodes["4"].inputs["workflow"]) == workflow().to_api()
    shown = {number: {"5": picture(number)} for number in (0, 3)}
    described = json.loads(grid_workflow(swept, shown, ["4", "5"], {}).nodes["5"].inputs["grid"])
    assert len(described["axes"]) == 1 and len(described["cells"]) == 2


ROOT = Path(__file__).resolve().parents[3]


def editor_file(name: str) -> tuple[dict[str, Any], Registry]:
    from nodes.rooms import registry

    return json.loads((ROOT / "workflows" / name).read_text(encoding="utf-8")), registry()


def test_a_picture_s_document_has_the_values_that_made_it() -> None:
    document, registry = editor_file("text_to_image.json")
    before = load(document, registry)
    values = {("7", "cfg"): 3.5, ("7", "sampler_name"): "ddim", ("2", "text"): "a pear"}
    changed = with_values(document, values, registry)
    assert changed is not None
    after = load(changed, registry)
    assert {place: after.nodes[place[0]].inputs[place[1]] for place in values} == values
    assert after.nodes["7"].inputs["seed"] == before.nodes["7"].inputs["seed"]
    assert changed["links"] == document["links"]


def test_a_document_that_cannot_hold_the_value_is_left_out() -> None:
    document, registry = editor_file("text_to_image.json")
    assert with_values(document, {("99", "cfg"): 3.5}, registry) is None
    assert with_values(document, {("7", "none"): 3.5}, registry) is None
    assert with_values({"nodes": 3}, {("7", "cfg"): 3.5}, registry) is None
