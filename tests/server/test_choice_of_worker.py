"""Which of several free workers gets a job."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import pytest

from graph import Engine
from graph.cache.result_cache import CacheSettings
from graph.node import Files, node, node_types_in
from graph.results import NodeResult
from graph.schema import Registry
from server.workers.engine_host import EngineHost
from server.workers.in_process import InProcessWorker
from tests.server.served import folders_in, serving


@node("Load", category="test", output_node=True)
def load(*, file: Annotated[str, Files("checkpoints")]) -> NodeResult:
    """Show the name of a model."""
    return NodeResult(ui={"text": [file]})


def worker(base: Path, name: str, free: int) -> InProcessWorker:
    """A worker whose device has ``free`` bytes."""
    registry = Registry({found.name: found for found in node_types_in(__import__(__name__, fromlist=["load"]))})

    def host() -> EngineHost:
        folders = folders_in(base)
        devices: list[dict[str, Any]] = [{"type": "cuda", "index": 0, "vram_free": free}]
        engine = Engine(registry, folders=folders, cache=CacheSettings(disk=None))
        return EngineHost(registry, engine, folders, devices=lambda: devices)

    return InProcessWorker(name, host)


def test_a_job_goes_to_the_worker_with_the_most_room_for_its_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    rooms = {"small": 4 << 30, "large": 24 << 30, "medium": 12 << 30}
    factories = {name: lambda name=name: worker(tmp_path, name, rooms[name]) for name in rooms}
    folders_in(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "models/checkpoints" / f"{name}.safetensors").touch()

    async def body() -> None:
        async with serving(tmp_path, factories=factories) as server:  # type: ignore[arg-type]
            while len(server.scheduler.stats()) < len(rooms):
                await asyncio.sleep(0.01)
            for name in ("a", "b", "a"):
                prompt = {"1": {"class_type": "Load", "inputs": {"file": f"{name}.safetensors"}}}
                await server.ended(await server.queue(prompt))

    asyncio.run(body())
    starts = [record.getMessage() for record in caplog.records if record.getMessage().startswith("starts on")]
    assert starts == ["starts on large"] * 3
