"""Validation reports all problems at once, with what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from graph.errors import Problem
from graph.folders import Folders
from graph.formats import load
from graph.node import AddedLater, Choices, Files, Lazy, Range, Socket, SocketOnly, node
from graph.node_types.describe import describe
from graph.schema import NodeType
from graph.validation.validate import custom_validated, validate, validate_outputs

Picture = Annotated[Any, Socket("IMAGE")]
Latent = Annotated[Any, Socket("LATENT")]


@node("Noise", category="")
def noise(
    *,
    seed: Annotated[int, Range(0, 2**64 - 1)] = 0,
    strength: Annotated[float, Range(0.0, 1.0)] = 1.0,
    label: str = "",
    flip: bool = False,
    kind: Literal["white", "brown", "pink"] = "white",
) -> Latent:
    return seed


@node("Decode", category="")
def decode(*, samples: Latent, mask: Picture | None = None) -> Picture:
    return samples


@node("Save", category="", output_node=True)
def save(*, images: Picture, filename_prefix: str = "out") -> None:
    return None


@node("Show", category="", output_node=True)
def show(*, anything: Annotated[Any, Socket("*")]) -> None:
    return None


@node("Read", category="")
def read(*, image: Annotated[str, Files("input")]) -> Picture:
    return image


@node("Sizes", category="", output_node=True)
def sizes(*, size: Annotated[int, Choices((1, 2, 4))] = 1, wired: Annotated[int, SocketOnly] = 0) -> None:
    return None


@node("Tiled", category="", output_node=True)
def tiled(
    *,
    samples: Latent,
    size: int = 512,
    overlap: Annotated[int, AddedLater] = 64,
    kind: Annotated[Literal["a", "b"], AddedLater],
) -> None:
    return None


def _even(count: int) -> bool | str:
    if count == 13:
        raise RuntimeError("thirteen")
    return count % 2 == 0 or f"{count} is odd"


@node("Even", category="", output_node=True, validate=_even)
def even(*, count: Annotated[int, Range(0, 10)] = 0) -> None:
    return None


@node("Mix", category="")
def mix(*, first: Annotated[Any, Socket("IMAGE,LATENT"), Lazy], second: Annotated[Any, Socket("LATENT")]) -> Latent:
    return first


FUNCTIONS: list[Any] = [noise, decode, save, show, read, sizes, tiled, even, mix]
REGISTRY: dict[str, NodeType] = {f.node_type.name: f.node_type for f in FUNCTIONS}


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders(*(tmp_path / name for name in ("input", "output", "temp", "user")))
    for place, name in [("input", "cat.png"), ("input", "sub/dog.png"), ("output", "made.png")]:
        path = made.place(place) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return made


def problems_of(graph: dict[str, Any], **kwargs: Any) -> list[Problem]:
    return validate(load(graph, REGISTRY), REGISTRY, **kwargs)


def one_problem(graph: dict[str, Any], **kwargs: Any) -> Problem:
    (problem,) = problems_of(graph, **kwargs)
    return problem


def picture(**noise_inputs: Any) -> dict[str, Any]:
    given = {"seed": 1, "strength": 1.0, "label": "", "flip": False, "kind": "white", **noise_inputs}
    return {
        "1": {"class_type": "Noise", "inputs": given},
        "2": {"class_type": "Decode", "inputs": {"samples": ["1", 0]}},
        "3": {"class_type": "Save", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }


def test_a_valid_workflow_has_no_problems_and_its_outputs_may_run() -> None:
    verdict = validate_outputs(load(picture(), REGISTRY), REGISTRY)
    assert verdict.problems == ()
    assert verdict.valid_outputs == ("3",)
    assert verdict.invalid_outputs == ()


def test_all_problems_come_at_once_each_with_its_place() -> None:
    graph = picture(seed=-1, strength=7, kind="whyte")
    graph["2"]["inputs"] = {"sample": ["1", 0]}
    graph["3"]["class_type"] = "Savee"
    graph["4"] = {"class_type": "Save", "inputs": {"images": ["2", 0], "filename_prefix": "x"}}
    found = {(p.type, p.node_id, p.class_type, p.input_name) for p in problems_of(graph)}
    # Node 1 is not needed: the misspelt input leads nowhere.
    assert found == {
        ("required_input_missing", "2", "Decode", "samples"),
        ("unknown_node_type", "3", "Savee", None),
    }
    graph["2"]["inputs"] = {"samples": ["1", 0]}
    found = {(p.type, p.node_id, p.class_type, p.input_name) for p in problems_of(graph)}
    assert found == {
        ("value_smaller_than_min", "1", "Noise", "seed"),
        ("value_bigger_than_max", "1", "Noise", "strength"),
        ("value_not_in_list", "1", "Noise", "kind"),
        ("unknown_node_type", "3", "Savee", None),
    }


def test_an_input_that_is_newer_than_its_node_may_be_missing() -> None:
    graph = picture()
    graph["3"] = {"class_type": "Tiled", "inputs": {"samples": ["1", 0], "size": 64}}
    assert problems_of(graph) == []
    assert describe(REGISTRY["Tiled"], lambda folder: [])["input"]["required"]["overlap"] == ["INT", {"default": 64}]
    del graph["3"]["inputs"]["size"]
    assert (one_problem(graph).type, one_problem(graph).input_name) == ("required_input_missing", "size")


def test_misspelt_names_get_the_nearest_ones() -> None:
    graph = picture(kind="whit")
    assert one_problem(graph).suggestions[0] == "white"
    graph = picture()
    graph["2"]["class_type"] = "decode"
    assert one_problem(graph).suggestions == ("Decode",)
    graph = picture()
    graph["1"]["inputs"]["stregnth"] = graph["1"]["inputs"].pop("strength")
    problem = one_problem(graph)
    assert problem.input_name == "strength"
    assert problem.found == "stregnth"
    assert problem.suggestions == ("strength",)
    assert "Did you mean 'strength'?" in str(problem)


def test_extra_inputs_are_ignored_even_when_linked_to_nothing() -> None:
    assert problems_of(picture(colour="red", other=["99", 0])) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 3.0),
        ("seed", "3"),
        ("strength", 1),
        ("strength", "0.5"),
        ("flip", 1),
        ("flip", "false"),
        ("label", 7),
    ],
)
def test_literals_are_coerced_as_loosely_as_clients_write_them(name: str, value: Any) -> None:
    assert problems_of(picture(**{name: value})) == []


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("seed", "many", "invalid_input_type"),
        ("seed", None, "invalid_input_type"),
        ("seed", float("nan"), "invalid_input_type"),
        ("seed", 2**64, "value_bigger_than_max"),
        ("strength", float("inf"), "invalid_input_type"),
        ("strength", 10**400, "invalid_input_type"),
        ("strength", {"a": 1}, "invalid_input_type"),
        ("flip", "perhaps", "invalid_input_type"),
        ("label", {"__value__": ["a"]}, "invalid_input_type"),
        ("kind", 5, "value_not_in_list"),
        ("kind", {"__value__": []}, "value_not_in_list"),
    ],
)
def test_literals_of_the_wrong_kind(name: str, value: Any, kind: str) -> None:
    problem = one_problem(picture(**{name: value}))
    assert (problem.type, problem.input_name) == (kind, name)
    assert problem.expected


def test_a_value_cannot_stand_for_a_type_that_nodes_make() -> None:
    graph = picture()
    graph["2"]["inputs"]["samples"] = "latent.bin"
    problem = one_problem(graph)
    assert (problem.type, problem.input_name) == ("invalid_input_type", "samples")
    assert "link" in (problem.expected or "")


@pytest.mark.parametrize("link", [["9", 0], ["1", 1], ["1", -1], ["1"], [], [["1"], 0], ["1", "0"], [1, 2, 3]])
def test_links_to_what_does_not_exist(link: Any) -> None:
    graph = picture()
    graph["2"]["inputs"]["samples"] = link
    problem = one_problem(graph)
    assert (problem.type, problem.node_id, problem.input_name) == ("bad_linked_input", "2", "samples")


def test_links_between_types_that_do_not_fit() -> None:
    graph = picture()
    graph["3"]["inputs"]["images"] = ["1", 0]
    problem = one_problem(graph)
    assert (problem.type, problem.found, problem.expected) == ("return_type_mismatch", "LATENT", "IMAGE")


def test_any_type_and_lists_of_types_take_what_they_say() -> None:
    graph = picture()
    graph["4"] = {"class_type": "Mix", "inputs": {"first": ["2", 0], "second": ["1", 0]}}
    graph["5"] = {"class_type": "Show", "inputs": {"anything": ["4", 0]}}
    graph["6"] = {"class_type": "Show", "inputs": {"anything": "text"}}
    assert problems_of(graph) == []


def test_cycles_are_named_node_by_node() -> None:
    graph = {
        "a": {"class_type": "Mix", "inputs": {"first": ["c", 0], "second": ["c", 0]}},
        "b": {"class_type": "Mix", "inputs": {"first": ["a", 0], "second": ["a", 0]}},
        "c": {"class_type": "Mix", "inputs": {"first": ["b", 0], "second": ["b", 0]}},
        "self": {"class_type": "Mix", "inputs": {"first": ["self", 0], "second": ["c", 0]}},
        "out": {"class_type": "Show", "inputs": {"anything": ["self", 0]}},
    }
    problems = problems_of(graph)
    assert [p.type for p in problems] == ["dependency_cycle"] * 2
    assert [p.extra["cycle"] for p in problems] == [("a", "b", "c"), ("self",)]
    assert "a → b → c → a" in problems[0].message
    assert {p.extra["dependent_outputs"] for p in problems} == {("out",)}


def test_only_what_outputs_need_is_checked() -> None:
    graph = picture()
    graph["4"] = {"class_type": "Noise", "inputs": {"seed": "rubbish"}}
    assert problems_of(graph) == []


def test_targets_narrow_what_is_checked() -> None:
    graph = picture()
    graph["4"] = {"class_type": "Show", "inputs": {}}
    assert problems_of(graph, targets=["3"]) == []
    assert one_problem(graph, targets=["4"]).type == "required_input_missing"
    assert problems_of(graph, targets=["2"]) == []
    missing = one_problem(graph, targets=["33"])
    assert (missing.type, missing.suggestions) == ("prompt_no_outputs", ("3",))


def test_no_output_is_a_problem_and_says_which_unknown_class_may_be_it() -> None:
    graph = picture()
    graph["3"]["class_type"] = "SaveFancy"
    kinds = [p.type for p in problems_of(graph)]
    assert kinds == ["prompt_no_outputs", "unknown_node_type"]
    assert "SaveFancy" in problems_of(graph)[0].details
    assert one_problem({}).type == "prompt_no_outputs"


def test_valid_outputs_may_run_although_others_may_not() -> None:
    graph = picture()
    graph["4"] = {"class_type": "Decode", "inputs": {}}
    graph["5"] = {"class_type": "Show", "inputs": {"anything": ["4", 0]}}
    graph["6"] = {"class_type": "Save", "inputs": {"images": ["4", 0], "filename_prefix": "x"}}
    verdict = validate_outputs(load(graph, REGISTRY), REGISTRY)
    assert verdict.valid_outputs == ("3",)
    assert verdict.invalid_outputs == ("5", "6")
    assert list(verdict.by_node()) == ["4"]
    assert verdict.problems[0].extra["dependent_outputs"] == ("5", "6")


def test_file_choices_are_looked_up_and_may_name_their_folder(folders: Folders) -> None:
    def graph(name: Any) -> dict[str, Any]:
        return {
            "1": {"class_type": "Read", "inputs": {"image": name}},
            "2": {"class_type": "Show", "inputs": {"anything": ["1", 0]}},
        }

    assert problems_of(graph("cat.png"), folders=folders) == []
    assert problems_of(graph("cat.png [input]"), folders=folders) == []
    assert problems_of(graph("sub/dog.png"), folders=folders) == []
    assert one_problem(graph("../output/made.png"), folders=folders).type == "value_not_in_list"
    assert problems_of(graph("made.png [output]"), folders=folders) == []
    assert problems_of(graph("anything.png")) == []
    problem = one_problem(graph("cta.png"), folders=folders)
    assert (problem.type, problem.suggestions[0]) == ("value_not_in_list", "cat.png")
    assert one_problem(graph("cat.png [output]"), folders=folders).type == "value_not_in_list"
    assert one_problem(graph(3), folders=folders).type == "value_not_in_list"


def test_choices_need_not_be_text() -> None:
    assert problems_of({"1": {"class_type": "Sizes", "inputs": {"size": 4, "wired": 3}}}) == []
    problem = one_problem({"1": {"class_type": "Sizes", "inputs": {"size": 3, "wired": 3}}})
    assert problem.expected == "one of 1, 2, 4"


def test_own_validation_is_asked_about_literals() -> None:
    def graph(count: Any) -> dict[str, Any]:
        return {"1": {"class_type": "Even", "inputs": {"count": count}}}

    assert problems_of(graph("4")) == []
    odd = one_problem(graph(5))
    assert (odd.type, odd.message, odd.input_name) == ("custom_validation_failed", "5 is odd", "count")
    assert odd.details == "count: 5"
    assert one_problem(graph(13)).type == "exception_during_validation"
    assert one_problem(graph("x")).type == "invalid_input_type"
    # What a node checks itself is not checked against the schema's bounds.
    assert problems_of(graph(20)) == []
    assert problems_of(graph(5), run_custom=False) == []
    assert custom_validated(load(graph(5), REGISTRY), REGISTRY) == ["1"]


def test_ten_thousand_nodes_deep_is_no_recursion() -> None:
    graph: dict[str, Any] = {"0": {"class_type": "Noise", "inputs": picture()["1"]["inputs"]}}
    for index in range(1, 10_000):
        link = [str(index - 1), 0]
        graph[str(index)] = {"class_type": "Mix", "inputs": {"first": link, "second": link}}
    graph["out"] = {"class_type": "Show", "inputs": {"anything": ["9999", 0]}}
    assert problems_of(graph) == []
    graph["0"]["inputs"]["seed"] = "x"
    assert one_problem(graph).extra["dependent_outputs"] == ("out",)
    graph["1"]["inputs"]["first"] = ["9999", 0]
    assert len(problems_of(graph)) == 2
