"""How many workers one server can keep busy: the real server with workers that only wait.

    python benchmarks/cluster_sizing.py [--workers 8,100,1000] [--seconds 0.1,1,5] [--picture MB] [--json]

A worker here is an object in the server's process. A run takes ``seconds``, sends the events of three nodes, and
delivers a picture, which the server stores in its output folder. Everything else is real: HTTP, WebSocket, SQLite, the
catalogue and the scheduler. The cost of the connections to the workers is not included; ``benchmarks/cluster.py``
measures it with Ray.

For every pair of a number of workers and seconds, jobs for several rounds of all workers are posted, over 16
connections, to a paused queue, which then resumes. A run takes 80 to 120 % of the seconds, so that not all end at once.
The pause is the mean time from the end of a worker's wait to the beginning of its next run: delivering and storing the
picture, storing the end of the job, choosing the next one. Busy and the rate of jobs follow from it. The CPU time is
the server's, for each job, from its request on; the 99th percentile is that of ``GET /queue`` meanwhile. The pictures
and the queue are in TMPDIR: on a disk that is busy, the pauses are the disk's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.job_load import all_succeeded, run_jobs
from benchmarks.running_server import cpu_seconds, free_port, get, until
from graph.errors import Problem
from graph.events import NodeFinished, NodeOutput, NodesCached, NodeStarted, RunStarted, RunSucceeded
from graph.node import node, node_types_in
from graph.node_types.schema_data import node_type_to_data
from graph.results import NodeResult, SavedFile
from server.config import ServerConfig
from server.service import run_service
from server.workers.interface import (
    Description,
    OnEvent,
    OnPackMessage,
    OnPackQuestion,
    Outcome,
    PackAnswer,
    PackRequest,
    RunRequest,
    Stats,
    refuse_question,
)
from server.workers.plan import WorkerPlan
from server.workers.travelling_files import ServerFiles

ROUNDS = 6
FEWEST_JOBS, MOST_JOBS = 200, 3_000


@node("Load", category="benchmark")
def load(*, number: int = 0) -> int:
    """A number."""
    return number


@node("Sample", category="benchmark")
def sample(*, value: int) -> int:
    """The number again."""
    return value


@node("Save", category="benchmark", output_node=True)
def save(*, value: int) -> NodeResult:
    """Would save a picture."""
    return NodeResult(ui={})


class WaitingWorker:
    """A worker that waits for ``seconds`` in place of running a prompt, and then delivers ``picture``."""

    def __init__(self, name: str, seconds: float, picture: bytes, files: ServerFiles):
        self.name = name
        self.on_pack_message: OnPackMessage = lambda event, data, client_id: None
        self.on_pack_question: OnPackQuestion = refuse_question
        self.waits_for = ""
        self._seconds, self._picture, self._files = seconds, picture, files
        self._ended: asyncio.Future[Any] | None = None
        self._waited_until: float | None = None

    async def start(self) -> Description:
        self._ended = asyncio.get_running_loop().create_future()
        return Description([node_type_to_data(found) for found in node_types_in(sys.modules[__name__])])

    async def run(self, request: RunRequest, on_event: OnEvent) -> Outcome:
        job, now = request.prompt_id, time.perf_counter()
        pause = now - self._waited_until if self._waited_until is not None else None
        on_event(RunStarted(job))
        on_event(NodesCached(job, ()))
        for number, (node_id, class_type) in enumerate((("1", "Load"), ("2", "Sample"), ("3", "Save"))):
            on_event(NodeStarted(job, node_id, node_id, class_type))
            if number == 1:
                await asyncio.sleep(self._seconds * random.uniform(0.8, 1.2))
                self._waited_until = time.perf_counter()
            if number == 2:
                on_event(await self._deliver(request, pause))
            on_event(NodeFinished(job, node_id, node_id, class_type, self._seconds))
        return RunSucceeded(job)

    async def _deliver(self, request: RunRequest, pause: float | None) -> NodeOutput:
        """Store the picture as one that has come from a worker with separate folders."""
        job = request.prompt_id
        file = SavedFile(f"{job}.png", "", "output")
        shown = {"images": [{"filename": file.filename, "subfolder": "", "type": "output"}], "pause": [pause]}
        output = NodeOutput(job, "3", "3", shown)
        if self._picture:
            arrivals = self._files.arrivals(request)
            await asyncio.to_thread(arrivals.take, file, self._picture)
            self._files.run_ended(request)
            output = arrivals.renamed(output)
        return output

    async def validate(self, prompt: Mapping[str, Any], targets: list[str]) -> list[Problem]:
        return []

    async def ask_packs(self, request: PackRequest) -> PackAnswer:
        return PackAnswer(404, [], b"")

    async def handle_prompt(self, body: Mapping[str, Any]) -> Any:
        return body

    async def redeclare(self, names: Sequence[str] | None) -> list[dict[str, Any]]:
        return []

    async def interrupt(self, prompt_id: str) -> None:
        """Runs end by themselves."""

    async def free(self, unload_models: bool, free_memory: bool) -> None:
        """Nothing is kept."""

    def stats(self) -> Stats:
        return Stats()

    async def died(self) -> Any:
        assert self._ended is not None
        return await asyncio.shield(self._ended)

    async def close(self) -> None:
        """Nothing runs."""


def prompt(number: int) -> dict[str, Any]:
    """Three nodes with an input that no other prompt has."""
    return {
        "1": {"class_type": "Load", "inputs": {"number": number}},
        "2": {"class_type": "Sample", "inputs": {"value": ["1", 0]}},
        "3": {"class_type": "Save", "inputs": {"value": ["2", 0]}},
    }


def serve(base: Path, port: int, workers: int, seconds: float, picture: int) -> None:
    """Run the server with waiting workers until it is terminated."""
    from nodes.model_folders import folders

    config = ServerConfig(folders=folders(base), port=port)
    data, files = os.urandom(picture), ServerFiles(config.folders)
    factories = {
        f"worker {number}": partial(WaitingWorker, f"worker {number}", seconds, data, files)
        for number in range(workers)
    }
    asyncio.run(run_service(config, WorkerPlan(factories)))


def measure(workers: int, seconds: float, picture: int) -> dict[str, float]:
    """Return what one pair of workers and seconds gives."""
    jobs = int(min(max(ROUNDS * workers, FEWEST_JOBS), MOST_JOBS))
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", folder, str(port), str(workers), str(seconds), str(picture)],
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: get(port, "/readyz")["ready"], "the server's start")
            time.sleep(1)
            before = cpu_seconds(server.pid)
            ran = all_succeeded(
                asyncio.run(run_jobs(port, [prompt(number) for number in range(jobs)], pause_first=True))
            )
            used = cpu_seconds(server.pid) - before
        finally:
            server.terminate()
            server.wait(30)
    pauses = [pause for shown in ran.outputs.values() for pause in shown["pause"] if pause is not None]
    pause, asked = sum(pauses) / len(pauses), sorted(ran.queue_seconds)
    return {
        "workers": workers,
        "seconds": seconds,
        "jobs": jobs,
        "jobs_a_second": workers / (seconds + pause),
        "pause_ms": 1000 * pause,
        "busy": seconds / (seconds + pause),
        "cpu_ms": 1000 * used / jobs,
        "queue_p99_ms": 1000 * asked[int(len(asked) * 0.99)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", default="8,100,1000")
    parser.add_argument("--seconds", default="0.1,1,5")
    parser.add_argument("--picture", type=float, default=1.0, metavar="MB", help="0 for none (default: 1)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        folder, port, workers, seconds, picture = options.serve
        serve(Path(folder), int(port), int(workers), float(seconds), int(picture))
        return
    found = [
        measure(int(workers), float(seconds), int(options.picture * 1e6))
        for workers in options.workers.split(",")
        for seconds in options.seconds.split(",")
    ]
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{'workers':>8} {'seconds':>8} {'jobs':>6} {'jobs/s':>8} {'pause ms':>9} {'busy':>6} {'CPU ms':>7} "
        f"{'queue p99 ms':>13}"
    )
    for row in found:
        print(
            f"{row['workers']:8} {row['seconds']:8g} {row['jobs']:6} {row['jobs_a_second']:8.1f} "
            f"{row['pause_ms']:9.1f} {row['busy']:6.1%} {row['cpu_ms']:7.2f} {row['queue_p99_ms']:13.1f}"
        )


if __name__ == "__main__":
    main()
