"""Runs of a pack's graphs seen by clients: what runs, what is cached, and where errors are reported."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from tests.nodes.compat.pack_client import MODES, Client, Ran, node
from tests.server.running_server import running

FLOW = Path(__file__).parent / "flow"


@pytest.fixture(scope="module", params=MODES)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    base = tmp_path_factory.mktemp(request.param)
    shutil.copytree(FLOW, base / "elsewhere")
    (base / "elsewhere" / "paths.yaml").write_text("testing:\n  custom_nodes: custom_nodes\n")
    flags = ["--extra-model-paths-config", str(base / "elsewhere" / "paths.yaml"), "--listen", "127.0.0.1"]
    with running(base, *flags, "--output-directory", str(base / "out"), *MODES[request.param]) as server:
        server.until_ready()
        yield Client(server, caches=request.param != "none")


def image(shade: str = "black") -> dict[str, Any]:
    return node("PlainImage", shade=shade, size=64)


def saved(*link: Any) -> dict[str, Any]:
    return node("SaveImage", images=list(link), filename_prefix="flow")


def mixture(mask: float = 0.5) -> dict[str, Any]:
    return {
        "black": image("black"),
        "white": image("white"),
        "mask": node("PlainMask", value=mask, size=64),
        "mix": node("LazyMix", image1=["black", 0], image2=["white", 0], mask=["mask", 0]),
        "save": saved("mix", 0),
    }


def is_flat(picture: numpy.ndarray, value: int) -> bool:
    return int(picture.min()) == int(picture.max()) == value


def seen(ran: Ran) -> set[str]:
    return {*ran.ran, *ran.cached}


# -- what runs, and what is cached -------------------------------------------------------------------------------


@pytest.mark.parametrize(("mask", "unseen"), [(0.5, None), (0.0, "white"), (1.0, "black")])
def test_a_lazy_mixture_runs_only_what_shows(client: Client, mask: float, unseen: str | None) -> None:
    prompt = mixture(mask)
    prompt["black"]["inputs"]["size"] = prompt["white"]["inputs"]["size"] = prompt["mask"]["inputs"]["size"] = 32
    ran = client.run(prompt)
    (picture,) = client.pictures(ran, "save")
    assert is_flat(picture, int(mask * 255))
    if unseen is not None:
        assert unseen not in ran.ran


def test_a_second_run_is_cached_in_full_and_a_changed_one_in_part(client: Client) -> None:
    prompt = mixture(0.25)
    client.run(prompt)
    again = client.run(prompt)
    if client.caches:
        assert again.ran == [] and set(again.cached) == set(prompt)
        assert len(client.pictures(again, "save")) == 1
    else:
        assert set(again.ran) == set(prompt) and again.cached == []
    prompt["mask"]["inputs"]["value"] = 0.35
    changed = client.run(prompt)
    assert {"mask", "mix", "save"} <= set(changed.ran)
    assert ("black" in changed.cached) is client.caches and ("black" in changed.ran) is not client.caches


def test_one_output_feeds_many(client: Client) -> None:
    ran = client.run({"image": image(), "one": saved("image", 0), "two": saved("image", 0)})
    assert [len(client.pictures(ran, name)) for name in ("one", "two")] == [1, 1]
    assert ran.ran.count("image") == (0 if "image" in ran.cached else 1)


def test_a_node_says_whether_it_changed(client: Client) -> None:
    prompt = {
        "save": saved("it", 0),
        "it": node("SaysChanged", changes=False, image=["image", 0]),
        "image": node("PlainImage", shade="black", size=48),
    }
    first, second = client.run(prompt), client.run(prompt)
    assert "it" in first.ran and ("it" in second.ran) is not client.caches
    prompt["it"]["inputs"]["changes"] = True
    assert all("it" in client.run(prompt).ran for _ in range(2))


def test_a_mark_of_constants(client: Client) -> None:
    prompt = {
        "image": node("PlainImage", shade="white", size=40),
        "it": node("SaysChangedOfConstants", image=["image", 0], value=0.5),
        "save": saved("it", 0),
    }
    first, second = client.run(prompt), client.run(prompt)
    prompt["it"]["inputs"]["value"] = 0.25
    third = client.run(prompt)
    assert "it" in first.ran and ("it" in second.ran) is not client.caches and "it" in third.ran
    assert is_flat(client.pictures(third, "save")[0], 63)


def test_nodes_that_are_not_idempotent_run_by_themselves(client: Client) -> None:
    twins = {"a": node("PlainImage", shade="noise", size=8), "b": node("PlainImage", shade="noise", size=8)}
    for class_type, equal in (("PlainImage", client.caches), ("Restless", False)):
        prompt = {name: {**twin, "class_type": class_type} for name, twin in twins.items()}
        ran = client.run({**prompt, "save_a": saved("a", 0), "save_b": saved("b", 0)})
        (a,), (b,) = client.pictures(ran, "save_a"), client.pictures(ran, "save_b")
        assert bool((a == b).all()) is equal


def test_inputs_that_nobody_declared(client: Client) -> None:
    prompt = {
        **{name: image(shade) for name, shade in (("a", "black"), ("b", "white"), ("c", "black"))},
        "mean": node("Average", input1=["a", 0], input2=["b", 0], input3=["c", 0]),
        "save": saved("mean", 0),
    }
    assert is_flat(client.pictures(client.run(prompt), "save")[0], 85)


def test_an_output_node_that_feeds_others(client: Client) -> None:
    prompt = {
        "image": image("white"),
        "middle": node("OutputWithSocket", image=["image", 0], value=0.5),
        "save": saved("middle", 0),
        "other": node("OutputWithSocket", image=["image", 0], value=0.7),
    }
    assert seen(client.run(prompt)) == set(prompt)
    ran = client.run(prompt, partial_execution_targets=["save"])
    assert seen(ran) == {"image", "middle", "save"}
    assert is_flat(client.pictures(ran, "save")[0], 127)


@pytest.mark.parametrize("targets", [[], ["nowhere"], ["image"]])
def test_targets_that_are_no_outputs_are_refused(client: Client, targets: list[str]) -> None:
    answer = client.refused({"image": image(), "save": saved("image", 0)}, partial_execution_targets=targets)
    assert answer["error"]["type"] == "prompt_no_outputs"


# -- what is refused ---------------------------------------------------------------------------------------------


def judged(class_type: str, **inputs: Any) -> dict[str, Any]:
    links = {name: node(value, value=5) for name, value in inputs.items() if value in ("PlainInt", "PlainFloat")}
    links |= {name: node("PlainMask", value=0.5, size=8) for name, value in inputs.items() if value == "PlainMask"}
    given = {name: [name, 0] if name in links else value for name, value in inputs.items()}
    return {**links, "it": node(class_type, **given), "save": saved("it", 0)}


@pytest.mark.parametrize(
    ("class_type", "inputs", "kind"),
    [
        ("JudgesValues", {"input1": 5.0, "input2": 3.0}, None),
        ("JudgesValues", {"input1": 5, "input2": 3.0}, "custom_validation_failed"),
        ("JudgesValues", {"input1": "text", "input2": 3.0}, "custom_validation_failed"),
        ("JudgesValues", {"input1": "PlainInt", "input2": 3.0}, "return_type_mismatch"),
        ("JudgesValues", {"input1": "PlainMask", "input2": 3.0}, "return_type_mismatch"),
        ("JudgesValues", {"input1": "PlainFloat", "input2": 3.0}, None),
        ("JudgesTypes", {"input1": "PlainInt", "input2": 3.0}, "custom_validation_failed"),
        ("JudgesTypes", {"input1": "PlainFloat", "input2": 3.0}, None),
        ("JudgesTypes", {"input1": "text", "input2": 3.0}, "custom_validation_failed"),
        ("JudgesSome", {"input1": "PlainInt", "input2": 1.0}, "return_type_mismatch"),
        ("JudgesSome", {"input1": "PlainFloat", "input2": 1.0}, None),
        ("JudgesOnlyTypes", {"input1": "PlainInt", "input2": 1.0}, "custom_validation_failed"),
        ("JudgesOnlyTypes", {"input1": "PlainFloat", "input2": 1.0}, None),
        ("JudgesAll", {"input1": 0.0, "input2": 0.5}, None),
        ("JudgesAll", {"input1": 0.0, "input2": 5.0}, None),
        ("JudgesAll", {"input1": 0.0, "input2": 7.0}, "custom_validation_failed"),
        ("JudgesSlowly", {"value": 3.0, "limit": 5.0}, None),
        ("JudgesSlowly", {"value": 7.0, "limit": 5.0}, "custom_validation_failed"),
        ("JudgeBreaks", {"input1": 0.0, "input2": 0.5}, "exception_during_validation"),
    ],
)
def test_judges(client: Client, class_type: str, inputs: dict[str, Any], kind: str | None) -> None:
    prompt = judged(class_type, **inputs)
    if kind is None:
        assert client.run(prompt).errors == []
    else:
        answer = client.refused(prompt)
        (found,) = answer["node_errors"].items()
        assert found[0] == "it" and found[1]["class_type"] == class_type and found[1]["dependent_outputs"] == ["save"]
        assert found[1]["errors"][0]["type"] == kind
        assert answer["error"]["type"] == "prompt_outputs_failed_validation"


def test_an_output_that_is_refused_does_not_keep_the_others(client: Client) -> None:
    bad = judged("JudgesAll", input1=0.0, input2=7.0)
    status, answer = client.server.post("/prompt", {"prompt": {**bad, "image": image(), "good": saved("image", 0)}})
    assert status == 200 and list(answer["node_errors"]) == ["it"]
    assert list(client.server.ended(answer["prompt_id"])["outputs"]) == ["good"]


def test_a_cycle_is_refused(client: Client) -> None:
    prompt = mixture()
    prompt["mix2"] = node("LazyMix", image1=["mix", 0], image2=["white", 0], mask=["mask", 0])
    prompt["mix"]["inputs"]["image2"] = ["mix2", 0]
    prompt["save"]["inputs"]["images"] = ["mix2", 0]
    assert client.refused(prompt)["node_errors"]


def test_a_link_to_nothing_is_refused(client: Client) -> None:
    prompt = mixture()
    del prompt["white"]
    assert client.refused(prompt)["node_errors"]["mix"]["errors"][0]["type"] == "bad_linked_input"


def test_a_class_that_is_not_there_is_refused(client: Client) -> None:
    answer = client.refused({"image": image(), "odd": node("NoSuchClass"), "save": saved("image", 0)})
    assert (answer["error"]["extra_info"]["node_id"], answer["error"]["extra_info"]["class_type"]) == (
        "odd",
        "NoSuchClass",
    )


# -- what fails --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("class_type", "said", "inner"),
    [
        ("Fails", "this node always fails", None),
        ("GrowsFailure", "this node always fails", "Fails"),
        ("FailsLater", "this coroutine always fails", None),
        ("TimesOut", "it took too long", None),
    ],
)
def test_failures(client: Client, class_type: str, said: str, inner: str | None) -> None:
    more = {"seconds": 0.05} if class_type in ("FailsLater", "TimesOut") else {}
    ran = client.run({"image": image(), "it": node(class_type, image=["image", 0], **more), "save": saved("it", 0)})
    (error,) = ran.errors
    assert error["node_id"] == "it" and error["node_type"] == class_type and error["prompt_id"] == ran.prompt_id
    assert error.get("inner_node_type") == inner
    assert said in error["exception_message"] and any(said in line for line in error["traceback"])
    assert client.server.get(f"/history/{ran.prompt_id}")[1][ran.prompt_id]["status"]["status_str"] == "error"
    assert client.run(mixture()).errors == []


def test_a_cycle_that_a_node_makes_is_its_error(client: Client) -> None:
    prompt = {"black": image("black"), "white": image("white")}
    prompt |= {"it": node("GrowsCycle", input1=["black", 0], input2=["white", 0]), "save": saved("it", 0)}
    (error,) = client.run(prompt).errors
    assert error["node_id"] == "it"


def test_one_failure_among_coroutines(client: Client) -> None:
    prompt = {
        "image": image(),
        "sleep": node("Sleep", value=["image", 0], seconds=0.3),
        "fail": node("FailsLater", image=["image", 0], seconds=0.05),
        "fail2": node("FailsLater", image=["image", 0], seconds=5.0),
        **{f"save_{name}": saved(name, 0) for name in ("sleep", "fail", "fail2")},
    }
    (error,) = client.run(prompt).errors
    assert error["node_id"] == "fail"


# -- lists and blockers ------------------------------------------------------------------------------------------


def test_results_in_each_of_three_ways(client: Client) -> None:
    prompt = {
        "list": node("MakeList", value1=0.1, value2=0.2, value3=0.3),
        "mixed": node("MixedReturns", input1=["list", 0]),
        "grown": saved("mixed", 0),
        "plain": saved("mixed", 1),
    }
    for _ in range(2):
        ran = client.run(prompt)
        assert [int(p.min()) for p in client.pictures(ran, "grown")] == [25, 51, 76]
        assert all(is_flat(p, 255) for p in client.pictures(ran, "plain"))
        assert len(client.pictures(ran, "plain")) == 3


def test_a_lazy_node_over_a_list(client: Client) -> None:
    prompt = mixture()
    prompt["list"] = node("MakeList", value1=0.0, value2=0.5, value3=1.0)
    prompt["mask"]["inputs"]["value"] = ["list", 0]
    prompt["batch"] = node("RebatchImages", images=["mix", 0], batch_size=3)
    prompt["save"]["inputs"]["images"] = ["batch", 0]
    pictures = client.pictures(client.run(prompt), "save")
    assert [int(p.min()) for p in pictures] == [0, 127, 255]


@pytest.mark.parametrize(
    ("class_type", "expected"),
    [
        ("List", ["1+4", "2+5", "3+5"]),
        ("ListOut", ["1+4", "1+4", "2+5", "2+5", "3+5", "3+5"]),
        ("ListIn", ["[1, 2, 3]+[4, 5]"]),
        ("ListInOut", ["[1, 2, 3]+[4, 5]", "[1, 2, 3]+[4, 5]"]),
    ],
)
def test_lists_in_and_out(client: Client, class_type: str, expected: list[str]) -> None:
    prompt = {
        "a": node("MakeList", value1=1, value2=2, value3=3),
        "b": node("MakeList", value1=4, value2=5),
        "it": node(class_type, a=["a", 0], b=["b", 0]),
        "show": node("Tell", value=["it", 0]),
    }
    assert client.run(prompt).value() == [repr(text) for text in expected]


@pytest.mark.parametrize("aloud", [False, True])
def test_a_blocked_save(client: Client, aloud: bool) -> None:
    prompt = {"image": image(), "stop": node("Stop", input=["image", 0], block=True, aloud=aloud)}
    ran = client.run({**prompt, "save": saved("stop", 0), "free": saved("image", 0)})
    assert "save" not in ran.ran and client.pictures(ran, "save") == []
    assert len(client.pictures(ran, "free")) == 1
    assert [error["node_id"] for error in ran.errors] == (["save"] if aloud else [])


# -- loops -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [1, 2, 3, 4])
def test_a_for_loop(client: Client, turns: int) -> None:
    prompt = {
        "white": image("white"),
        "black": image("black"),
        "open": node("ForOpen", remaining=turns, initial_value1=["white", 0]),
        "changing": node("SaysChanged", changes=True, image=["open", 2]),
        "mean": node("Average", input1=["black", 0], input2=["changing", 0]),
        "close": node("ForClose", flow_control=["open", 0], initial_value1=["mean", 0]),
        "save": saved("close", 0),
    }
    for _ in range(2):
        ran = client.run(prompt)
        assert is_flat(client.pictures(ran, "save")[0], 255 // 2**turns)
        assert ran.shown_on.count("changing") == turns


def test_a_while_loop(client: Client) -> None:
    prompt = {
        "start": node("PlainInt", value=6),
        "more": node("IsMore", a=["start", 0], b=0),
        "open": node("WhileOpen", condition=["more", 0], initial_value0=["start", 0], initial_value1=0),
        "less": node("Subtract", a=["open", 1], b=1),
        "sum": node("Add", a=["open", 2], b=["open", 1]),
        "again": node("IsMore", a=["less", 0], b=0),
        "close": node(
            "WhileClose",
            flow_control=["open", 0],
            condition=["again", 0],
            initial_value0=["less", 0],
            initial_value1=["sum", 0],
        ),
        "show": node("Tell", value=["close", 1]),
    }
    for _ in range(2):
        assert client.run(prompt).value() == ["21"]


def test_a_loop_in_a_loop(client: Client) -> None:
    prompt = {
        "outer": node("ForOpen", remaining=3, initial_value1=0),
        "inner": node("ForOpen", remaining=4, initial_value1=["outer", 2]),
        "add": node("Add", a=["inner", 2], b=["outer", 1]),
        "inner_end": node("ForClose", flow_control=["inner", 0], initial_value1=["add", 0]),
        "outer_end": node("ForClose", flow_control=["outer", 0], initial_value1=["inner_end", 0]),
        "show": node("Tell", value=["outer_end", 0]),
    }
    for _ in range(2):
        ran = client.run(prompt)
        assert ran.value() == [str(4 * (3 + 2 + 1))]
        assert set(ran.shown_on) <= set(prompt)


def test_an_expansion_to_nodes_that_save(client: Client) -> None:
    ran = client.run({"image": image(), "it": node("GrowsOutputs", image=["image", 0], count=3)})
    outputs = client.server.get(f"/history/{ran.prompt_id}")[1][ran.prompt_id]
    images = [output["images"] for output in outputs["outputs"].values()]
    assert len(images) == 3 and all(entry[0]["type"] == "temp" for entry in images)
    assert {meta["display_node"] for meta in outputs["meta"].values()} == {"it"}


# -- coroutines --------------------------------------------------------------------------------------------------


def spans(ran: Ran, names: set[str]) -> dict[str, list[int]]:
    """For each node the places of its progress among all messages."""
    found: dict[str, list[int]] = {}
    for place, (kind, data) in enumerate(ran.messages):
        if kind == "progress_state":
            for name, state in data["nodes"].items():
                shown = state["real_node_id"] if state["real_node_id"] in names else name
                if shown in names and state["state"] == "running" and 0 < state["value"] < state["max"]:
                    found.setdefault(shown, []).append(place)
    return found


def test_sleepers_overlap_and_tell_their_progress(client: Client) -> None:
    prompt = {
        **{name: node("PlainImage", shade=shade, size=16) for name, shade in (("a", "black"), ("b", "white"))},
        "one": node("Sleep", value=["a", 0], seconds=0.7),
        "two": node("Sleep", value=["b", 0], seconds=0.8),
        "mean": node("Average", input1=["one", 0], input2=["two", 0]),
        "save": saved("mean", 0),
    }
    ran = client.run(prompt)
    assert is_flat(client.pictures(ran, "save")[0], 127)
    found = spans(ran, {"one", "two"})
    assert max(found["one"][0], found["two"][0]) < min(found["one"][-1], found["two"][-1])
    for kind, data in ran.messages:
        if kind == "progress":
            assert data["node"] in ("one", "two") and data["value"] <= data["max"]
    again = client.run(prompt)
    assert ("one" in again.ran) is not client.caches


def test_sleepers_of_an_expansion_overlap(client: Client) -> None:
    prompt = {name: node("PlainImage", shade=name, size=16) for name in ("black", "white", "noise")}
    prompt["it"] = node("SleepTogether", image1=["black", 0], image2=["white", 0], image3=["noise", 0], seconds=0.6)
    prompt["save"] = saved("it", 0)
    ran = client.run(prompt)
    sleepers = {f"it.0.0.{number}" for number in (1, 2, 3)}
    assert sleepers <= set(ran.ran)
    found = spans(ran, sleepers)
    assert set(found) == sleepers
    assert max(places[0] for places in found.values()) < min(places[-1] for places in found.values())


def test_a_coroutine_asks_for_lazy_inputs(client: Client) -> None:
    prompt = {
        "black": image("black"),
        "bad": node("Fails", image=["black", 0]),
        "it": node("AsksLater", first=["black", 0], second=["bad", 0], take_first=True),
        "save": saved("it", 0),
    }
    ran = client.run(prompt)
    assert ran.errors == [] and "bad" not in ran.ran


def test_a_semaphore_that_a_class_shares(client: Client) -> None:
    prompt: dict[str, Any] = {str(number): node("AtMostTwo", value=number) for number in range(4)}
    prompt |= {f"show{number}": node("Tell", value=[str(number), 0]) for number in range(4)}
    for shift in (0, 10):
        for number in range(4):
            prompt[str(number)]["inputs"]["value"] = number + shift
        ran = client.run(prompt)
        assert {ran.value(f"show{number}")[0] for number in range(4)} == {"2"}


def test_tasks_of_a_node_over_a_batch(client: Client) -> None:
    prompt = {
        "image": image(),
        "batch": node("RepeatImageBatch", image=["image", 0], amount=4),
        "it": node("SleepsOverBatch", images=["batch", 0], seconds=0.05),
        "save": saved("it", 0),
    }
    assert [is_flat(p, 255) for p in client.pictures(client.run(prompt), "save")] == [True] * 4


@pytest.mark.parametrize("class_type", ["TellsProgress", "TellsProgressLater"])
def test_progress_by_the_public_interface(client: Client, class_type: str) -> None:
    ran = client.run({"image": image(), "it": node(class_type, value=["image", 0], steps=4), "save": saved("it", 0)})
    if "it" in ran.ran:
        progress = [(data["value"], data["max"]) for kind, data in ran.messages if kind == "progress"]
        assert progress[-1] == (4, 4)
        assert any(preview[:4] == b"\0\0\0\1" for preview in ran.previews)


def test_each_client_hears_of_its_own_runs_only(client: Client) -> None:
    mine = {"image": image(), "it": node("Sleep", value=["image", 0], seconds=0.2), "save": saved("it", 0)}
    others = {**mine, "it": node("Sleep", value=["image", 0], seconds=0.25)}
    theirs = client.server.queue(others, client_id="somebody else")
    ran = client.run(mine)
    told = {data["prompt_id"] for kind, data in ran.messages if "prompt_id" in data}
    assert told == {ran.prompt_id} and client.server.ended(theirs)["status"]["completed"]
