"""``POST /prompt``: accepted prompts, and the errors for all others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.running_server import RunningServer, chain, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    base = tmp_path_factory.mktemp("base")
    (base / "custom_nodes").symlink_to(Path(__file__).parents[1] / "packs" / "probe" / "custom_nodes")
    with running(base, "--start-paused") as started:
        started.until_ready()
        yield started


def refused(server: RunningServer, body: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The type of the refusal, its error and the errors of nodes."""
    status, answer = server.post("/prompt", body)
    assert status == 400, answer
    assert set(answer["error"]) == {"type", "message", "details", "extra_info"}
    return answer["error"]["type"], answer["error"], answer["node_errors"]


def with_input(name: str, value: Any) -> dict[str, Any]:
    prompt = copy.deepcopy(chain())
    prompt["0"]["inputs"][name] = value
    return prompt


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "no_prompt"),
        ([], "invalid_prompt"),
        ({"prompt": []}, "invalid_prompt"),
        ({"prompt": None}, "invalid_prompt"),
        ({"prompt": {}}, "prompt_no_outputs"),
        ({"prompt": {"1": 5}}, "invalid_prompt"),
        ({"prompt": {"1": {"inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "NoSuchNode", "inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "ProbeValue", "inputs": {"number": 1}}}}, "prompt_no_outputs"),
        ({"prompt": chain(), "partial_execution_targets": ["7"]}, "prompt_no_outputs"),
        ({"prompt": chain(), "partial_execution_targets": 7}, "invalid_prompt"),
        ({"prompt": chain(), "extra_data": []}, "invalid_prompt"),
        ({"prompt": chain(), "number": "first"}, "invalid_prompt"),
        ({"prompt": chain(), "number": float("inf")}, "invalid_prompt"),
        ({"prompt": chain(), "prompt_id": "a\nb"}, "invalid_prompt"),
        ({"prompt": chain(), "client_id": {"x": 1}}, "invalid_prompt"),
        ({"prompt": chain(), "prompt_id": "x" * 1000}, "invalid_prompt"),
    ],
)
def test_what_is_no_prompt(server: RunningServer, body: Any, kind: str) -> None:
    assert refused(server, body)[0] == kind


def test_a_misspelt_class_is_corrected(server: RunningServer) -> None:
    _, error, _ = refused(server, {"prompt": {"9": {"class_type": "ProbeShw", "inputs": {}}}})
    assert "ProbeShow" in error["message"] and "#9" in error["details"]


@pytest.mark.parametrize(
    ("prompt", "kind", "input_name"),
    [
        (with_input("number", -1), "value_smaller_than_min", "number"),
        (with_input("number", 1001), "value_bigger_than_max", "number"),
        (with_input("number", "many"), "invalid_input_type", "number"),
        (with_input("number", ["0"]), "bad_linked_input", "number"),
        ({**chain(), "0": {"class_type": "ProbeValue", "inputs": {}}}, "required_input_missing", "number"),
        (
            {**chain(), "0": {"class_type": "ProbeModel", "inputs": {"checkpoint": "x", "seconds": 0.0, "seed": 0}}},
            "value_not_in_list",
            "checkpoint",
        ),
        (
            {
                **chain(),
                "0": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            },
            "return_type_mismatch",
            "thing",
        ),
    ],
)
def test_what_is_wrong_with_an_input(server: RunningServer, prompt: dict[str, Any], kind: str, input_name: str) -> None:
    overall, error, node_errors = refused(server, {"prompt": prompt})
    assert overall == "prompt_outputs_failed_validation" and error["details"]
    ((node_id, node),) = node_errors.items()
    assert node["class_type"] == prompt[node_id]["class_type"] and node["dependent_outputs"] == ["1"]
    (found,) = node["errors"]
    assert (found["type"], found["extra_info"]["input_name"]) == (kind, input_name)


