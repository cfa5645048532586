"""A pack that uses every feature, through HTTP, under each kind of cache, cold and warm."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes.compat.pack_client import MODES, Client, node
from tests.server.running_server import running

PACKS = Path(__file__).parent / "packs"


@pytest.fixture(scope="module", params=MODES)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    base = tmp_path_factory.mktemp(request.param)
    (base / "models" / "checkpoints").mkdir(parents=True)
    (base / "models" / "checkpoints" / "a.safetensors").touch()
    shutil.copytree(PACKS, base / "elsewhere")
    (base / "extra.yaml").write_text("testing:\n  custom_nodes: elsewhere/custom_nodes\n")
    with running(base, "--extra-model-paths-config", str(base / "extra.yaml"), *MODES[request.param]) as server:
        server.until_ready()
        yield Client(server, caches=request.param != "none")


def shown(class_type: str, output: int = 0, **inputs: Any) -> dict[str, Any]:
    """A prompt of one node and another that shows its outputs."""
    return {"it": node(class_type, **inputs), "show": node("Show", value=["it", output])}


def test_values_pass_and_are_cached(client: Client) -> None:
    prompt = {"n": node("Number", value=5), **shown("Sum", a=["n", 0], b=["n", 0])}
    first = client.run(prompt)
    assert first.value() == [10]
    assert first.outputs["show"]["id"] == ["show"]
    second = client.run(prompt)
    assert second.value() == [10]
    if client.caches:
        assert second.ran == []
        assert set(second.cached) == {"n", "it", "show"}
    else:
        assert set(second.ran) == {"n", "it", "show"}


def test_choices_files_and_optional_inputs(client: Client) -> None:
    ran = client.run(shown("Choose", one="a", two="d", model="a.safetensors", surplus=3))
    assert ran.value() == ["a d a.safetensors absent absent"]
    answer = client.refused(shown("Choose", one="z", two="d", model="None"))
    assert [error["type"] for error in answer["node_errors"]["it"]["errors"]] == ["value_not_in_list"]


def test_a_dict_that_has_any_name(client: Client) -> None:
    prompt = {"n": node("Number", value=5), **shown("Flexible", z=["n", 0], anything="text")}
    assert client.run(prompt).value() == ["[('anything', 'text'), ('z', 5)]"]


@pytest.mark.parametrize("which", [True, False])
def test_a_lazy_switch_never_runs_the_other_side(client: Client, which: bool) -> None:
    prompt = {"a": node("Sum", a=1), "b": node("Boom", value=2), **shown("Pick", which=which)}
    prompt["it"]["inputs"] |= {"yes": ["a", 0], "no": ["b", 0]} if which else {"yes": ["b", 0], "no": ["a", 0]}
    ran = client.run(prompt)
    assert ran.value() == [1] and "b" not in ran.ran


def test_lists_of_different_lengths(client: Client) -> None:
    prompt = {
        "three": node("Spread", count=3),
        "two": node("Spread", count=2),
        "sum": node("Sum", a=["three", 0], b=["two", 0]),
        **shown("Gather", a=["sum", 0], b=["two", 0]),
        "each": node("Show", value=["sum", 0]),
    }
    ran = client.run(prompt)
    assert ran.value() == ["[0, 2, 3] [0, 1] ['it']"]
    assert ran.value("each") == [0, 2, 3]


def test_blockers(client: Client) -> None:
    prompt = {"three": node("Spread", count=4), **shown("Block", value=["three", 0], below=2, message="")}
    assert client.run(prompt).value() == [2, 3]
    ran = client.run({"n": node("Number", value=1), **shown("Block", value=["n", 0], below=2, message="too small")})
    assert "show" not in ran.outputs
    assert [(error["node_id"], "too small" in error["exception_message"]) for error in ran.errors] == [("show", True)]
    assert ran.messages[-2][0] == "execution_success"


def test_is_changed(client: Client) -> None:
    def calls(mark: str) -> list[Any]:
        return [
            client.run(shown("Changing", mark=mark, linked=["it2", 0]) | {"it2": node("Number", value=1)}).ran
            for _ in "12"
        ]

    assert ("it" in calls("same")[1]) is not client.caches
    assert "it" in calls("always")[1]
    assert "it" in calls("broken")[1]


def test_an_instance_lives_on(client: Client) -> None:
    prompt = {"mine": node("Changing", mark="always"), "see": node("Show", value=["mine", 0])}
    first, second = (client.run(prompt).value("see")[0] for _ in range(2))
    assert second == first + 1


def test_own_validation(client: Client) -> None:
    assert client.run(shown("Careful", value=50, other=1)).value() == [51]
    for inputs, kind in (
        ({"value": 101, "other": 1}, "custom_validation_failed"),
        ({"value": 1, "other": 11}, "value_bigger_than_max"),
    ):
        answer = client.refused(shown("Careful", **inputs))
        assert [error["type"] for error in answer["node_errors"]["it"]["errors"]] == [kind]
    assert client.run(shown("CarefulLater", value=50, other=11)).value() == [61]
    client.refused(shown("CarefulLater", value=50, other=5))


def test_own_validation_of_types(client: Client) -> None:
    texts = {"text": node("PrimitiveString", value="x"), "float": node("PrimitiveFloat", value=1.0)}
    assert client.run({**texts, **shown("OfTypes", value=["text", 0])}).value() == ["x"]
    answer = client.refused({**texts, **shown("OfTypes", value=["float", 0])})
    assert "FLOAT is not what I like" in str(answer["node_errors"])


def test_errors_name_the_placed_node_and_the_one_inside(client: Client) -> None:
    ran = client.run(shown("Boom", value=3))
    (error,) = ran.errors
    assert (error["node_id"], error["node_type"], error["exception_message"]) == ("it", "Boom", "boom 3")
    assert any("raise ValueError" in line for line in error["traceback"])
    ran = client.run(shown("Expand", kind="Boom", value=4))
    (error,) = ran.errors
    assert (error["node_id"], error["node_type"]) == ("it", "Expand")
    assert (error["inner_node_id"], error["inner_node_type"]) == ("it.0.0.1", "Boom")
    assert error["exception_message"] == "boom 4\nin node it.0.0.1 (Boom), made by node it (Expand)"
    assert error["exception_type"] == "ValueError" and "it.0.0.1" in ran.ran


def test_an_error_three_expansions_deep_names_the_outermost_and_the_innermost(client: Client) -> None:
    (error,) = client.run(shown("Expand", kind="ExpandToBoom", value=5)).errors
    assert (error["node_id"], error["node_type"]) == ("it", "Expand")
    assert (error["inner_node_id"], error["inner_node_type"]) == ("it.0.0.1.0.0.1.0.0.1", "Boom")
    assert error["exception_message"] == "boom 5\nin node it.0.0.1.0.0.1.0.0.1 (Boom), made by node it (Expand)"


def test_an_error_in_a_later_turn_of_a_loop_names_the_loop_and_the_turn(client: Client) -> None:
    """The second turn runs nodes that the loop's end made."""
    prompt = {
        "start": node("Number", value=2),
        "open": node("LoopOpen", turns=3, value=["start", 0]),
        "less": node("Less", value=["open", 1]),
        **shown("LoopClose", loop=["open", 0], left=["open", 2], value=["less", 0]),
    }
    ran = client.run(prompt)
    (error,) = ran.errors
    assert (error["node_id"], error["node_type"], error["inner_node_type"]) == ("it", "LoopClose", "Less")
    assert error["inner_node_id"] == ran.ran[-1] and ran.shown_on[-1] == "less"
    assert error["exception_message"].startswith("no less than 1\nin node ")


