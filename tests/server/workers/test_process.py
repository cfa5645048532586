"""What only a worker in a process of its own can do: print, die, hang."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from graph import events
from server.workers.interface import RunRequest, WorkerDied
from server.workers.process import ProcessWorker


def prompt(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {
        "0": {"class_type": "ProbeValue", "inputs": {"number": 7}},
        "1": {"class_type": class_type, "inputs": {"thing": ["0", 0], **inputs}},
        "2": {"class_type": "ProbeShow", "inputs": {"thing": ["1", 0], "note": ""}},
    }


async def run(worker: ProcessWorker, nodes: dict[str, Any]) -> Any:
    return await worker.run(RunRequest("a", nodes, ("2",)), lambda event: None)


def test_what_nodes_print_goes_to_the_log(worker_command: list[str], caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        worker = ProcessWorker("worker 0", worker_command)
        await worker.start()
        outcome = await run(worker, prompt("ProbePrint"))
        await worker.close()
        assert outcome == events.RunSucceeded("a")

    caplog.set_level("INFO")
    asyncio.run(body())
    assert "worker 0: printed by a node" in caplog.text
    assert "worker 0: written to descriptor 1 by a node" in caplog.text


def test_a_killed_worker_is_noticed_at_once(worker_command: list[str]) -> None:
    async def body() -> None:
        worker = ProcessWorker("worker 0", worker_command)
        await worker.start()
        running = asyncio.ensure_future(run(worker, prompt("ProbeSteps", count=10_000, seconds=0.05)))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerDied, match="SIGKILL"):
            await running
        assert (await worker.died()).lost, "the job is not to blame"
        await worker.close()

    asyncio.run(body())


def test_a_job_that_kills_its_worker_is_to_blame(worker_command: list[str]) -> None:
    async def body() -> None:
        worker = ProcessWorker("worker 0", worker_command)
        await worker.start()
        with pytest.raises(WorkerDied, match=r"status 137 \(SIGKILL, sent by its own code\)"):
            await run(worker, prompt("ProbeDie"))
        assert not (await worker.died()).lost
        await worker.close()

    asyncio.run(body())


def test_a_run_that_a_dead_worker_never_began_is_not_to_blame(worker_command: list[str]) -> None:
    """The server gives it a job before it notices the death."""

    async def body() -> None:
        worker = ProcessWorker("worker 0", worker_command)
        await worker.start()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSEGV)
        assert not (await worker.died()).lost
        with pytest.raises(WorkerDied, match="SIGSEGV") as died:
            await run(worker, prompt("ProbePrint"))
        assert died.value.death.lost
        await worker.close()

    asyncio.run(body())


def test_a_killed_worker_is_noticed_although_a_process_of_its_holds_the_pipe(worker_command: list[str]) -> None:
    async def body() -> None:
        worker = ProcessWorker("worker 0", worker_command)
        await worker.start()
        async with asyncio.timeout(15):
            with pytest.raises(WorkerDied, match="SIGKILL"):
                await run(worker, prompt("ProbeFork"))
        await worker.close()

    asyncio.run(body())


def test_a_node_that_exits_ends_its_run_and_not_the_worker(worker_command: list[str]) -> None:
    async def body() -> None:
        worker = ProcessWorker("worker 0", worker_command)
        await worker.start()
        outcome = await run(worker, prompt("ProbeExit"))
        assert isinstance(outcome, events.RunFailed) and outcome.exception_type.endswith("SystemExit")
        assert await run(worker, prompt("ProbePrint")) == events.RunSucceeded("a")
        await worker.close()

    asyncio.run(body())


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed(worker_command: list[str]) -> None:
    async def body() -> None:
        worker = ProcessWorker("worker 0", worker_command)
        await worker.start()
        assert worker.pid is not None
        worker._silent_seconds = 4
        os.kill(worker.pid, signal.SIGSTOP)
        async with asyncio.timeout(20):
            assert "did not respond" in (await worker.died()).reason
        await worker.close()

    asyncio.run(body())


def test_a_command_that_is_no_worker(tmp_path: Path) -> None:
    async def start(*command: str) -> str:
        worker = ProcessWorker("worker 0", command)
        try:
            with pytest.raises(WorkerDied) as died:
                await worker.start()
        finally:
            await worker.close()
        return str(died.value)

    async def body() -> None:
        assert "cannot start" in await start(str(tmp_path / "nothing"))
        assert "status 3: oh no" in await start(
            sys.executable, "-c", "import sys; print('oh no', file=sys.stderr); sys.exit(3)"
        )
        assert "something else has written" in await start(sys.executable, "-c", "print('hello ' * 100)")

    asyncio.run(body())


def test_the_worker_goes_when_the_server_does(worker_command: list[str]) -> None:
    async def body() -> None:
        worker = ProcessWorker("worker 0", worker_command)
        await worker.start()
        running = asyncio.ensure_future(run(worker, prompt("ProbeSteps", count=10_000, seconds=0.05)))
        await asyncio.sleep(0.3)
        process = worker._pipes._process
        assert process is not None and process.stdin is not None
        process.stdin.close()  # what the worker sees of a server that was killed
        async with asyncio.timeout(60):
            await worker.died()
        with pytest.raises(WorkerDied):
            await running
        await worker.close()

    asyncio.run(body())


def test_a_node_that_wants_too_much_memory_fails_and_the_worker_lives(worker_command: list[str]) -> None:
    """RLIMIT_AS stands for a machine whose memory ends."""
    limit = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30)); "
    command = [sys.executable, "-c", limit + "os.execv(sys.argv[1], sys.argv[1:])", *worker_command]

    async def body() -> None:
        worker = ProcessWorker("worker 0", command)
        await worker.start()
        outcome = await run(worker, prompt("ProbeEat", megabytes=8000))
        assert isinstance(outcome, events.RunFailed) and outcome.exception_type.endswith("MemoryError")
        assert outcome.node_id == "1"
        assert await run(worker, prompt("ProbeEat", megabytes=1)) == events.RunSucceeded("a")
        await worker.close()

    asyncio.run(body())
