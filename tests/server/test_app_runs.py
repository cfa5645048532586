"""``POST /apps/NAME``: saved workflows as functions."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from graph.builder import WorkflowBuilder
from server.interfaces import runs
from tests.server.fuzz import PICTURE
from tests.server.served import registry, saved, serving


def app(base: Path, name: str, class_type: str, **inputs: Any) -> None:
    w = WorkflowBuilder(registry())
    w.node(class_type, **inputs)
    path = base / "user" / "default" / "workflows" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(w.to_editor()))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    app(tmp_path, "paint", "Paint", red=1, width=8, height=6, steps=3, seconds=0.0)
    app(tmp_path, "slow", "Paint", red=2, width=8, height=6, steps=1000, seconds=0.02)
    app(tmp_path, "copy", "Copy", image="none.png")
    app(tmp_path, "fail", "Fail", message="too dark")
    return tmp_path


def test_the_list_has_each_apps_fields(base: Path) -> None:
    async def check() -> None:
        async with serving(base) as server:
            listed = {entry["name"]: entry for entry in await server.get("/apps")}
            fields = {field["name"]: field for field in listed["paint"]["fields"]}
            assert (fields["red"]["value"], fields["red"]["min"], fields["red"]["max"]) == (1, 0, 255)
            assert "fields" not in (await server.get("/apps?fields=false"))[0]

    asyncio.run(check())


def test_a_call_is_queued_and_its_job_can_be_followed(base: Path) -> None:
    async def check() -> None:
        async with serving(base) as server:
            answer = await server.post("/apps/paint", {"fields": {"red": 9, "steps": 2}})
            assert answer["status"] in ("pending", "running", "success")
            assert answer["fields"]["red"] == 9 and answer["fields"]["width"] == 8
            job = await server.ended(answer["prompt_id"])
            assert job["status"] == "success"
            assert job["workflow"]["extra_data"]["extra_pnginfo"]["workflow"]["nodes"][0]["widgets_values"][0] == 9

    asyncio.run(check())


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_waiting_answers_with_the_pictures_addresses(base: Path, prefix: str) -> None:
    async def check() -> None:
        async with serving(base) as server:
            answer = await server.post(f"{prefix}/apps/paint?wait=20", {"fields": {"red": 77, "height": 10}})
            assert answer["status"] == "success" and answer["outputs"]["1"]["images"][0]["url"]
            (picture,) = answer["pictures"]
            with Image.open(io.BytesIO(await server.get(picture["url"]))) as image:
                assert image.size == (8, 10) and image.getpixel((0, 0)) == (77, 0, 0)
            assert (await server.post("/apps/slow?wait=0.05"))["status"] in ("pending", "running")

    asyncio.run(check())


@pytest.mark.parametrize("accept", ["image/png", "image/webp", "image/jpeg", "image/*"])
def test_the_answer_can_be_the_picture(base: Path, accept: str) -> None:
    async def check() -> None:
        async with (
            serving(base) as server,
            server.session.post(
                f"{server.url}/apps/paint", json={"fields": {"red": 250}}, headers={"Accept": f"{accept}, */*;q=0.1"}
            ) as answer,
        ):
            assert answer.status == 200 and answer.headers["X-Prompt-Id"]
            assert answer.content_type == ("image/png" if accept == "image/*" else accept)
            with Image.open(io.BytesIO(await answer.read())) as image:
                assert image.convert("RGB").getpixel((0, 0))[0] > 240  # type: ignore[index]

    asyncio.run(check())


def test_pictures_come_as_a_part_as_base64_or_by_name(base: Path) -> None:
    async def check() -> None:
        async with serving(base) as server:
            form = aiohttp.FormData()
            form.add_field("image", PICTURE, filename="mine.png")
            by_part = await server.send("POST", "/apps/copy?wait=20", data=form)
            text = base64.b64encode(PICTURE).decode()
            for value in (text, f"data:image/png;base64,{text}", by_part["fields"]["image"]):
                answer = await server.post("/apps/copy?wait=20", {"fields": {"image": value}})
                assert answer["pictures"] == by_part["pictures"] != []

    asyncio.run(check())


@pytest.mark.parametrize(
    ("name", "fields", "wrong"),
    [
        ("paint", {"redd": 1}, "redd"),
        ("paint", {"red": 300}, "red"),
        ("paint", {"red": "dark"}, "red"),
        ("paint", {"steps": 0}, "steps"),
        ("copy", {"image": "nowhere.png"}, "image"),
        ("copy", {"image": "aGVsbG8="}, "image"),
        ("copy", {"image": base64.b64encode(PICTURE[: len(PICTURE) // 2]).decode()}, "image"),
        ("paint", {"red": True}, "red"),
        ("copy", {"image": {"a": 1}}, "image"),
    ],
)
def test_a_bad_value_is_a_422_that_names_the_field(base: Path, name: str, fields: Any, wrong: str) -> None:
    async def check() -> None:
        async with serving(base) as server:
            answer = await server.post(f"/apps/{name}", {"fields": fields}, 422)
            assert answer["error"]["type"] == "invalid_fields"
            told = answer["error"]["extra_info"]["fields"]
            assert list(told) == [wrong] and told[wrong]["message"] and told[wrong]["expected"]

    asyncio.run(check())


@pytest.mark.parametrize("body", [{"fields": 3}, {"field": {}}, [], {"fields": {}, "webhook": 3}])
def test_a_body_of_another_form_is_refused(base: Path, body: Any) -> None:
    async def check() -> None:
        async with serving(base) as server:
            assert (await server.post("/apps/paint", body, 400))["error"]["type"] == "invalid_body"
            await server.post("/apps/nowhere", {"fields": {}}, 404)

    asyncio.run(check())


def test_a_run_that_fails_says_why(base: Path) -> None:
    async def check() -> None:
        async with serving(base) as server:
            for headers in ({}, {"Accept": "image/png"}):
                answer = await server.send("POST", "/apps/fail?wait=20", 422, json={}, headers=headers)
                assert answer["error"]["type"] == "run_failed"
                assert answer["error"]["details"] == "node 1 (Fail): too dark"

    asyncio.run(check())


async def events(answer: aiohttp.ClientResponse) -> list[tuple[str, Any]]:
    found = []
    for block in (await answer.text()).split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_events_report_progress_previews_and_the_end(base: Path) -> None:
    headers = {"Accept": "text/event-stream"}

    async def check() -> None:
        async with serving(base) as server:
            body = {"fields": {"red": 5, "seconds": 0.05}}
            async with server.session.post(f"{server.url}/apps/paint", json=body, headers=headers) as answer:
                assert answer.content_type == "text/event-stream"
                told = await events(answer)
            names = [name for name, _ in told]
            assert names[0] == "queued" and names[-1] == "done" and {"progress", "preview"} < set(names)
            preview = next(data for name, data in told if name == "preview")
            assert preview["format"] == "jpeg" and base64.b64decode(preview["data"]).startswith(b"\xff\xd8")
            assert told[-1][1]["pictures"]
            async with server.session.post(f"{server.url}/apps/fail", json={}, headers=headers) as answer:
                assert (await events(answer))[-1][1]["error"]["details"] == "node 1 (Fail): too dark"

    asyncio.run(check())


def test_a_client_may_ask_to_stop_the_run_when_it_goes(base: Path) -> None:
    async def check() -> None:
        async with serving(base) as server:
            headers = {"Accept": "text/event-stream"}
            url = f"{server.url}/apps/slow?stop_if_gone=1"
            async with server.session.post(url, json={}, headers=headers) as answer:
                prompt_id = answer.headers["X-Prompt-Id"]
                await answer.content.readuntil(b"event: progress")
            assert (await server.ended(prompt_id))["status"] == "interrupted"

    asyncio.run(check())


def test_a_client_that_waits_and_goes_stops_its_run_if_it_asked_for_that(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_CHECK_SECONDS", 0.05)

    async def check() -> None:
        async with serving(base) as server:

            async def newest() -> dict[str, Any]:
                return (await server.get("/jobs?limit=1"))["jobs"][0]

            for query, stops in (("wait=60&stop_if_gone=1", True), ("wait=60", False)):
                asking = asyncio.create_task(server.post(f"/apps/slow?{query}", {"fields": {"red": len(query)}}))
                while (await server.get("/jobs"))["jobs"] == [] or (await newest())["status"] != "in_progress":
                    await asyncio.sleep(0.02)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
                for _ in range(15 if not stops else 3000):
                    if (await newest())["status"] != "in_progress":
                        break
                    await asyncio.sleep(0.02)
                assert (await newest())["status"] == ("cancelled" if stops else "in_progress")

    asyncio.run(check())


def test_a_dry_run_answers_with_the_workflow_and_runs_nothing(base: Path) -> None:
    async def check() -> None:
        async with serving(base) as server:
            answer = await server.post("/apps/paint?dry_run=1", {"fields": {"red": 200}})
            assert answer["prompt"]["1"]["inputs"]["red"] == 200 and answer["workflow"]["nodes"]
            assert (await server.get("/jobs"))["jobs"] == []
            await server.queue(answer["prompt"])

    asyncio.run(check())


def test_the_description_gives_types_and_bounds(base: Path) -> None:
    async def check() -> None:
        async with serving(base) as server:
            document = await server.get("/apps/paint/openapi.json")
            assert list(document["paths"]) == ["/apps/paint"]
            red = document["components"]["schemas"]["Fields"]["properties"]["red"]
            assert (red["type"], red["minimum"], red["maximum"], red["default"]) == ("integer", 0, 255, 1)
            copied = await server.get("/apps/copy/openapi.json")
            form = copied["components"]["schemas"]["Form"]
            assert form["properties"]["image"]["format"] == "binary"
            await server.get("/apps/nowhere/openapi.json", 404)

    asyncio.run(check())


def test_the_same_call_again_finds_its_picture_in_the_cache(base: Path) -> None:
    async def check() -> None:
        async with serving(base) as server:
            first, second = [await server.post("/apps/paint?wait=20", {"fields": {"red": 4}}) for _ in range(2)]
            assert first["prompt_id"] != second["prompt_id"] and first["pictures"] == second["pictures"]
            assert await server.queue(saved())

    asyncio.run(check())
