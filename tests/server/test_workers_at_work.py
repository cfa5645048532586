"""Several workers behind one queue."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.server.running_server import RunningServer, chain, running, steps


def model(checkpoint: str, seed: int) -> dict[str, Any]:
    return {
        "0": {"class_type": "ProbeModel", "inputs": {"checkpoint": checkpoint, "seconds": 0.3, "seed": seed}},
        "1": {"class_type": "ProbeShow", "inputs": {"thing": ["0", 0], "note": ""}},
    }


def shown(server: RunningServer, prompt_id: str) -> str:
    return str(server.ended(prompt_id)["outputs"]["1"]["text"][0])


@pytest.mark.slow
def test_two_workers_share_the_queue_and_keep_to_their_checkpoints(base: Path) -> None:
    checkpoints = base / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    for name in ("a.safetensors", "b.safetensors"):
        (checkpoints / name).touch()
    with running(base, "--workers", "2") as server:
        server.until_workers(2)
        server.post("/queue", {"pause": True})
        together = [server.queue(model(f"{name}.safetensors", seed=0)) for name in "ab"]
        server.post("/queue", {"pause": False})
        first, second = (shown(server, prompt_id) for prompt_id in together)
        assert first.split()[2] != second.split()[2], "both work at once"
        for seed, name in enumerate("babbaab", start=1):
            where = shown(server, server.queue(model(f"{name}.safetensors", seed)))
            assert where == (first if name == "a" else second)


def test_in_process_nodes_run_in_the_server_s_own_process(base: Path) -> None:
    with running(base, "--in-process") as server:
        server.until_ready()
        assert server.worker_pids() == []
        done = server.ended(server.queue(chain(number=5)))
        assert done["status"]["completed"] and done["outputs"]["1"]
        at_work = server.queue(chain(steps(1000, 0.05)))
        server.at_work(at_work)
        server.post("/interrupt", {"prompt_id": at_work})
        assert server.ended(at_work)["status"]["messages"][-1][0] == "execution_interrupted"


def test_interrupting_all_interrupts_all(base: Path) -> None:
    with running(base, "--workers", "2") as server:
        server.until_workers(2)
        queued = [server.queue(chain(steps(1000, 0.05, seed=seed))) for seed in range(3)]
        server.until(lambda: len(server.get("/queue")[1]["queue_running"]) == 2)
        server.post("/interrupt", {})
        for prompt_id in queued[:2]:
            assert server.ended(prompt_id)["status"]["messages"][-1][0] == "execution_interrupted"
        server.at_work(queued[2])
        server.post("/interrupt", {"prompt_id": queued[2]})


def test_a_paused_queue_ends_what_runs_and_begins_nothing(base: Path) -> None:
    with running(base) as server:
        server.until_ready()
        at_work = server.queue(chain(steps(20, 0.05)))
        server.at_work(at_work)
        server.post("/queue", {"pause": True})
        waiting = server.queue(chain(number=8))
        assert server.ended(at_work)["status"]["completed"]
        server.until(lambda: server.get("/queue")[1]["queue_running"] == [])
        time.sleep(0.3)
        queue = server.get("/queue")[1]
        assert queue["paused"] and queue["queue_running"] == []
        assert [item[1] for item in queue["queue_pending"]] == [waiting]
        server.post("/queue", {"pause": False})
        assert server.ended(waiting)["status"]["completed"]


@pytest.mark.slow
def test_the_list_of_nodes_of_last_time_answers_until_a_worker_is_up(base: Path) -> None:
    slow = base / "custom_nodes_slow"
    slow.mkdir()
    for file in (base / "custom_nodes").iterdir():
        if file.suffix == ".py":
            (slow / file.name).symlink_to(file.resolve())
    (slow / "slow.py").write_text(f"import os, time\ntime.sleep(5 * os.path.exists({str(base / 'hold up')!r}))\n")
    (base / "custom_nodes").unlink()
    slow.rename(base / "custom_nodes")
    with running(base) as server:
        server.until_ready()
        nodes = server.get("/object_info")[1]
        server.until(lambda: (base / "user" / "nodes.json").is_file())
    assert {"KSampler", "ProbeShow"} <= set(nodes)
    (base / "hold up").touch()
    with running(base) as server:
        assert server.get("/object_info")[1] == nodes
        assert server.get("/readyz")[0] == 503
        queued = server.queue(chain())
        assert server.get("/queue")[1]["queue_pending"][0][1] == queued
        assert server.ended(queued)["status"]["completed"]
