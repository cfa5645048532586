"""A real server with workers on a Ray cluster of several nodes on this machine, and what goes wrong there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.server.ray_nodes import RayNodes, ray_nodes
from tests.server.running_server import ROOT, RunningServer, chain, exists, running, steps

pytestmark = pytest.mark.slow

FLAGS = ("--cache-disk", "0", "--workers", "2", "--cluster")


@pytest.fixture(scope="module")
def served(nodes: RayNodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with two workers on the cluster of one node."""
    base = tmp_path_factory.mktemp("base")
    (base / "custom_nodes").symlink_to(Path(__file__).parent / "packs" / "probe" / "custom_nodes")
    with running(base, *FLAGS, nodes.address) as server:
        server.until(lambda: len(worker_pids(server)) == 2, 120)
        server.until_ready()
        yield server


def worker_pids(server: RunningServer) -> list[int]:
    """The worker processes of the cluster that were started for that server."""
    wanted = str(server.base).encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"worker" in command and wanted in command and b"--send-files" in command:
            found.append(int(folder.name))
    return found


def running_ids(server: RunningServer) -> list[str]:
    return [item[1] for item in server.get("/queue")[1]["queue_running"]]


def events_of(entry: dict[str, Any]) -> list[str]:
    return [event for event, _ in entry["status"]["messages"]]


def test_a_sweep_fans_out_and_its_grid_has_the_pictures_of_all_workers(served: RunningServer) -> None:
    prompt = {"1": {"class_type": "ProbePaint", "inputs": {"red": 10, "prefix": "swept"}}}
    values = {"node": "1", "input": "red", "values": "50,100,150,200"}
    entry = served.ended(served.queue(prompt, extra_data={"sweep": [values]}), 90)
    assert entry["status"]["completed"], entry
    output = served.base / "output"
    names = sorted(path.name for path in output.glob("swept*"))
    assert names == [*(f"swept_0000{n}_.png" for n in range(1, 5)), "swept_grid_00001_.png"]
    with Image.open(output / "swept_grid_00001_.png") as grid:
        reds = {colour[0] for _, colour in grid.convert("RGB").getcolors(10**6) or []}  # type: ignore[index]
    assert reds >= {50, 100, 150, 200}


def test_what_nodes_print_is_in_the_log_with_the_prompt_s_id(served: RunningServer) -> None:
    prompt_id = served.queue(chain(("ProbePrint", {})))
    assert served.ended(prompt_id)["status"]["completed"]
    served.until(lambda: f"[{prompt_id}] worker" in served.said() and "printed by a node" in served.said())


def test_interrupt_reaches_the_worker(served: RunningServer) -> None:
    prompt_id = served.queue(chain(steps(1000, 0.05)))
    served.at_work(prompt_id)
    served.post("/interrupt", {"prompt_id": prompt_id})
    assert events_of(served.ended(prompt_id))[-1] == "execution_interrupted"


def test_a_worker_killed_from_outside_is_not_the_job_s_fault(served: RunningServer) -> None:
    """Three times, where the third death of the job's own making would be one too many."""
    prompt_id = served.queue(chain(steps(60, 0.1, seed=3)))
    for _ in range(3):
        served.until(lambda: prompt_id in running_ids(served), 120)
        for pid in worker_pids(served):
            os.kill(pid, signal.SIGKILL)
        served.until(lambda: prompt_id not in running_ids(served))
    entry = served.ended(prompt_id, 90)
    assert entry["status"]["completed"], entry


def test_a_job_whose_own_code_kills_two_workers_ends_as_an_error(served: RunningServer) -> None:
    entry = served.ended(served.queue(chain(("ProbeDie", {"unless": "", "seed": 0}))), 90)
    last, error = entry["status"]["messages"][-1]
    assert last == "execution_error" and "2 times" in error["exception_message"], entry
    assert served.ended(served.queue(chain()), 60)["status"]["completed"]


def test_a_node_lost_in_the_middle_of_a_run(base: Path) -> None:
    """Every job ends as a success, each of its outputs saved once."""
    with ray_nodes(count=0) as cluster:
        there = [cluster.add(num_cpus=1), cluster.add(num_cpus=1)]
        with running(base, *FLAGS, cluster.address) as server:
            server.until_workers(2)
            jobs = [server.queue(painted(red, 0.2)) for red in range(8)]
            server.until(lambda: len(running_ids(server)) == 2)
            cluster.kill(there[0])
            entries = [server.ended(job, 120) for job in jobs]
            assert [entry["status"]["completed"] for entry in entries] == [True] * 8
            assert sum(events_of(entry).count("worker_died") for entry in entries) == 1
            names = [file["filename"] for entry in entries for file in entry["outputs"]["picture"]["images"]]
            assert sorted(names) == sorted(path.name for path in (base / "output").iterdir())
            assert len(set(names)) == 8


