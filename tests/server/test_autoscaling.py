"""Workers that come with waiting jobs and go when there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from graph import Engine
from graph.cache.result_cache import CacheSettings
from server.workers.engine_host import EngineHost
from server.workers.in_process import InProcessWorker
from server.workers.plan import WorkerPlan
from tests.server.served import Served, folders_in, registry, saved, serving, taking


def plan(base: Path, least: int, most: int) -> WorkerPlan:
    def host() -> EngineHost:
        folders = folders_in(base)
        return EngineHost(registry(), Engine(registry(), folders=folders, cache=CacheSettings(disk=None)), folders)

    names = [f"worker {index}" for index in range(most)]
    return WorkerPlan({name: lambda name=name: InProcessWorker(name, host) for name in names}, least, idle_seconds=0.2)  # type: ignore[misc]


def check(base: Path, least: int, most: int, test: Callable[[Served], Awaitable[None]]) -> None:
    async def body() -> None:
        async with serving(base, factories=plan(base, least, most)) as server:
            await test(server)

    asyncio.run(body())


async def until_running(server: Served, count: int) -> None:
    while len(server.scheduler.stats()) != count:
        await asyncio.sleep(0.01)


def test_workers_come_for_waiting_jobs_and_go_when_idle(tmp_path: Path) -> None:
    async def test(server: Served) -> None:
        await until_running(server, 1)
        jobs = [await server.queue(taking(60, count=600 + number)) for number in range(3)]
        while len(server.scheduler.running) < 3:
            await asyncio.sleep(0.01)
        await server.post("/interrupt")
        assert [(await server.ended(job))["status"] for job in jobs] == ["interrupted"] * 3
        await until_running(server, 1)

    check(tmp_path, 1, 3, test)


def test_with_no_worker_at_rest_the_server_is_ready_and_the_next_job_brings_one(tmp_path: Path) -> None:
    async def test(server: Served) -> None:
        await until_running(server, 0)
        assert (await server.get("/readyz"))["ready"]
        assert (await server.ended(await server.queue(saved())))["status"] == "success"
        await until_running(server, 0)

    check(tmp_path, 0, 2, test)


def test_parts_of_a_sweep_bring_workers_too(tmp_path: Path) -> None:
    async def test(server: Served) -> None:
        sweep = [{"node": "1", "input": "count", "values": "1,6000,6001"}]
        job = await server.queue(taking(0.01, count=1), extra_data={"sweep": sweep})
        await until_running(server, 2)
        await server.post("/interrupt")
        assert (await server.ended(job))["status"] == "interrupted"

    check(tmp_path, 1, 3, test)
