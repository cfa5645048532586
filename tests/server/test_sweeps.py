"""Sweeps over HTTP: on a server in this process, and on real ones that are killed."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.server.late_threads import LateThreads
from tests.server.running_server import RunningServer, chain, running, steps
from tests.server.served import Served, saved, serving, taking

NUMBERS = [{"node": "1", "input": "value", "values": "1..3"}]


def sweep_of(*axes: tuple[str, str, Any], **more: Any) -> dict[str, Any]:
    return {"sweep": [{"node": node, "input": name, "values": values} for node, name, values in axes], **more}


def served(base: Path, body: Any, **options: Any) -> None:
    async def run() -> None:
        async with serving(base, **options) as server:
            await body(server)

    asyncio.run(run())


async def heard(server: Served, prompt: dict[str, Any], extra: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every message of a sweep, in order."""
    found: list[tuple[str, dict[str, Any]]] = []
    async with server.session.ws_connect(f"{server.url}/ws?clientId=me") as ws:
        await server.queue(prompt, client_id="me", extra_data=extra)
        async for message in ws:
            if message.type.name == "TEXT":
                data = json.loads(message.data)
                found.append((data["type"], data["data"]))
                if data["type"] == "executing" and data["data"]["node"] is None:
                    break
    return found


def test_one_job_has_the_outputs_of_all_combinations(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        prompt_id = await server.queue(saved(), extra_data=sweep_of(("1", "value", "1..3"), ("2", "prefix", "a|b")))
        job = await server.ended(prompt_id)
        assert job["status"] == "success" and job["progress"] == 1.0
        history = await server.get("/history")
        assert list(history) == [prompt_id]
        entry = history[prompt_id]
        files = entry["outputs"]["2"]["files"]
        assert [file["index"] for file in files] == list(range(6))
        made = [((tmp_path / "output" / file["filename"]).read_text(), file["filename"][0]) for file in files]
        assert made == [("1", "a"), ("1", "b"), ("2", "a"), ("2", "b"), ("3", "a"), ("3", "b")]
        assert entry["status"]["completed"] and entry["status"]["status_str"] == "success"
        assert entry["prompt"][2] == saved(), "the prompt is the one before the sweep"
        assert entry["prompt"][3]["sweep"] == [
            {"node": "1", "input": "value", "values": [1, 2, 3], "labels": ["1", "2", "3"]},
            {"node": "2", "input": "prefix", "values": ["a", "b"], "labels": ["a", "b"]},
        ]

    served(tmp_path, body)


def test_clients_hear_one_run(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        messages = await heard(server, saved(), sweep_of(("2", "prefix", "a|b|c")))
        count = Counter(name for name, _ in messages)
        assert count["execution_start"] == count["execution_success"] == count["execution_cached"] == 1
        ran = Counter(data["node"] for name, data in messages if name == "executing")
        assert ran == {"1": 1, "2": 3, None: 1}, "what does not depend on the value runs once"
        executed = [data for name, data in messages if name == "executed"]
        assert [data["index"] for data in executed] == [0, 1, 2]
        assert all(len(data["output"]["files"]) == 1 for data in executed)
        states = [data for name, data in messages if name == "progress_state"]
        assert states[-1]["sweep"] == {"done": 3, "total": 3}
        assert messages[-1] == ("executing", {"node": None, "prompt_id": executed[0]["prompt_id"], "index": None}) or (
            messages[-1][1]["node"] is None
        )

    served(tmp_path, body)


@pytest.mark.parametrize(
    ("axes", "node", "kind", "text"),
    [
        ([("1", "value", "1,101")], "1", "value_bigger_than_max", "101 is too large"),
        ([("1", "value", [1, "x"])], "1", "invalid_input_type", "'x' does not fit INT"),
        ([("1", "value", "a..b")], "1", "invalid_sweep", "'a..b' is not a number"),
        ([("1", "valeu", "1")], "1", "invalid_sweep", "no input 'valeu'"),
        ([("2", "value", "1")], "2", "invalid_sweep", "linked to node 1"),
        ([("9", "value", "1")], "9", "invalid_sweep", "does not exist"),
        ([("3", "value", "1,2")], "3", "invalid_sweep", "depends on this input"),
    ],
)
def test_a_bad_sweep_is_refused_with_its_node(tmp_path: Path, axes: list[Any], node: str, kind: str, text: str) -> None:
    async def body(server: Served) -> None:
        prompt = {**saved(), "3": {"class_type": "Number", "inputs": {"value": 1}}}
        answer = await server.post("/prompt", {"prompt": prompt, "extra_data": sweep_of(*axes)}, 400)
        (error,) = answer["node_errors"][node]["errors"]
        assert error["type"] == kind
        assert text in error["message"]
        assert error["extra_info"]["input_name"] == axes[0][1]
        assert answer["error"]["type"] == "invalid_sweep" and error["message"] in answer["error"]["details"]
        assert await server.get("/history") == {}

    served(tmp_path, body)


@pytest.mark.parametrize("described", [{}, "x", 3, [1], [{}] * 4, {"node": "1"}])
def test_what_is_not_a_sweep_is_refused(tmp_path: Path, described: Any) -> None:
    async def body(server: Served) -> None:
        answer = await server.post("/prompt", {"prompt": saved(), "extra_data": {"sweep": described}}, 400)
        assert answer["error"]["type"] == "invalid_sweep" and answer["error"]["details"]

    served(tmp_path, body)


def test_too_many_combinations_are_refused_with_their_number(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        prompt = {**saved(), "3": {"class_type": "Number", "inputs": {"value": 1}}}
        asked = sweep_of(("1", "value", "1..100"), ("3", "value", "0..100,1..100"))
        answer = await server.post("/prompt", {"prompt": prompt, "extra_data": asked}, 400)
        about = {"reason": "too_many_combinations", "combinations": 20100, "most": 10000}
        assert answer["error"]["type"] == "invalid_sweep" and answer["error"]["extra_info"] == about
        assert "20100 combinations" in answer["error"]["details"] and answer["node_errors"] == {}

    served(tmp_path, body)


@pytest.mark.parametrize("nothing", [None, []])
def test_no_axis_is_an_ordinary_prompt(tmp_path: Path, nothing: Any) -> None:
    async def body(server: Served) -> None:
        prompt_id = await server.queue(saved(), extra_data={"sweep": nothing})
        assert (await server.ended(prompt_id))["status"] == "success"
        entry = (await server.get("/history"))[prompt_id]
        assert "sweep" not in entry["prompt"][3] and "index" not in entry["outputs"]["2"]["files"][0]

    served(tmp_path, body)


def test_more_than_a_hundred_pictures_need_a_confirmation(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        extra = sweep_of(("1", "value", "0..50"), ("2", "prefix", "a|b"))
        answer = await server.post("/prompt", {"prompt": saved(), "extra_data": extra}, 400)
        assert answer["error"]["type"] == "sweep_needs_confirmation"
        assert "102 pictures" in answer["error"]["message"] and "sweep_confirmed" in answer["error"]["details"]
        assert answer["error"]["extra_info"] == {"pictures": 102, "limit": 100}
        job = await server.ended(await server.queue(saved(), extra_data={**extra, "sweep_confirmed": True}))
        assert len(job["outputs"]["2"]["files"]) == 102
        exactly = sweep_of(("1", "value", "1..50"), ("2", "prefix", "c|d"))
        assert await server.queue(saved(), extra_data=exactly)

    served(tmp_path, body)


def test_a_plan_says_what_a_sweep_would_do_and_queues_nothing(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        extra = sweep_of(("1", "value", "0..50"), ("2", "prefix", "a|b"))
        plan = await server.post("/sweep/plan", {"prompt": saved(), "extra_data": extra})
        assert plan["sweep"][1] == {"node": "2", "input": "prefix", "values": ["a", "b"], "labels": ["a", "b"]}
        assert plan["sweep"][0]["values"] == list(range(51))
        assert (plan["combinations"], plan["pictures"], plan["limit"]) == (102, 102, 100)
        assert plan["runs"] == {"1": 51, "2": 102}
        bad = {"prompt": saved(), "extra_data": sweep_of(("1", "value", "99..101"))}
        answer = await server.post("/sweep/plan", bad, 400)
        assert answer == await server.post("/prompt", bad, 400)
        await server.post("/sweep/plan", {"prompt": saved()}, 400)
        await server.post("/sweep/plan", [], 400)
        assert await server.get("/history") == {} and server.store.pending() == []

    served(tmp_path, body)


def test_a_failing_combination_ends_the_sweep_and_is_named(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        prompt = {**saved(), "3": {"class_type": "Fail", "inputs": {"message": "no"}}}
        extra = sweep_of(("3", "message", "first|second"), ("1", "value", "1,2"))
        job = await server.ended(await server.queue(prompt, extra_data=extra))
        assert job["status"] == "error"
        assert "first\nin combination 0 (message first, value 1) of the sweep" in job["error"]["exception_message"]
        assert job["error"]["node_id"] == "3"

    served(tmp_path, body)


def test_an_interrupted_sweep_keeps_its_pictures_and_goes_on_when_it_is_retried(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        prompt = {**saved(), "3": {"class_type": "Steps", "inputs": {"count": 10, "seconds": 0.005}}}
        prompt_id = await server.queue(prompt, extra_data=sweep_of(("1", "value", "1..30"), ("3", "count", "1..3")))
        while len((await server.get(f"/jobs/{prompt_id}"))["outputs"].get("2", {}).get("files", ())) < 2:
            await asyncio.sleep(0.01)
        await server.post("/interrupt", {"prompt_id": prompt_id})
        job = await server.ended(prompt_id)
        kept = (await server.get("/history"))[prompt_id]["outputs"]["2"]["files"]
        assert job["status"] == "interrupted" and 2 <= len(kept) < 30
        await server.post("/queue", {"retry": [prompt_id]})
        assert (await server.ended(prompt_id))["status"] == "success"
        whole = (await server.get("/history"))[prompt_id]["outputs"]["2"]["files"]
        assert len(whole) == 30 and all(file in whole for file in kept)
        assert len(list((tmp_path / "output").iterdir())) == 30, "nothing was saved twice"

    served(tmp_path, body)


def test_a_waiting_sweep_can_be_interrupted_and_an_idle_server_takes_the_next_job(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        first = await server.queue(taking(60, 6000))
        waiting = await server.queue(saved(), extra_data={"sweep": NUMBERS})
        await server.post("/interrupt", {"prompt_id": waiting})
        assert (await server.ended(waiting))["status"] == "interrupted"
        assert (await server.get(f"/jobs/{first}"))["status"] == "running"
        await server.post("/interrupt", {"prompt_id": first})
        after = await server.queue(saved(7), extra_data={"sweep": NUMBERS})
        assert (await server.ended(after))["status"] == "success"

    served(tmp_path, body)


def test_a_combination_that_is_about_to_start_can_be_interrupted(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        asyncio.get_running_loop().set_default_executor(LateThreads())
        prompt_id = await server.queue(taking(60, 6000), extra_data=sweep_of(("1", "count", "6000..6002")))
        while not server.scheduler._slots.running(prompt_id):
            await asyncio.sleep(0.001)
        await server.scheduler.interrupt(prompt_id)
        assert (await server.ended(prompt_id))["status"] == "interrupted"

    served(tmp_path, body)


def test_two_workers_share_a_sweep(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        together = 0
        while len(server.scheduler.stats()) < 2:
            await asyncio.sleep(0.01)
        prompt_id = await server.queue(taking(0.3), extra_data=sweep_of(("1", "count", "10..16")))
        while (job := await server.get(f"/jobs/{prompt_id}"))["status"] in ("pending", "running"):
            together = max(together, len(server.scheduler._slots.running(prompt_id)))
            await asyncio.sleep(0.005)
        assert job["status"] == "success"
        assert together == 2

    served(tmp_path, body, workers=2)


# -- real processes ------------------------------------------------------------------------------------------------


def pictures() -> dict[str, Any]:
    """An empty picture that is saved; its editor's document is left out."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "sub/made"}},
    }


def test_a_sweep_ends_with_a_labelled_grid_that_carries_the_workflow(base: Path) -> None:
    with running(base) as server:
        server.until_ready()
        extra = sweep_of(("1", "color", [255, 65280, 16711680]), ("1", "width", "64,128"))
        prompt_id = server.queue(pictures(), extra_data={**extra, "extra_pnginfo": {"other": 1}})
        images = server.ended(prompt_id, 120)["outputs"]["2"]["images"]
        assert [image.get("index") for image in images] == [0, 1, 2, 3, 4, 5, None]
        assert images[-1] == {
            "filename": "made_grid_00001_.png",
            "subfolder": "sub",
            "type": "output",
            "grid": True,
        }
        with Image.open(base / "output" / "sub" / images[3]["filename"]) as picture:
            assert picture.size == (128, 48) and picture.convert("RGB").getpixel((0, 0)) == (0, 255, 0)
            made_by = json.loads(picture.info["prompt"])
            assert made_by["1"]["inputs"]["color"] == 65280 and made_by["1"]["inputs"]["width"] == 128
        with Image.open(base / "output" / "sub" / images[-1]["filename"]) as grid:
            assert json.loads(grid.info["prompt"]) == pictures()
            assert json.loads(grid.info["other"]) == 1
            axes = json.loads(grid.info["sweep"])
            assert [axis["input"] for axis in axes] == ["color", "width"]
            colours = {colour for _, colour in grid.convert("RGB").getcolors(1 << 24) or ()}
            assert {(0, 0, 255), (0, 255, 0), (255, 0, 0)} <= colours
        again = server.queue(json.loads(json.dumps(pictures())), extra_data=extra)
        assert server.ended(again)["outputs"]["2"]["images"] == images, "all of it is cached, the grid too"


def parts_begun(server: RunningServer, since: int) -> list[int]:
    """The combinations that have begun, by the log after its first ``since`` characters."""
    text = (server.base / "server.log").read_text(errors="replace")[since:]
    return [int(number) for number in re.findall(r"combination (\d+) \(.*\) starts on", text)]


@pytest.mark.slow
def test_after_a_power_cut_only_what_is_missing_runs_again(base: Path) -> None:
    prompt = chain(steps(10, 0.03))
    server = RunningServer(base, "--cache-none")
    try:
        server.until_ready()
        prompt_id = server.queue(prompt, extra_data=sweep_of(("1", "seed", "0..5"), ("2", "note", "a|b")))
        server.until(lambda: len(parts_begun(server, 0)) >= 5)
        done = len(server.get(f"/jobs/{prompt_id}")[1]["outputs"]["2"]["text"])
        assert done >= 3
    finally:
        server.kill()
    so_far = len((base / "server.log").read_text(errors="replace"))
    with running(base, "--cache-none") as server:
        outputs = server.ended(prompt_id, 120)["outputs"]["2"]["text"]
        assert outputs == ["7a", "7b"] * 6
        again = parts_begun(server, so_far)
        assert len(again) == len(set(again)) and 12 - len(again) in (done, done - 1, done + 1)


@pytest.mark.slow
def test_a_combination_whose_worker_dies_is_repeated_alone(base: Path, tmp_path: Path) -> None:
    flag = str(tmp_path / "died")
    prompt = chain(("ProbeDie", {"unless": "x", "seed": 0}))
    Path(flag + "1").touch()
    Path(flag + "3").touch()
    with running(base) as server:
        server.until_ready()
        values = [flag + "1", flag + "2", flag + "3"]
        prompt_id = server.queue(prompt, extra_data=sweep_of(("1", "unless", values), ("2", "note", "a|b")))
        entry = server.ended(prompt_id, 120)
        assert entry["status"]["completed"], entry["status"]
        assert entry["outputs"]["2"]["text"] == ["7a", "7b"] * 3
        begun = Counter(parts_begun(server, 0))
        assert sorted(begun.values()) == [1, 1, 1, 1, 1, 2]
        assert [message[0] for message in entry["status"]["messages"]].count("worker_died") == 1
        always = server.queue(chain(("ProbeDie", {"unless": "", "seed": 5})), extra_data=sweep_of(("1", "seed", "1,2")))
        entry = server.ended(always, 120)
        assert entry["status"]["messages"][-1][0] == "execution_error"
        assert (
            "died 2 times while running combination 0 (seed 1)"
            in entry["status"]["messages"][-1][1]["exception_message"]
        )


def test_values_are_checked_by_the_node_s_own_code(base: Path) -> None:
    prompt = {
        "0": {"class_type": "ProbeEven", "inputs": {"number": 2, "seconds": 0.0}},
        "1": {"class_type": "ProbeShow", "inputs": {"thing": ["0", 0], "note": ""}},
    }
    with running(base) as server:
        server.until_ready()
        status, answer = server.post("/prompt", {"prompt": prompt, "extra_data": sweep_of(("0", "number", "2,4,5"))})
        assert status == 400 and answer["node_errors"]["0"]["errors"][0]["message"] == "5 is odd"
        done = server.queue(prompt, extra_data=sweep_of(("0", "number", "2,4")))
        assert server.ended(done)["outputs"]["1"]["text"] == ["2", "4"]


def test_two_worker_processes_share_a_sweep(base: Path) -> None:
    checkpoints = base / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "a.safetensors").touch()
    prompt = {
        "0": {"class_type": "ProbeModel", "inputs": {"checkpoint": "a.safetensors", "seconds": 0.2, "seed": 0}},
        "1": {"class_type": "ProbeShow", "inputs": {"thing": ["0", 0], "note": ""}},
    }
    with running(base, "--workers", "2") as server:
        server.until(lambda: server.said().count("is ready") == 2, 120)
        shown = server.ended(server.queue(prompt, extra_data=sweep_of(("0", "seed", "0..7"))))["outputs"]["1"]["text"]
        assert len(shown) == 8
        assert len({text.split()[2] for text in shown}) == 2, "each process made some"
