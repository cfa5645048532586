"""Workers with folders of their own, as on other machines, behind a real server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
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


def model(base: Path, worker: str, *names: str) -> None:
    """Put checkpoints into a worker's folder."""
    folder = base / worker / "models" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.safetensors").touch()


def using(*names: str, seed: int = 0) -> dict[str, Any]:
    """A prompt that uses checkpoints and shows the id of the process that did so."""
    prompt: dict[str, Any] = {}
    for name in names:
        inputs = {"checkpoint": f"{name}.safetensors", "seconds": 0.05, "seed": seed}
        prompt[name] = {"class_type": "ProbeModel", "inputs": inputs}
        prompt[f"show {name}"] = {"class_type": "ProbeShow", "inputs": {"thing": [name, 0], "note": ""}}
    return prompt


def keeping_busy(name: str) -> dict[str, Any]:
    """A prompt that uses a checkpoint and takes minutes."""
    prompt = using(name)
    prompt["steps"] = {
        "class_type": "ProbeSteps",
        "inputs": {"thing": [name, 0], "count": 9999, "seconds": 0.05, "seed": 0},
    }
    prompt[f"show {name}"]["inputs"]["thing"] = ["steps", 0]
    return prompt


def worker_pid(base: Path) -> int:
    """The worker process on that base directory."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"--base-directory\0{base}\0" in path.read_text():
                return int(path.parent.name)
    raise AssertionError(f"no worker runs on {base}")


def process_of(job: dict[str, Any]) -> str:
    assert job["status"] == "success", job
    (output,) = job["outputs"].values()
    return str(output["text"][0]).split()[-1]


@pytest.mark.slow
def test_a_job_goes_to_the_worker_that_has_its_models(tmp_path: Path) -> None:
    """The lists have the files of all workers; a busy worker delays only the jobs that need it."""
    model(tmp_path, "one", "a", "both")
    model(tmp_path, "two", "b", "both")

    async def body(server: Served) -> None:
        (folders(tmp_path).models["checkpoints"].directories[0] / "of_the_server.safetensors").touch()
        names = [f"{name}.safetensors" for name in ("a", "b", "both")]
        info = await server.get("/object_info/ProbeModel")
        assert info["ProbeModel"]["input"]["required"]["checkpoint"][0] == names
        assert await server.get("/models/checkpoints") == names
        assert [model["id"] for model in (await server.get("/v1/models"))["data"]][:3] == names
        assert [file["name"] for file in await server.get("/model_files/checkpoints")] == names
        assert await server.get("/experiment/models/checkpoints") == []
        busy = await server.queue(keeping_busy("a"))
        waiting = [await server.queue(using("a", seed=seed)) for seed in range(3)]
        there = {process_of(await server.ended(await server.queue(using("b", seed=seed)))) for seed in range(3)}
        assert {process_of(await server.ended(await server.queue(using("both"))))} == there and len(there) == 1
        queue = await server.get("/queue")
        assert [item[1] for item in queue["queue_running"]] == [busy]
        assert [item[1] for item in queue["queue_pending"]] == waiting
        await server.post("/interrupt", {"prompt_id": busy})
        assert not {process_of(await server.ended(prompt_id)) for prompt_id in waiting} & there
        job = await server.ended(await server.queue(using("a", "b")))
        assert job["status"] == "error"
        assert "one lacks checkpoints/b.safetensors" in str(job) and "two lacks checkpoints/a.safetensors" in str(job)
        await server.post("/prompt", {"prompt": using("new")}, status=400)
        await server.post("/prompt", {"prompt": using("of_the_server")}, status=400)
        model(tmp_path, "two", "new")
        await asyncio.sleep(0.6)  # lists are reused for half a second
        assert process_of(await server.ended(await server.queue(using("new")))) in there
        values = {"node": "x", "input": "checkpoint", "values": "a.safetensors,b.safetensors"}
        swept = {
            "x": {"class_type": "ProbeModel", "inputs": {"checkpoint": "a.safetensors", "seconds": 0.0, "seed": 9}},
            "y": {"class_type": "ProbeShow", "inputs": {"thing": ["x", 0], "note": ""}},
        }
        job = await server.ended(await server.queue(swept, extra_data={"sweep": [values]}))
        assert job["status"] == "success" and len({text.split()[-1] for text in job["outputs"]["y"]["text"]}) == 2
        sweep = [{"node": "both", "input": "checkpoint", "values": "both.safetensors,b.safetensors"}]
        job = await server.ended(await server.queue(using("a", "both"), extra_data={"sweep": sweep}))
        assert job["status"] == "error" and "one lacks checkpoints/b.safetensors" in str(job), "a part nobody can run"

    run(tmp_path, ("one", "two"), body)


@pytest.mark.slow
def test_a_waiting_job_fails_when_the_only_worker_with_its_model_is_gone(tmp_path: Path) -> None:
    model(tmp_path, "one", "a")
    model(tmp_path, "two", "b")

    async def body(server: Served) -> None:
        pid = worker_pid(tmp_path / "two")
        placement = server.scheduler.catalogue.placement
        busy = await server.queue(keeping_busy("b"))
        waiting = await server.queue(using("b", seed=1))
        while busy not in [item[1] for item in (await server.get("/queue"))["queue_running"]]:
            await asyncio.sleep(0.05)
        placement.patience = 0.5
        shutil.rmtree(tmp_path / "two")
        (tmp_path / "two").write_text("no new worker can start here")
        os.kill(pid, signal.SIGKILL)
        for prompt_id in (busy, waiting):
            job = await server.ended(prompt_id)
            assert job["status"] == "error" and "two is gone, which had checkpoints/b.safetensors" in str(job), job
        assert await server.get("/models/checkpoints") == ["a.safetensors"]
        assert process_of(await server.ended(await server.queue(using("a"))))

    run(tmp_path, ("one", "two"), body)


@pytest.mark.slow
def test_nodes_that_only_one_worker_has_are_offered_and_run_there(tmp_path: Path) -> None:
    for name, extra in (("one", "Here"), ("two", "There")):
        packs = tmp_path / name / "custom_nodes"
        packs.mkdir(parents=True)
        (packs / "probe.py").symlink_to(PACK / "custom_nodes" / "probe.py")
        (packs / "extra.py").write_text(
            "from graph.node import node\nfrom graph.results import NodeResult\n"
            f"@node('Only{extra}', category='probe', output_node=True)\n"
            "def only() -> NodeResult:\n    'One worker has it.'\n"
            f"    return NodeResult(ui={{'text': ['{name}']}})\n"
        )

    async def body(server: Served) -> None:
        assert {"OnlyHere", "OnlyThere", "ProbeShow", "KSampler"} <= set(await server.get("/object_info"))
        for extra, name in (("Here", "one"), ("There", "two")) * 2:
            job = await server.ended(await server.queue({"1": {"class_type": f"Only{extra}", "inputs": {}}}))
            assert job["outputs"]["1"]["text"] == [name], job
        both = {name: {"class_type": f"Only{name}", "inputs": {}} for name in ("Here", "There")}
        job = await server.ended(await server.queue(both))
        assert job["status"] == "error" and "one lacks node OnlyThere; two lacks node OnlyHere" in str(job)

    run(tmp_path, ("one", "two"), body)