def test_a_blocker_with_a_message_inside_an_expansion_names_both(client: Client) -> None:
    (error,) = client.run(shown("Expand", kind="ExpandToBlocked", value=1)).errors
    assert (error["node_id"], error["node_type"], error["exception_type"]) == ("it", "Expand", "ExecutionBlocked")
    assert error["exception_message"].startswith("Execution blocked: too small\nin node ")
    assert error["inner_node_type"] == "Sum"


@pytest.mark.parametrize("kind", ["NoSuchNode", "cycle"])
def test_expansions_that_cannot_run(client: Client, kind: str) -> None:
    (error,) = client.run(shown("Expand", kind=kind, value=1)).errors
    assert error["node_id"] == "it"


def test_expansion(client: Client) -> None:
    ran = client.run(shown("Expand", kind="Number", value=6))
    assert ran.value() == [6]
    assert ran.shown_on[ran.ran.index("it.0.0.1")] == "it"
    assert client.run(shown("Expand", kind="Number", value=6)).value() == [6]


@pytest.mark.parametrize("turns", [3, 500])
def test_a_loop(client: Client, turns: int) -> None:
    prompt = {
        "start": node("Number", value=10),
        "open": node("LoopOpen", turns=turns, value=["start", 0]),
        "add": node("Sum", a=["open", 1], one=["one", 0]),
        "one": node("Number", value=1),
        **shown("LoopClose", loop=["open", 0], left=["open", 2], value=["add", 0]),
    }
    ran = client.run(prompt)
    assert ran.value() == [10 + turns]
    assert ran.shown_on.count("add") == turns
    assert set(ran.shown_on) <= {"start", "one", "open", "add", "it", "show"}
    assert client.run(prompt).value() == [10 + turns]