def test_outputs_that_are_valid_run_and_the_others_are_reported(server: RunningServer) -> None:
    prompt = with_input("number", -1)
    prompt["2"], prompt["3"] = chain()["0"], {"class_type": "ProbeShow", "inputs": {"thing": ["2", 0], "note": ""}}
    status, answer = server.post("/prompt", {"prompt": prompt})
    assert status == 200 and list(answer["node_errors"]) == ["0"]
    (item,) = [item for item in server.get("/queue")[1]["queue_pending"] if item[1] == answer["prompt_id"]]
    assert item[4] == ["3"]


def test_partial_targets_choose_among_the_outputs(server: RunningServer) -> None:
    prompt = {**chain(), "9": {"class_type": "ProbeShow", "inputs": {"thing": ["0", 0], "note": "2"}}}
    prompt_id = server.queue(prompt, partial_execution_targets=["9"])
    (item,) = [item for item in server.get("/queue")[1]["queue_pending"] if item[1] == prompt_id]
    assert item[4] == ["9"]


def drawn(*nodes: dict[str, Any]) -> dict[str, Any]:
    """ProbeValue and ``nodes`` as an editor saves them; the first link leads from it."""
    first = {"id": 1, "type": "ProbeValue", "mode": 0, "inputs": [], "outputs": [{"name": "THING", "type": "THING"}]}
    return {"nodes": [{**first, "widgets_values": [3]}, *nodes], "links": [[1, 1, 0, 2, 0, "THING"]], "version": 0.4}


def shown(**more: Any) -> dict[str, Any]:
    inputs = [{"name": "thing", "type": "THING", "link": 1}]
    return {"id": 2, "type": "ProbeShow", "mode": 0, "inputs": inputs, "outputs": [], "widgets_values": ["hi"], **more}


@pytest.mark.parametrize("wrap", [lambda document: {"prompt": document}, lambda document: document])
def test_a_workflow_as_an_editor_saves_it_is_converted(server: RunningServer, wrap: Any) -> None:
    status, answer = server.post("/prompt", wrap(drawn(shown())))
    assert status == 200, answer
    (item,) = [item for item in server.get("/queue")[1]["queue_pending"] if item[1] == answer["prompt_id"]]
    assert item[2] == {
        "1": {"class_type": "ProbeValue", "inputs": {"number": 3}},
        "2": {"class_type": "ProbeShow", "inputs": {"note": "hi", "thing": ["1", 0]}},
    }
    assert item[3]["extra_pnginfo"] == {"workflow": drawn(shown())}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (drawn(shown(mode="always")), "nodes[1].mode: found 'always'; expected an integer"),
        (drawn({"id": 2}), "nodes[1].type: found nothing; expected text"),
        ({"nodes": 7}, "nodes: found 7; expected a list"),
        ({"nodes": [], "links": []}, ""),
    ],
)
def test_an_editor_s_workflow_that_cannot_be_converted_is_refused(
    server: RunningServer, document: dict[str, Any], reason: str
) -> None:
    kind, error, _ = refused(server, {"prompt": document})
    assert kind == ("invalid_prompt" if reason else "prompt_no_outputs") and reason in error["details"]


def test_number_front_and_the_order_they_make(server: RunningServer) -> None:
    server.post("/queue", {"clear": True})
    second = server.queue(chain())
    third = server.queue(chain())
    first = server.queue(chain(), front=True)
    least = server.queue(chain(), number=-1e6)
    assert [item[1] for item in server.get("/queue")[1]["queue_pending"]] == [least, first, second, third]


def test_what_is_kept_of_extra_data(server: RunningServer) -> None:
    sent = {"extra_pnginfo": {"workflow": {"nodes": []}}, "api_key_comfy_org": "secret"}
    prompt_id = server.queue(chain(), client_id="me", extra_data=sent)
    (item,) = [item for item in server.get("/queue")[1]["queue_pending"] if item[1] == prompt_id]
    assert item[3]["client_id"] == "me" and item[3]["extra_pnginfo"] == {"workflow": {"nodes": []}}
    assert isinstance(item[3]["create_time"], int) and "secret" not in str(item)