def painted(red: int, seconds: float) -> dict[str, Any]:
    """A prompt that saves a picture and takes ten times ``seconds``."""
    picture = {"class_type": "ProbePaint", "inputs": {"red": red, "prefix": "lost"}}
    return {**chain(steps(10, seconds, seed=red), number=red), "picture": picture}


def test_a_cluster_that_is_away_is_waited_for(base: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running(base, *FLAGS, f"127.0.0.1:{port}") as server:
        prompt_id = None
        server.until(lambda: "does not answer" in str(server.get("/readyz")), 60)
        status, answer = server.get("/readyz")
        assert status == 503 and not answer["ready"]
        assert f"the Ray cluster at 127.0.0.1:{port} does not answer" in answer["workers"]["worker 0"]
        with ray_nodes(head={"gcs_server_port": port}) as cluster:
            assert cluster.address == f"127.0.0.1:{port}"
            server.until_ready()
            prompt_id = server.queue(chain())
            assert server.ended(prompt_id)["status"]["completed"]


def test_jobs_go_on_while_the_head_restarts(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a head that stores its state (GCS fault tolerance) the running job does not notice."""
    stored = tmp_path / "gcs"
    stored.mkdir()
    monkeypatch.setenv("RAY_gcs_storage", "rocksdb")
    monkeypatch.setenv("RAY_gcs_storage_path", str(stored))
    with ray_nodes() as cluster, running(base, *FLAGS, cluster.address) as server:
        server.until_ready()
        prompt_id = server.queue(chain(steps(80, 0.1)))
        server.at_work(prompt_id)
        cluster.restart_head()
        entry = server.ended(prompt_id, 180)
        assert entry["status"]["completed"] and "worker_died" not in events_of(entry)
        for pid in worker_pids(server):
            os.kill(pid, signal.SIGKILL)
        assert server.ended(server.queue(chain(number=8)), 60)["status"]["completed"], "new workers start, too"


def test_a_job_runs_again_after_the_cluster_was_lost_and_came_back(base: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running(base, *FLAGS, f"127.0.0.1:{port}") as server:
        with ray_nodes(head={"gcs_server_port": port}):
            server.until_ready()
            prompt_id = server.queue(chain(steps(100, 0.1)))
            server.at_work(prompt_id)
        server.until(lambda: server.get("/readyz")[0] == 503, 90)
        with ray_nodes(head={"gcs_server_port": port}):
            entry = server.ended(prompt_id, 180)
            assert entry["status"]["completed"] and "worker_died" in events_of(entry)


def test_a_cluster_of_this_machine_alone_listens_on_loopback_and_leaves_nothing_behind(base: Path) -> None:
    with running(base, "--cluster", "auto", "--cache-disk", "0") as server:
        server.until_ready()
        assert server.ended(server.queue(chain()))["status"]["completed"]
        processes = family(server.process.pid)
        assert len(processes) > 5, "Ray's own among them"
        assert {address for pid in processes for address in listening(pid)} == {"127.0.0.1"}
        (connection,) = server.worker_pids()
        os.kill(connection, signal.SIGKILL)  # Ray leaves processes behind then
        server.until(lambda: server.worker_pids() not in ([], [connection]), 30)
        assert server.ended(server.queue(chain(number=8)), 90)["status"]["completed"]
        processes += family(server.process.pid)
    assert [pid for pid in set(processes) if exists(pid)] == []


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in family(int(child)))]


def listening(pid: int) -> set[str]:
    """The addresses on which the process listens."""
    sockets = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                number = bytes.fromhex(fields[1].split(":")[0])[-4:][::-1]
                found.add(socket.inet_ntoa(number))
    return found


def test_without_ray_the_flag_says_what_to_install(base: Path) -> None:
    code = "import sys; sys.modules['ray'] = None; import main; sys.exit(main.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "--base-directory", str(base), "--cluster", "auto"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 2 and "install.py --extra cluster" in done.stderr