def test_an_error_in_a_loop(client: Client) -> None:
    prompt = {
        "start": node("Number", value=2),
        "open": node("LoopOpen", turns=3, value=["start", 0]),
        "pick": node("Pick", which=False, yes=["open", 1], no=["boom", 0]),
        "boom": node("Boom", value=["open", 1]),
        **shown("LoopClose", loop=["open", 0], left=["open", 2], value=["pick", 0]),
    }
    (error,) = client.run(prompt).errors
    assert (error["node_id"], error["node_type"]) == ("boom", "Boom")


def test_async_nodes_overlap(client: Client) -> None:
    prompt = {
        "a": node("Nap", value=client.caches * 10 + 1),
        "b": node("Nap", value=client.caches * 10 + 2),
        **shown("Sum", a=["a", 0], b=["b", 0]),
    }
    assert client.run(prompt).value()[0] >= 3


def test_progress_and_messages(client: Client) -> None:
    ran = client.run(shown("Work", value=["n", 0]) | {"n": node("Restless", value=len(MODES))})
    assert ran.value() == ["True 0"]
    progress = [(data["value"], data["max"]) for kind, data in ran.messages if kind == "progress"]
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_hidden_inputs_and_raw_links(client: Client) -> None:
    prompt = {"n": node("Number"), **shown("Seen", value=["n", 0])}
    prompt["n"]["inputs"] = {"value": 3}
    ran = client.run(prompt, extra_data={"extra_pnginfo": {"a": 1}})
    assert ran.value() == ["['n', 0] Number 3 {'a': 1} None"]


def test_core_nodes_as_classes(client: Client) -> None:
    assert client.run(shown("Core", value=8)).value() == [9]


def test_schema_nodes(client: Client) -> None:
    prompt = {
        "n": node("Number", value=5),
        "7": node("SchemaAdd", a=2, b=["n", 0], sign="plus"),
        "sum": node("SchemaShow", value=["7", 0]),
        "list": node("Show", value=["7", 1]),
    }
    ran = client.run(prompt)
    assert ran.outputs["sum"] == {"text": ["7"]}
    assert ran.value("list") == [7, 7]
    answer = client.refused({**prompt, "7": node("SchemaAdd", a=9, sign="plus")})
    assert "nine is not allowed" in str(answer["node_errors"])
    answer = client.refused({**prompt, "7": node("SchemaAdd", a=1, sign="times")})
    assert answer["node_errors"]["7"]["errors"][0]["type"] == "value_not_in_list"


def test_schema_groups_of_inputs(client: Client) -> None:
    inputs = {"numbers.number0": 1, "numbers.number2": ["n", 0], "mode": "scaled", "mode.factor": 10}
    assert client.run({"n": node("Number", value=5), **shown("SchemaGrow", **inputs)}).value() == [60]
    assert client.run(shown("SchemaGrow", **{"numbers.number0": 4, "mode": "plain"})).value() == [4]
    halved = {"numbers.number0": 8, "mode": "halved"}
    assert client.run(shown("SchemaGrow", **halved, **{"mode.factor": 0.25})).value() == [2]
    assert client.run(shown("SchemaGrow", **halved)).value() == [4]


