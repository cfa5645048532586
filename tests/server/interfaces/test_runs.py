"""Workflows that an interface queues are ordinary jobs, which it follows to their end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from graph.builder import WorkflowBuilder
from graph.formats import load
from graph.formats.picture import texts_in
from graph.workflow import Workflow
from server.http.request_error import RequestError
from server.interfaces.dry_run import dry_run
from server.interfaces.pictures import decoded_base64, keep_picture, pictures_of
from server.interfaces.runs import Preview, Progress, RunRequest, failure_of, followed, submit
from tests.server.fuzz import PICTURE
from tests.server.served import registry, serving


def painted(**inputs: Any) -> Workflow:
    w = WorkflowBuilder(registry())
    w.Paint(**inputs)
    return w.workflow()


def test_a_run_reports_progress_and_previews_and_its_picture(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            changes: list[Any] = []
            wanted = RunRequest(painted(steps=4, seconds=0.05), previews=True, extra_data={"asked_by": "test"})
            async with followed(server.services, wanted) as run:
                async for change in run.changes():
                    changes.append(change)
                job = await run.ended()
            assert job is not None and job.status == "success" and failure_of(job) is None
            assert job.extra_data["asked_by"] == "test" and "workflow" in job.extra_data["extra_pnginfo"]
            steps = [(change.step, change.steps) for change in changes if isinstance(change, Progress)]
            assert (2, 4) in steps or (3, 4) in steps
            previews = [change for change in changes if isinstance(change, Preview)]
            assert previews and previews[0].format == "JPEG" and previews[0].data.startswith(b"\xff\xd8")
            (picture,) = pictures_of(job, server.services.config.folders)
            assert await picture.data() == await server.get(picture.address)

    asyncio.run(check())


def test_a_run_of_cached_results_ends_too(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            names = []
            for _ in range(2):
                async with followed(server.services, RunRequest(painted())) as run:
                    async for _change in run.changes():
                        pass
                    job = await run.ended()
                assert job is not None
                names.append([picture.file for picture in pictures_of(job, server.services.config.folders, ["1"])])
            assert names[0] == names[1] != []

    asyncio.run(check())


def test_waiting_has_a_limit_and_a_run_can_be_stopped(tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            serving(tmp_path) as server,
            followed(server.services, RunRequest(painted(steps=1000, seconds=0.02))) as run,
        ):
            assert await run.ended(seconds=0.05) is None
            await run.stop()
            job = await run.ended()
            assert job is not None and job.status == "interrupted" and failure_of(job) == "the run was interrupted"

    asyncio.run(check())


def test_a_failed_run_says_which_node_failed_and_why(tmp_path: Path) -> None:
    w = WorkflowBuilder(registry())
    w.Fail(message="too dark")

    async def check() -> None:
        async with serving(tmp_path) as server, followed(server.services, RunRequest(w.workflow())) as run:
            job = await run.ended()
            assert job is not None and failure_of(job) == "node 1 (Fail): too dark"

    asyncio.run(check())


def test_an_invalid_workflow_is_refused_with_its_problems(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            with pytest.raises(RequestError) as refused:
                await submit(server.services, RunRequest(painted(red=900)))
            assert refused.value.status == 400 and "900" in refused.value.details

    asyncio.run(check())


def test_a_job_that_is_removed_while_it_waits_does_not_wait_forever(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, start_paused=True) as server:
            await server.post("/queue", {"pause": True})
            async with followed(server.services, RunRequest(painted())) as run:
                await server.post("/queue", {"clear": True})
                async for _ in run.changes():
                    pass
                with pytest.raises(RequestError, match="there is no job"):
                    await run.ended()

    asyncio.run(check())


def test_pictures_from_requests_are_stored_by_content(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as server:
            name = await keep_picture(server.services, PICTURE, "image")
            assert name == await keep_picture(server.services, PICTURE, "image") and name.endswith(".png")
            assert (tmp_path / "input" / name).read_bytes() == PICTURE
            w = WorkflowBuilder(registry())
            w.Copy(image=name)
            async with followed(server.services, RunRequest(w.workflow())) as run:
                assert (await run.ended()).status == "success"  # type: ignore[union-attr]
            for data in (b"", b"GIF89a", b"<svg/>"):
                with pytest.raises(RequestError, match="mask: not a picture"):
                    await keep_picture(server.services, data, "mask")

    asyncio.run(check())


def test_base64_comes_bare_or_in_a_data_address() -> None:
    for text in ("aGVsbG8=", "data:image/png;base64,aGVsbG8=", "aGVs\nbG8="):
        assert decoded_base64(text, "image") == b"hello"
    with pytest.raises(RequestError, match="image: not valid base64"):
        decoded_base64("a", "image")
    with pytest.raises(RequestError, match="image: addresses are not fetched"):
        decoded_base64("https://example.com/a.png", "image")


def test_a_dry_run_is_a_file_that_reads_as_the_same_workflow() -> None:
    workflow = painted(red=7)
    answer = dry_run(workflow, registry())
    assert load(answer, registry()).nodes == workflow.nodes == load(answer["workflow"], registry()).nodes
    assert answer["open"].startswith("/#workflow=") and texts_in(PICTURE) == {}
