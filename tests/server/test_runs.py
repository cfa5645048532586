"""What clients see of a run: messages in order, each client its own, and an end that cannot be missed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.running_server import RunningServer, chain, running, steps

Messages = list[tuple[str, dict[str, Any]]]


async def until_null(socket: aiohttp.ClientWebSocketResponse, prompt_id: str) -> Messages:
    """All text messages up to the ``executing`` null of that prompt."""
    heard: Messages = []
    while True:
        message = await socket.receive(30)
        if message.type is aiohttp.WSMsgType.BINARY:
            heard.append(("binary", {"event": int.from_bytes(message.data[:4], "big")}))
            continue
        assert message.type is aiohttp.WSMsgType.TEXT, message
        parsed = json.loads(message.data)
        heard.append((parsed["type"], parsed["data"]))
        if heard[-1] == ("executing", {"node": None, "prompt_id": prompt_id}):
            return heard


async def listened(server: RunningServer, prompt: dict[str, Any], client_id: str = "me") -> tuple[str, Messages]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}/ws?clientId={client_id}") as ws:
        await ws.receive_json()
        prompt_id = await asyncio.to_thread(lambda: server.queue(prompt, client_id=client_id))
        return prompt_id, await until_null(ws, prompt_id)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    base = tmp_path_factory.mktemp("base")
    (base / "custom_nodes").symlink_to(Path(__file__).parent / "packs" / "probe" / "custom_nodes")
    with running(base) as started:
        started.until_ready()
        yield started


def test_messages_of_a_run_in_order(server: RunningServer) -> None:
    prompt_id, heard = asyncio.run(listened(server, chain(steps(3, 0.05, seed=10))))
    names = [name for name, _ in heard if name not in ("status", "progress_state", "binary")]
    assert names == [
        "execution_start", "execution_cached",
        "executing", "executing", "progress", "progress", "progress",
        "executing", "executed", "execution_success", "executing",
    ]  # fmt: skip
    assert {data["prompt_id"] for name, data in heard if name not in ("status", "binary")} == {prompt_id}
    assert [data["value"] for name, data in heard if name == "progress"] == [1, 2, 3]
    executed = next(data for name, data in heard if name == "executed")
    assert executed == {"node": "2", "display_node": "2", "output": {"text": ["7"]}, "prompt_id": prompt_id}
    assert ("binary", {"event": 1}) in heard
    states = [data for name, data in heard if name == "progress_state"]
    assert {node: state["state"] for node, state in states[-1]["nodes"].items()} == dict.fromkeys("012", "finished")
    assert states[-1]["nodes"]["1"]["value"] == states[-1]["nodes"]["1"]["max"] == 3


def test_history_is_there_before_success_is_told(server: RunningServer) -> None:
    async def body() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}/ws?clientId=h") as ws:
            prompt_id = await asyncio.to_thread(lambda: server.queue(chain(number=11), client_id="h"))
            while (await ws.receive_json())["type"] != "execution_success":
                pass
            async with session.get(f"{server.url}/history/{prompt_id}") as answer:
                entry = (await answer.json())[prompt_id]
        assert entry["status"]["status_str"] == "success" and entry["outputs"] == {"1": {"text": ["11"]}}
        assert entry["meta"]["1"] == {"node_id": "1", "display_node": "1", "parent_node": None, "real_node_id": "1"}
        assert entry["prompt"][1:3] == [prompt_id, chain(number=11)]

    asyncio.run(body())


def test_an_error_names_its_node(server: RunningServer) -> None:
    prompt_id, heard = asyncio.run(listened(server, chain(("ProbeFail", {"message": "too blue"}), number=12)))
    error = next(data for name, data in heard if name == "execution_error")
    assert (error["node_id"], error["node_type"]) == ("1", "ProbeFail")
    assert (error["exception_message"], error["executed"]) == ("too blue", ["0"])
    assert error["traceback"] and "execution_success" not in [name for name, _ in heard]
    assert server.ended(prompt_id)["status"]["status_str"] == "error"


def test_two_clients_never_hear_of_each_other(server: RunningServer) -> None:
    async def body() -> None:
        runs = [
            listened(server, chain(steps(2, 0.01, seed=number), number=number), f"client {number % 2} of {number}")
            for number in range(20, 26)
        ]
        for prompt_id, heard in await asyncio.gather(*runs):
            assert {data["prompt_id"] for name, data in heard if name not in ("status", "binary")} == {prompt_id}

    asyncio.run(body())


def test_a_client_that_comes_back_is_told_what_runs(server: RunningServer) -> None:
    async def body() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{server.url}/ws?clientId=r") as ws:
                prompt = chain(steps(1000, 0.05, seed=30))
                prompt_id = await asyncio.to_thread(lambda: server.queue(prompt, client_id="r"))
                while (await ws.receive()).type is not aiohttp.WSMsgType.BINARY:
                    pass
            async with session.ws_connect(f"{server.url}/ws?clientId=r") as ws:
                assert (await ws.receive_json())["type"] == "status"
                told = await ws.receive_json()
                assert told["type"] == "executing" and told["data"]["node"] == "1"
                await asyncio.to_thread(server.post, "/interrupt", {"prompt_id": prompt_id})
                await until_null(ws, prompt_id)

    asyncio.run(body())


def test_interrupting_one_prompt_before_during_and_after(server: RunningServer) -> None:
    first = server.queue(chain(steps(1000, 0.05, seed=40)))
    during = server.queue(chain(steps(1000, 0.05, seed=41)))
    before = server.queue(chain(steps(1000, 0.05, seed=42)))
    last = server.queue(chain(number=43))
    server.at_work(first)
    for prompt_id in (before, first):
        assert server.post("/interrupt", {"prompt_id": prompt_id})[0] == 200
    assert server.ended(before)["status"]["messages"][-1][0] == "execution_interrupted"
    assert server.ended(first)["status"]["messages"][-1][0] == "execution_interrupted"
    server.at_work(during)
    assert server.post("/interrupt", {"prompt_id": first})[0] == 200  # has ended: nothing happens
    assert server.get("/queue")[1]["queue_running"][0][1] == during
    assert server.post("/interrupt", {})[0] == 200
    assert server.ended(during)["status"]["messages"][-1][0] == "execution_interrupted"
    assert server.ended(last)["status"]["completed"]


def test_a_prompt_whose_nodes_validate_themselves_is_judged_while_another_runs(server: RunningServer) -> None:
    at_work = server.queue(chain(steps(1000, 0.05, seed=50)))
    server.at_work(at_work)
    asked = chain()
    asked["0"] = {"class_type": "ProbeEven", "inputs": {"number": 3, "seconds": 0.0}}
    status, answer = server.post("/prompt", {"prompt": asked})
    assert status == 400 and answer["error"]["type"] == "prompt_outputs_failed_validation"
    (error,) = answer["node_errors"]["0"]["errors"]
    assert error["type"] == "custom_validation_failed" and "3 is odd" in json.dumps(error)
    assert answer["node_errors"]["0"]["dependent_outputs"] == ["1"]
    asked["2"], asked["3"] = chain()["0"], {"class_type": "ProbeShow", "inputs": {"thing": ["2", 0], "note": ""}}
    status, answer = server.post("/prompt", {"prompt": asked})
    assert status == 200 and list(answer["node_errors"]) == ["0"]
    server.post("/interrupt", {"prompt_id": at_work})
    assert list(server.ended(answer["prompt_id"])["outputs"]) == ["3"]


@pytest.mark.slow
def test_validation_code_that_never_answers_does_not_keep_a_prompt_waiting(server: RunningServer) -> None:
    asked = chain()
    asked["0"] = {"class_type": "ProbeEven", "inputs": {"number": 4, "seconds": 60.0}}
    assert server.post("/prompt", {"prompt": asked})[0] == 200


def test_a_known_prompt_id_answers_as_the_first_time(server: RunningServer) -> None:
    body = {"prompt": chain(number=60), "prompt_id": "mine"}
    first = server.post("/prompt", body)
    server.ended("mine")
    assert server.post("/prompt", body) == first
    assert server.post("/prompt", {**body, "prompt": chain(number=61)}) == first
    assert server.get("/queue")[1]["queue_pending"] == []


def test_ten_thousand_nodes(server: RunningServer) -> None:
    prompt = chain(*(steps(0, 0.0, seed=number) for number in range(9_998)), number=70)
    assert len(prompt) == 10_000
    _, heard = asyncio.run(listened(server, prompt, "large"))
    assert heard[-2][0] == "execution_success"
    assert sum(name == "executing" for name, _ in heard) == 10_001
    states = [data["nodes"] for name, data in heard if name == "progress_state"]
    assert max(map(len, states)) == 500 and "9999" in states[-1]


def test_two_thousand_prompts_at_once(server: RunningServer) -> None:
    server.post("/queue", {"pause": True})

    async def body() -> list[str]:
        connector = aiohttp.TCPConnector(limit=50)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(120):

            async def queue(number: int) -> str:
                async with session.post(f"{server.url}/prompt", json={"prompt": chain(number=number % 1000)}) as answer:
                    assert answer.status == 200
                    return str((await answer.json())["prompt_id"])

            return await asyncio.gather(*(queue(number) for number in range(2000)))

    queued = asyncio.run(body())
    assert len(set(queued)) == 2000
    waiting = [item[1] for item in server.get("/queue")[1]["queue_pending"]]
    assert sorted(waiting) == sorted(queued)
    server.post("/queue", {"clear": True})
    server.post("/queue", {"pause": False})
    assert server.get("/queue")[1]["queue_pending"] == []


WANTED = [("none", False), ("latent2rgb", True), ("default", True), (["none"], True), (None, True)]


@pytest.mark.parametrize(("seed", "wanted", "come"), [(900 + at, *case) for at, case in enumerate(WANTED)])
def test_a_prompt_may_say_whether_it_wants_previews(server: RunningServer, seed: int, wanted: Any, come: bool) -> None:
    assert asyncio.run(_previews(server, seed, wanted)) is come


def test_previews_come_for_the_prompt_that_asks_where_others_get_none(tmp_path: Path) -> None:
    (tmp_path / "custom_nodes").symlink_to(Path(__file__).parent / "packs" / "probe" / "custom_nodes")
    with running(tmp_path, "--preview-method", "none") as server:
        server.until_ready()
        assert not asyncio.run(_previews(server, 1, "default"))
        assert asyncio.run(_previews(server, 2, "auto"))


async def _previews(server: RunningServer, seed: int, wanted: Any) -> bool:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}/ws?clientId=me") as ws:
        await ws.receive_json()
        extra = {"preview_method": wanted}
        prompt = chain(steps(3, 0.05, seed=seed))
        prompt_id = await asyncio.to_thread(lambda: server.queue(prompt, client_id="me", extra_data=extra))
        return any(kind == "binary" for kind, _ in await until_null(ws, prompt_id))
