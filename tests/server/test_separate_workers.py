"""Workers with folders of their own, as on other machines, behind a real server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graph.folders import Folders
from server.workers.interface import Worker, WorkerFactory
from server.workers.process import ProcessWorker
from server.workers.travelling_files import ServerFiles
from tests.server.conftest import PACK, ROOT
from tests.server.served import Served, folders_in, serving


def separate(base: Path, *names: str) -> dict[str, WorkerFactory]:
    """A factory for a worker process on a base directory of its own, for each name."""
    files = ServerFiles(folders_in(base / "server"))
    return {name: lambda name=name: _worker(base / name, name, files) for name in names}  # type: ignore[misc]


def _worker(base: Path, name: str, files: ServerFiles) -> Worker:
    base.mkdir(exist_ok=True)
    if not (base / "custom_nodes").exists():
        (base / "custom_nodes").symlink_to(PACK / "custom_nodes")
    options = ["--base-directory", str(base), "--cpu", "--no-warm-up", "--cache-disk", "0", "--send-files"]
    return ProcessWorker(name, [sys.executable, str(ROOT / "main.py"), "worker", *options], files=files)


def run(base: Path, names: tuple[str, ...], body: Any) -> None:
    async def go() -> None:
        async with serving(base / "server", factories=separate(base, *names), seconds=120) as server:
            while len(server.scheduler.stats()) < len(names):
                await asyncio.sleep(0.05)
            await body(server)

    asyncio.run(go())


def folders(base: Path) -> Folders:
    return folders_in(base / "server")


@pytest.mark.slow
def test_a_sweep_s_grid_has_the_pictures_of_all_workers(tmp_path: Path) -> None:
    async def body(server: Served) -> None:
        prompt = {"1": {"class_type": "ProbePaint", "inputs": {"red": 10, "prefix": "probe"}}}
        values = {"node": "1", "input": "red", "values": "50,100,150,200"}
        job = await server.ended(await server.queue(prompt, extra_data={"sweep": [values]}))
        assert job["status"] == "success", job
        output = folders(tmp_path).output
        names = sorted(path.name for path in output.iterdir())
        assert names == [*(f"probe_0000{n}_.png" for n in range(1, 5)), "probe_grid_00001_.png"]
        made = [Image.open(output / f"probe_0000{n}_.png").getpixel((0, 0)) for n in range(1, 5)]
        with Image.open(output / names[-1]) as grid:
            colours = {colour for _, colour in grid.convert("RGB").getcolors(10**6) or []}
        assert {pixel[0] for pixel in made} == {50, 100, 150, 200}  # type: ignore[index]
        assert set(made) <= colours, "no cell of the grid is empty"

    run(tmp_path, ("one", "two"), body)
