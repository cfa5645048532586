"""Workers of a Ray cluster on this machine: throughput, the cost of a job, and jobs that survive killed workers.

    python benchmarks/cluster.py [throughput] [overhead] [faults] [--jobs 1000] [--json]

The nodes come from a pack in a temporary folder and use no torch. Each job makes a picture of 1 MB, sleeps in place of
a GPU's work, passes the picture on, and saves it; the file travels to the server, whose folders the workers do not
share.

- throughput: jobs that sleep 1 s, on 1, 2, 4 and 8 workers: jobs a second, as a share of the number of workers.
- overhead: jobs that do not sleep, one at a time, on a worker of the cluster and on a local worker process, in turn:
  the medians from the request to the message that the job has ended, and their difference.
- faults: jobs that sleep 0.5 s, on 8 workers, of which one is killed (SIGKILL) every 5 s. Every job must end as a
  success with its own picture, saved once, and the log must name each job that ran again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.job_load import Jobs, all_succeeded, run_jobs
from benchmarks.running_server import ROOT, children, cpu_seconds, free_port, get, until

WORKERS = (1, 2, 4, 8)
KILL_SECONDS = 5.0
PICTURE_BYTES = 1_000_000
FOLDERS = ("input", "output", "temp", "user")

PACK = '''
import os
import time
from pathlib import Path
from typing import Annotated

from graph.context import Context
from graph.node import Socket, node
from graph.results import NodeResult

Bytes = Annotated[bytes, Socket("BENCHMARK_PICTURE")]
PIDS = Path(__file__).resolve().parents[1] / "pids"


def picture_of(number):
    """A picture that no other job makes, as bytes."""
    import hashlib

    return hashlib.shake_128(str(number).encode()).digest(SIZE)


@node("Picture", category="benchmark")
def picture(*, number: int = 0) -> Bytes:
    """Make a picture of 1 MB."""
    (PIDS / str(os.getpid())).touch()
    return picture_of(number)


@node("Work", category="benchmark")
def work(*, picture: Bytes, seconds: float = 0.0) -> Bytes:
    """Wait, and pass the picture on."""
    time.sleep(seconds)
    return picture


@node("Store", category="benchmark", output_node=True)
def store(*, context: Context, picture: Bytes, number: int = 0) -> NodeResult:
    """Save the picture."""
    target = context.folders.save_target(f"job-{number}")
    name = f"{target.stem}_{target.counter:05}_.bin"
    (target.directory / name).write_bytes(picture)
    return NodeResult(ui={"files": [{"filename": name, "subfolder": target.subfolder, "type": "output"}]})
'''


def prompt(number: int, seconds: float) -> dict[str, Any]:
    """One job."""
    return {
        "1": {"class_type": "Picture", "inputs": {"number": number}},
        "2": {"class_type": "Work", "inputs": {"picture": ["1", 0], "seconds": seconds}},
        "3": {"class_type": "Store", "inputs": {"picture": ["2", 0], "number": number}},
    }


class Server:
    """A running server: its port, its folder for outputs, its log and its workers' processes."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int):
        self.process, self.port = process, port
        self.output = folder / "server" / "output"
        self.log = folder / "log"
        self._pids = folder / "nodes" / "pids"

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server and of its connection to the cluster."""
        return sum(cpu_seconds(pid) for pid in (self.process.pid, *children(self.process.pid)))

    def worker_pids(self) -> list[int]:
        """Return the processes that have run a job and still live."""
        pids = (int(path.name) for path in self._pids.iterdir())
        return [pid for pid in pids if b"worker" in _command_line(pid)]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextlib.contextmanager
def server_of(workers: int, cluster: bool) -> Iterator[Server]:
    """Run a server whose workers have been ready once."""
    with tempfile.TemporaryDirectory(prefix="sumi-cluster-") as name:
        folder = Path(name)
        (folder / "nodes" / "custom_nodes").mkdir(parents=True)
        (folder / "nodes" / "pids").mkdir()
        (folder / "nodes" / "custom_nodes" / "waiting.py").write_text(f"SIZE = {PICTURE_BYTES}\n{PACK}")
        port = free_port()
        command = [sys.executable, "main.py", "serve", "--port", str(port), "--workers", str(workers), "--no-warm-up"]
        command += [f"--base-directory={folder / 'nodes'}", "--cpu", "--cache-none"]
        command += [f"--{kind}-directory={folder / 'server' / kind}" for kind in FOLDERS]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*command, *(["--cluster", "auto"] if cluster else [])], cwd=ROOT, stderr=log)
        try:
            until(lambda: get(port, "/readyz")["ready"], "a worker's start")
            until(lambda: _ready_workers(folder / "log") == workers, f"the start of {workers} workers")
            yield Server(folder, process, port)
        finally:
            process.terminate()
            process.wait(60)


def _ready_workers(log: Path) -> int:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return len({line.split(" is ready")[0].rpartition("worker ")[2] for line in lines if " is ready: " in line})


def throughput() -> list[dict[str, float]]:
    """Return jobs a second for each number of workers."""
    found = []
    for workers in WORKERS:
        with server_of(workers, cluster=True) as server:
            asyncio.run(run_jobs(server.port, [prompt(-1 - number, 0.0) for number in range(2 * workers)]))
            before = server.cpu_seconds()
            prompts = [prompt(number, 1.0) for number in range(10 * workers)]
            jobs = all_succeeded(asyncio.run(run_jobs(server.port, prompts)))
            rate = len(jobs.ended) / jobs.seconds
            used = 1000 * (server.cpu_seconds() - before) / len(jobs.ended)
            found.append({"workers": workers, "jobs_a_second": rate, "share": rate / workers, "cpu_ms": used})
    return found


def overhead(count: int) -> dict[str, float]:
    """Return the median milliseconds of a job on the cluster and on a local worker, asked in turn."""
    took: dict[bool, list[float]] = {True: [], False: []}
    with server_of(1, cluster=True) as far, server_of(1, cluster=False) as near:
        for number in range(-10, count):
            for is_far, server in ((True, far), (False, near)):
                jobs = all_succeeded(asyncio.run(run_jobs(server.port, [prompt(number, 0.0)])))
                ((prompt_id, (_, ended)),) = jobs.ended.items()
                if number >= 0:  # the first ones start threads and fill caches
                    took[is_far].append(1000 * (ended - jobs.queued[prompt_id]))
    cluster, local = (statistics.median(took[is_far]) for is_far in (True, False))
    return {"cluster_ms": cluster, "local_ms": local, "difference_ms": cluster - local}


def faults(count: int) -> dict[str, Any]:
    """Run the jobs while workers are killed. Raises RuntimeError if one is lost, doubled, or wrong."""
    with server_of(8, cluster=True) as server:
        ended, killed = threading.Event(), []

        def kill_workers() -> None:
            while not ended.wait(KILL_SECONDS):
                pids = server.worker_pids()
                if pids:
                    pid = random.choice(pids)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)

        killer = threading.Thread(target=kill_workers)
        killer.start()
        try:
            jobs = asyncio.run(run_jobs(server.port, [prompt(number, 0.5) for number in range(count)]))
        finally:
            ended.set()
            killer.join()
        again = check_results(server, jobs, count)
        return {
            "jobs": count,
            "killed": len(killed),
            "ran_again": len(again),
            "seconds": jobs.seconds,
            "jobs_a_second": count / jobs.seconds,
        }


def check_results(server: Server, jobs: Jobs, count: int) -> Sequence[str]:
    """Return the jobs that ran again. Raises RuntimeError if a job is lost, doubled or wrong, or the log omits it."""
    failed = [prompt_id for prompt_id, (status, _) in jobs.ended.items() if status != "success"]
    if failed or len(jobs.ended) != count:
        why = get(server.port, f"/history/{failed[0]}")[failed[0]]["status"] if failed else ""
        raise RuntimeError(f"{len(jobs.ended)} of {count} jobs ended, {len(failed)} of them not as a success: {why}")
    history = get(server.port, f"/history?max_items={count + 1}")
    log = server.log.read_text(encoding="utf-8", errors="replace").splitlines()
    retried = {line.split("[")[1].split("]")[0] for line in log if "it runs again" in line}
    again, names = [], set()
    for prompt_id in jobs.ended:
        entry = history[prompt_id]
        ((file,),) = [output["files"] for output in entry["outputs"].values()]
        number = entry["prompt"][2]["1"]["inputs"]["number"]
        wanted = hashlib.shake_128(str(number).encode()).digest(PICTURE_BYTES)
        if (server.output / file["subfolder"] / file["filename"]).read_bytes() != wanted:
            raise RuntimeError(f"{prompt_id}: its picture is another job's, or damaged")
        names.add(file["filename"])
        if any(kind == "worker_died" for kind, _ in entry["status"]["messages"]):
            again.append(prompt_id)
    stored = {path.name for path in server.output.rglob("*") if path.is_file()}
    if names != stored or len(stored) != count:
        raise RuntimeError(f"{count} jobs name {len(names)} files, and {len(stored)} are stored")
    if set(again) != retried:
        raise RuntimeError(f"{len(again)} jobs ran again, but the log names {len(retried)}")
    return again


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=("throughput", "overhead", "faults", []), default=[])
    parser.add_argument("--jobs", type=int, default=1000, help="for faults (default: 1000)")
    parser.add_argument("--times", type=int, default=100, help="for overhead (default: 100)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts = options.parts or ("throughput", "overhead", "faults")
    found: dict[str, Any] = {}
    if "throughput" in parts:
        found["throughput"] = throughput()
    if "overhead" in parts:
        found["overhead"] = overhead(options.times)
    if "faults" in parts:
        found["faults"] = faults(options.jobs)
    if options.json:
        print(json.dumps(found))
        return
    for row in found.get("throughput", []):
        print(
            f"{row['workers']} workers: {row['jobs_a_second']:.2f} jobs of 1 s a second, {row['share']:.1%} of the "
            f"number of workers; {row['cpu_ms']:.1f} ms of CPU a job for the server and its connection"
        )
    if "overhead" in found:
        print("a job: {cluster_ms:.1f} ms on the cluster, {local_ms:.1f} ms locally".format(**found["overhead"]))
    if "faults" in found:
        print("{jobs} jobs, {killed} workers killed: all succeeded, {ran_again} ran again".format(**found["faults"]))
        print("{seconds:.1f} s, {jobs_a_second:.1f} jobs a second".format(**found["faults"]))


if __name__ == "__main__":
    main()