def test_schema_blocking_and_async(client: Client) -> None:
    ran = client.run({"n": node("Number", value=5), **shown("SchemaStop", value=["n", 0])})
    assert "show" not in ran.outputs
    assert "stopped here" in ran.errors[0]["exception_message"]


def test_object_info(client: Client) -> None:
    info = client.server.get("/object_info")[1]
    assert info["KSampler"]["category"] == "sampling"
    assert info["ImageInvert"]["category"] == "replaced"
    number = info["Number"]
    assert number["display_name"] == "A Number" and number["python_module"] == "custom_nodes.features"
    assert number["input"]["required"]["value"] == ["INT", {"default": 7, "min": 0, "max": 16384}]
    choose = info["Choose"]["input"]
    assert choose["required"]["one"] == [["a", "b"]]
    assert choose["required"]["two"] == [
        "COMBO",
        {"multiselect": False, "tooltip": "the second", "options": ["c", "d"]},
    ]
    assert choose["required"]["model"] == [["None", "a.safetensors"]]
    assert choose["optional"]["note"] == ["STRING", {"default": "shown", "multiline": True}]
    assert info["Spread"]["output_name"] == ["each", "count"]
    assert info["Spread"]["output_tooltips"] == ["one by one", "how many"]
    assert info["Restless"]["deprecated"] and info["Restless"]["experimental"]
    assert info["SchemaGrow"]["input"]["required"]["numbers"][0] == "COMFY_AUTOGROW_V3"
    assert info["SchemaAdd"]["input"]["required"]["a"][1]["tooltip"] == "the first"
    assert "Bare" not in info


def test_files_are_listed_as_they_are_now(client: Client) -> None:
    new = client.server.base / "models" / "checkpoints" / "new.safetensors"
    new.touch()
    info = client.server.get("/object_info/Choose")[1]["Choose"]
    new.unlink()
    assert info["input"]["required"]["model"] == [["None", "a.safetensors", "new.safetensors"]]


def test_messages_of_packs_reach_clients(client: Client) -> None:
    ran = client.run(shown("Work", value=["n", 0]) | {"n": node("Restless", value=100)})
    assert ("features.done", {"node": "it"}) in [(kind, data) for kind, data in ran.messages]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_routes_of_packs_are_answered_by_them(client: Client, prefix: str) -> None:
    assert client.server.get(f"{prefix}/features/you?a=1") == (200, {"hello": "you", "query": {"a": "1"}})
    assert client.server.get(f"{prefix}/features_of_nobody")[0] == 404
    assert client.server.post(f"{prefix}/features/you", {})[0] == 405


def test_scripts_of_packs_are_listed_and_served(client: Client) -> None:
    assert client.server.get("/extensions") == (200, ["/extensions/features/features.js"])
    assert "app.js" in client.server.get("/extensions/features/features.js")[1]
    assert client.server.get("/extensions/features/%2e%2e/loops.py")[0] in (400, 404)
    assert client.server.get("/extensions/schema_features/__init__.py")[0] == 404


def test_readyz_says_what_is_out_of_the_ordinary(client: Client) -> None:
    packs = client.server.get("/readyz")[1]["packs"]
    assert packs["fails"]["failure"] == "RuntimeError: this pack is broken"
    assert packs["replaces"]["replaced"] == ["ImageInvert"]
    assert packs["features"]["ignored"] == ["KSampler"] and packs["features"]["printed"] == ["features is here"]
    assert "comfy.ldm" in packs["foreign"]["hint"]
    assert "NoSuchNode" in packs["foreign_nodes"]["hint"]
    assert "schema_features" not in packs


def test_how_packs_fared_is_in_the_log(client: Client) -> None:
    log = (client.server.base / "server.log").read_text()
    for line in (
        "custom node pack fails failed to import",
        "this pack is broken",
        "custom node pack exits failed to import",
        "needs a part of ComfyUI that Sumi does not have (comfy.ldm",
        "custom node pack features: features is here",
        "custom node pack features: node 'Bare' cannot be used",
        "custom node pack features redefines built-in nodes; the built-in ones are kept: KSampler",
        "custom node pack replaces replaces built-in nodes: ImageInvert",
        "a-distribution-that-nobody-has not installed",
        "pip install -r",
    ):
        assert line in log, line
