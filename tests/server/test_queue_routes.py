"""From POST /prompt to the history, as clients without a WebSocket see it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from server.config import Limits
from server.interfaces import runs
from tests.server.served import Served, saved, serving, taking


async def paused_with(server: Served, *values: int) -> list[str]:
    await server.post("/queue", {"pause": True})
    return [await server.queue(saved(value), prompt_id=f"p{value}") for value in values]


def ids(queue: dict[str, Any]) -> list[str]:
    return [item[1] for item in queue["queue_pending"]]


def test_a_prompt_from_the_request_to_its_file(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            workflow = {"extra_pnginfo": {"workflow": {"nodes": []}}}
            answer = await server.post("/prompt", {"prompt": saved(42), "client_id": "me", "extra_data": workflow})
            assert set(answer) == {"prompt_id", "number", "node_errors"} and answer["node_errors"] == {}
            prompt_id = answer["prompt_id"]
            job = await server.ended(prompt_id)
            assert (job["status"], job["progress"], job["position"], job["client_id"]) == ("success", 1.0, None, "me")
            assert job["started"] <= job["ended"] and set(job["timings"]) == {"1", "2"}
            (file,) = job["outputs"]["2"]["files"]
            assert await server.get(file["url"]) == b"42"
            entry = (await server.get(f"/history/{prompt_id}"))[prompt_id]
            number, listed_id, prompt, extra_data, outputs = entry["prompt"]
            assert (number, listed_id, prompt, outputs) == (answer["number"], prompt_id, saved(42), ["2"])
            assert isinstance(number, int)
            assert extra_data["extra_pnginfo"] == workflow["extra_pnginfo"] and extra_data["client_id"] == "me"
            assert entry["outputs"]["2"]["files"] == [{key: file[key] for key in ("filename", "subfolder", "type")}]
            assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
            assert [event for event, _ in entry["status"]["messages"]] == [
                "execution_start", "execution_cached", "execution_success",
            ]  # fmt: skip
            assert entry["meta"]["2"] == {
                "node_id": "2", "display_node": "2", "parent_node": None, "real_node_id": "2",
            }  # fmt: skip
            assert await server.get("/api/history") == {prompt_id: entry}
            assert await server.get("/history/unknown") == {}
            assert await server.get("/prompt") == {"exec_info": {"queue_remaining": 0}}

    asyncio.run(check())


def test_a_script_that_names_no_content_type(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            data = b'{"prompt": {"1": {"class_type": "Steps", "inputs": {"count": 1, "seconds": 0}}}}'
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await server.send("POST", "/prompt", data=data, headers=headers)
            assert (await server.ended(answer["prompt_id"]))["status"] == "success"

    asyncio.run(check())


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "no_prompt"),
        ([], "invalid_prompt"),
        ({"prompt": []}, "invalid_prompt"),
        ({"prompt": {}}, "prompt_no_outputs"),
        ({"prompt": {"1": {"class_type": "Number", "inputs": {"value": 1}}}}, "prompt_no_outputs"),
        ({"prompt": {"1": {"class_type": "Nmber", "inputs": {}}}}, "invalid_prompt"),
        ({"prompt": saved(101)}, "prompt_outputs_failed_validation"),
        ({"prompt": saved(), "number": "x"}, "invalid_prompt"),
        ({"prompt": saved(), "client_id": ["x"]}, "invalid_prompt"),
    ],
)
def test_what_is_wrong_with_a_prompt(tmp_path: Path, body: Any, kind: str) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            answer = await server.post("/prompt", body, status=400)
            assert answer["error"]["type"] == kind
            assert set(answer["error"]) == {"type", "message", "details", "extra_info"}
            assert ("1" in answer["node_errors"]) == (kind == "prompt_outputs_failed_validation")
            assert await server.get("/queue") == {"queue_running": [], "queue_pending": [], "paused": False}

    asyncio.run(check())


def test_a_known_prompt_id_queues_nothing_again(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            await server.post("/queue", {"pause": True})
            body = {"prompt": saved(), "prompt_id": "once"}
            first = await server.post("/prompt", body)
            assert [await server.post("/prompt", body) for _ in range(3)] == [first] * 3
            assert ids(await server.get("/queue")) == ["once"]
            await server.post("/queue", {"pause": False})
            await server.ended("once")
            assert await server.post("/prompt", body) == first
            assert ids(await server.get("/queue")) == []

    asyncio.run(check())


def test_pause_move_front_delete_clear(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            await paused_with(server, 1, 2, 3)
            queue = await server.get("/queue")
            assert (ids(queue), queue["paused"], queue["queue_running"]) == (["p1", "p2", "p3"], True, [])
            assert [(await server.get(f"/jobs/p{value}"))["position"] for value in (1, 2, 3)] == [0, 1, 2]
            await server.post("/queue", {"move": {"prompt_id": "p3", "before": "p1"}})
            await server.post("/queue", {"move": {"prompt_id": "p1", "before": None}})
            assert ids(await server.get("/queue")) == ["p3", "p2", "p1"]
            await server.post("/queue", {"move": {"prompt_id": "gone"}}, status=404)
            for bad in ({"move": "p1"}, {"move": {"prompt_id": 1}}, {"move": {"prompt_id": "p1", "before": 2}}):
                await server.post("/queue", bad, status=400)
            await server.queue(saved(4), prompt_id="first", front=True)
            assert ids(await server.get("/queue")) == ["first", "p3", "p2", "p1"]
            assert (await server.post("/queue", {"delete": ["p2", "gone"]}))["deleted"] == ["p2"]
            assert ids(await server.get("/queue")) == ["first", "p3", "p1"]
            await server.get("/jobs/p2", status=404)
            assert len((await server.post("/queue", {"clear": True}))["deleted"]) == 3
            assert ids(await server.get("/queue")) == []
            await server.queue(saved(5), prompt_id="last")
            assert (await server.post("/queue", {"pause": False}))["paused"] is False
            assert (await server.ended("last"))["status"] == "success"

    asyncio.run(check())


def test_a_failed_prompt_says_why_and_is_tried_again(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            failing = {"1": {"class_type": "Fail", "inputs": {"message": "out of ink"}}}
            await server.queue(failing, prompt_id="bad")
            job = await server.ended("bad")
            assert job["status"] == "error"
            assert (job["error"]["node_id"], job["error"]["exception_type"]) == ("1", "ValueError")
            assert "out of ink" in job["error"]["exception_message"]
            entry = (await server.get("/history/bad"))["bad"]
            assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
            await server.queue(saved(), prompt_id="good")
            await server.ended("good")
            await server.post("/queue", {"pause": True})
            assert (await server.post("/queue", {"retry": ["bad", "good", "gone"]}))["retried"] == ["bad"]
            assert (await server.get("/jobs/bad"))["status"] == "pending"
            assert await server.get("/history/bad") == {}
            await server.post("/queue", {"pause": False})
            assert (await server.ended("bad"))["status"] == "error"

    asyncio.run(check())


def test_a_long_poll_ends_when_the_job_does(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            loop = asyncio.get_running_loop()
            prompt_id = await server.queue(taking(1.0))
            early = await server.get(f"/jobs/{prompt_id}?wait=0.2")
            assert early["status"] in ("pending", "running") and early["progress"] < 1
            began = loop.time()
            job = await server.get(f"/jobs/{prompt_id}?wait=30")
            assert job["status"] == "success" and loop.time() - began < 20
            assert (await server.get(f"/jobs/{prompt_id}?wait=30"))["status"] == "success"
            await server.get("/jobs/unknown?wait=30", status=404)
            for bad in ("x", "-1", "nan", "inf", "1e9"):
                await server.get(f"/jobs/{prompt_id}?wait={bad}", status=400)

    asyncio.run(check())


def test_what_runs_is_told_with_its_progress(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            prompt_id = await server.queue(taking(60, 600))
            while (job := await server.get(f"/jobs/{prompt_id}"))["progress"] == 0:
                await asyncio.sleep(0.01)
            assert job["status"] == "running" and 0 < job["progress"] <= 1 and job["node"] == "1"
            assert [item[1] for item in (await server.get("/queue"))["queue_running"]] == [prompt_id]
            await server.post("/interrupt", {"prompt_id": "another"})
            assert (await server.get(f"/jobs/{prompt_id}"))["status"] == "running"
            await server.post("/interrupt")
            assert (await server.ended(prompt_id))["status"] == "interrupted"
            entry = (await server.get(f"/history/{prompt_id}"))[prompt_id]
            assert entry["status"]["status_str"] == "error"
            assert entry["status"]["messages"][-1][0] == "execution_interrupted"

    asyncio.run(check())


def test_interrupt_and_free_take_no_body_an_empty_one_or_an_object(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            for path in ("/interrupt", "/free"):
                await server.post(path)
                await server.post(path, {})
                await server.send("POST", path, data=b" ")
                await server.send("POST", path, 400, data=b"{")
                await server.send("POST", path, 400, data=b"[]")
            await server.post("/free", {"unload_models": True, "free_memory": True})
            await server.post("/free", {"unload_models": 1, "free_memory": 0})
            await server.post("/free", {"unload_models": "all"}, status=400)
            await server.post("/interrupt", {"prompt_id": 3}, status=400)

    asyncio.run(check())


def test_pages_of_the_history(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            for value in range(5):
                await server.queue(saved(value), prompt_id=f"p{value}")
            for value in range(5):
                await server.ended(f"p{value}")

            async def page(query: str) -> list[str]:
                return list(await server.get(f"/history{query}"))

            assert await page("") == ["p0", "p1", "p2", "p3", "p4"]
            assert await page("?max_items=2") == ["p3", "p4"]
            assert await page("?max_items=2&offset=-1") == ["p3", "p4"]
            assert await page("?max_items=2&offset=1") == ["p1", "p2"]
            assert await page("?offset=3") == ["p3", "p4"]
            assert await page("?offset=30") == []
            await server.get("/history?max_items=two", status=400)
            await server.get("/history?max_items=99999999999999999999999", status=400)
            await server.post("/history", {"delete": ["p1", "gone"]})
            assert await page("") == ["p0", "p2", "p3", "p4"]
            await server.post("/history", {"clear": True})
            assert await page("") == []

    asyncio.run(check())


def test_a_long_poll_whose_client_has_gone_gives_its_place_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_CHECK_SECONDS", 0.1)

    async def check() -> None:
        async with serving(tmp_path, limits=Limits(long_polls=1)) as server:
            prompt_id = await server.queue(taking(20.0))
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(0.2):
                    await server.get(f"/jobs/{prompt_id}?wait=600")
            while True:
                async with server.session.get(f"{server.url}/jobs/{prompt_id}?wait=0.1") as answer:
                    if answer.status == 200:
                        break
            await server.post("/interrupt")

    asyncio.run(check())


def test_the_list_of_jobs_page_by_page(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            for value in range(3):
                extra = {"extra_pnginfo": {"workflow": {"id": f"w{value % 2}"}}}
                await server.queue(saved(value), prompt_id=f"p{value}", extra_data=extra)
                await server.ended(f"p{value}")
            await server.queue({"1": {"class_type": "Fail", "inputs": {"message": "no"}}}, prompt_id="bad")
            await server.ended("bad")
            await server.post("/queue", {"pause": True})
            await server.queue(saved(9), prompt_id="waiting")

            everything = await server.get("/jobs")
            assert [job["id"] for job in everything["jobs"]] == ["waiting", "bad", "p2", "p1", "p0"]
            assert everything["pagination"] == {"offset": 0, "limit": 1000, "total": 5, "has_more": False}
            ended = await server.get("/api/jobs?status=completed,failed,cancelled&limit=2&offset=1")
            assert [(job["id"], job["status"]) for job in ended["jobs"]] == [("p2", "completed"), ("p1", "completed")]
            assert ended["pagination"] == {"offset": 1, "limit": 2, "total": 4, "has_more": True}
            shown = ended["jobs"][0]
            assert shown["outputs_count"] == 1 and shown["execution_error"] is None
            assert (shown["preview_output"]["nodeId"], shown["preview_output"]["mediaType"]) == ("2", "files")
            assert [file["filename"] for file in shown["files"]] == [shown["preview_output"]["filename"]]
            assert shown["create_time"] <= shown["execution_start_time"] <= shown["execution_end_time"]
            (failed,) = (await server.get("/jobs?status=failed"))["jobs"]
            assert failed["execution_error"]["exception_type"] == "ValueError"
            (waiting,) = (await server.get("/jobs?status=in_progress,pending"))["jobs"]
            assert (waiting["id"], waiting["status"], waiting["preview_output"]) == ("waiting", "pending", None)
            upwards = await server.get("/jobs?sort_order=asc&limit=2")
            assert [job["id"] for job in upwards["jobs"]] == ["p0", "p1"]
            slowest = (await server.get("/jobs?sort_by=execution_duration"))["jobs"]
            took = [(job["execution_end_time"] or 0) - (job["execution_start_time"] or 0) for job in slowest]
            assert all(before >= after - 1 for before, after in pairwise(took))  # in whole milliseconds
            of_workflow = await server.get("/jobs?workflow_id=w0")
            assert [(job["id"], job["workflow_id"]) for job in of_workflow["jobs"]] == [("p2", "w0"), ("p0", "w0")]
            one = await server.get("/api/jobs/p2")
            assert (one["id"], one["workflow_id"], one["outputs_count"]) == ("p2", "w0", 1)
            assert one["workflow"]["prompt"] == saved(2) and list(one["outputs"]) == ["2"]
            await server.get("/jobs?sort_by=name", status=400)
            await server.get("/jobs?sort_order=up", status=400)
            await server.get("/jobs?status=done", status=400)
            await server.get("/jobs?limit=x", status=400)
            assert (await server.get("/jobs?limit=0&offset=-3"))["pagination"]["total"] == 5

    asyncio.run(check())
