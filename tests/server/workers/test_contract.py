"""What the server may rely on, whichever kind of worker it has."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from commands.worker import host_of
from graph import events
from graph.folders import Folders
from graph.node_types.schema_data import node_type_from_data
from main import parser
from server.workers.cluster.cluster import Cluster
from server.workers.in_process import InProcessWorker
from server.workers.interface import RunRequest, Worker, WorkerDied
from server.workers.process import ProcessWorker
from server.workers.travelling_files import ServerFiles
from server.workers.wire_worker import WireWorker
from tests.server.conftest import ROOT


class Make(Protocol):
    """Makes a worker; with ``files`` it has folders of its own and gets these."""

    def __call__(self, files: ServerFiles | None = None) -> Worker: ...


class _ClusterWorker(WireWorker):
    """A worker of the Ray cluster at ``address``, with a connection for itself."""

    def __init__(self, address: str, arguments: Sequence[str], base: Path, files: ServerFiles | None):
        self._cluster = Cluster([sys.executable, str(ROOT / "main.py"), "cluster", address])
        transport = self._cluster.transport("worker 0", str(ROOT), str(base), arguments, {"num_cpus": 1})
        super().__init__("worker 0", transport, files=files)

    async def close(self) -> None:
        await super().close()
        await self._cluster.close()


@pytest.fixture(params=["in process", "process", pytest.param("cluster", marks=pytest.mark.slow)])
def make(request: pytest.FixtureRequest, base: Path, worker_command: list[str]) -> Make:
    def made(files: ServerFiles | None = None) -> Worker:
        command = [*worker_command, "--send-files"] if files is not None else worker_command
        options: argparse.Namespace = parser().parse_args(command[2:])
        match request.param:
            case "cluster":
                return _ClusterWorker(request.getfixturevalue("nodes").address, command[3:], base, files)
            case "process":
                return ProcessWorker("worker 0", command, files=files)
        return InProcessWorker("worker 0", lambda: host_of(options), files=files)

    return made


@asynccontextmanager
async def started(make: Callable[[], Worker]) -> AsyncIterator[Worker]:
    worker = make()
    try:
        await worker.start()
        yield worker
    finally:
        await worker.close()


def prompt(*chain: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """ProbeValue → the nodes of ``chain`` → ProbeShow, with the ids 0, 1, 2 …"""
    nodes: dict[str, Any] = {"0": {"class_type": "ProbeValue", "inputs": {"number": 7}}}
    for class_type, inputs in [*chain, ("ProbeShow", {})]:
        previous = str(len(nodes) - 1)
        nodes[str(len(nodes))] = {"class_type": class_type, "inputs": {"thing": [previous, 0], **inputs}}
    return nodes


def request(prompt_id: str, nodes: dict[str, Any]) -> RunRequest:
    return RunRequest(prompt_id, nodes, (str(len(nodes) - 1),))


async def run(worker: Worker, wanted: RunRequest) -> tuple[list[events.Event], Any]:
    heard: list[events.Event] = []
    outcome = await worker.run(wanted, heard.append)
    return heard, outcome


async def at_work(worker: Worker, wanted: RunRequest) -> asyncio.Task[Any]:
    """A run whose first step is done."""
    stepped = asyncio.Event()

    def hear(event: events.Event) -> None:
        if isinstance(event, events.NodeProgress):
            stepped.set()

    running = asyncio.ensure_future(worker.run(wanted, hear))
    await asyncio.wait([running, asyncio.ensure_future(stepped.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert stepped.is_set()
    return running


def check(make: Callable[[], Worker], test: Callable[[Worker], Awaitable[None]]) -> None:
    async def body() -> None:
        async with asyncio.timeout(60), started(make) as worker:
            await test(worker)

    asyncio.run(body())


def test_describes_every_node_as_data_that_reads_back(make: Make) -> None:
    async def body() -> None:
        worker = make()
        try:
            description = await worker.start()
        finally:
            await worker.close()
        types = {data["name"]: node_type_from_data(data) for data in description.nodes}
        assert {"KSampler", "ProbeSteps"} <= set(types)
        assert types["ProbeEven"].validate is not None
        assert types["ProbeValue"].inputs[0].maximum == 1000
        assert description.versions["torch"]

    asyncio.run(body())


def test_a_run_tells_its_events_in_order(make: Make) -> None:
    async def test(worker: Worker) -> None:
        heard, outcome = await run(worker, request("a", prompt(("ProbeSteps", {"count": 2}))))
        assert outcome == events.RunSucceeded("a")
        kinds = [type(event).__name__ for event in heard if not isinstance(event, events.NodePreview)]
        assert kinds == [
            "RunStarted", "NodesCached",
            "NodeStarted", "NodeFinished",
            "NodeStarted", "NodeProgress", "NodeProgress", "NodeFinished",
            "NodeStarted", "NodeOutput", "NodeFinished",
        ]  # fmt: skip
        assert [event.ui for event in heard if isinstance(event, events.NodeOutput)] == [{"text": ["7"]}]
        previews = [event for event in heard if isinstance(event, events.NodePreview)]
        assert previews and all(preview.data == b"\xff\xd8 a picture" for preview in previews)

    check(make, test)


def test_without_packs_nothing_changes_inputs_or_prompts(make: Make) -> None:
    async def test(worker: Worker) -> None:
        assert await worker.redeclare(None) == await worker.redeclare(["KSampler", "no such node"]) == []
        assert await worker.handle_prompt({"prompt": {"1": {}}}) == {"prompt": {"1": {}}}

    check(make, test)


def test_a_second_run_is_cached(make: Make) -> None:
    async def test(worker: Worker) -> None:
        await run(worker, request("a", prompt(("ProbeSteps", {}))))
        heard, _ = await run(worker, request("b", prompt(("ProbeSteps", {}))))
        assert not any(isinstance(event, events.NodeStarted) for event in heard)
        assert [event.cached for event in heard if isinstance(event, events.NodeOutput)] == [True]

    check(make, test)


def test_a_node_that_raises_fails_the_run_and_not_the_worker(make: Make) -> None:
    async def test(worker: Worker) -> None:
        _, outcome = await run(worker, request("a", prompt(("ProbeFail", {"message": "too blue"}))))
        assert isinstance(outcome, events.RunFailed)
        assert (outcome.node_id, outcome.class_type, outcome.message) == ("1", "ProbeFail", "too blue")
        assert outcome.exception_type.endswith("ValueError") and outcome.traceback
        _, outcome = await run(worker, request("b", prompt()))
        assert outcome == events.RunSucceeded("b")

    check(make, test)


def test_validation_is_answered_while_a_run_goes_on(make: Make) -> None:
    async def test(worker: Worker) -> None:
        running = await at_work(worker, request("a", prompt(("ProbeSteps", {"count": 1000, "seconds": 0.05}))))
        asked = {
            "0": {"class_type": "ProbeEven", "inputs": {"number": 3, "seconds": 0.0}},
            "1": {"class_type": "ProbeShow", "inputs": {"thing": ["0", 0], "note": ""}},
        }
        (problem,) = await worker.validate(asked, ["1"])
        assert (problem.node_id, problem.type) == ("0", "custom_validation_failed")
        assert "3 is odd" in problem.message + problem.details
        assert list(problem.extra["dependent_outputs"]) == ["1"]
        assert not running.done()
        await worker.interrupt("a")
        await running

    check(make, test)


def test_interrupt_stops_the_run_it_names_and_no_other(make: Make) -> None:
    async def test(worker: Worker) -> None:
        running = await at_work(worker, request("a", prompt(("ProbeSteps", {"count": 1000, "seconds": 0.02}))))
        await worker.interrupt("another")
        await asyncio.sleep(0.1)
        assert not running.done()
        await worker.interrupt("a")
        outcome = await running
        assert isinstance(outcome, events.RunInterrupted) and outcome.node_id == "1"
        await worker.interrupt("a")  # it has ended: nothing to stop, and the next run is not touched
        _, outcome = await run(worker, request("b", prompt()))
        assert outcome == events.RunSucceeded("b")

    check(make, test)


def test_interrupt_that_comes_with_the_run_is_not_lost(make: Make) -> None:
    async def test(worker: Worker) -> None:
        wanted = request("a", prompt(("ProbeSteps", {"count": 1000, "seconds": 0.05})))
        running = asyncio.ensure_future(worker.run(wanted, lambda event: None))
        await asyncio.sleep(0)
        await worker.interrupt("a")
        assert isinstance(await running, events.RunInterrupted)

    check(make, test)


def test_freed_memory_is_computed_again(make: Make) -> None:
    async def test(worker: Worker) -> None:
        await run(worker, request("a", prompt(("ProbeSteps", {}))))
        await worker.free(unload_models=True, free_memory=True)
        for number in itertools.count():  # a process frees its memory beside the next run
            heard, _ = await run(worker, request(f"b{number}", prompt(("ProbeSteps", {}))))
            if any(isinstance(event, events.NodeStarted) for event in heard):
                break

    check(make, test)


def test_stats_say_what_memory_it_takes(make: Make) -> None:
    async def test(worker: Worker) -> None:
        async with asyncio.timeout(60):
            while worker.stats().memory == 0:
                await asyncio.sleep(0.1)
        assert worker.stats().devices[0]["type"] == "cpu"

    check(make, test)


def test_closing_ends_what_runs(make: Make) -> None:
    async def test(worker: Worker) -> None:
        running = await at_work(worker, request("a", prompt(("ProbeSteps", {"count": 1000, "seconds": 0.05}))))
        await worker.close()
        with pytest.raises(WorkerDied):
            await running
        with pytest.raises(WorkerDied):
            await worker.run(request("b", prompt()), lambda event: None)
        assert await worker.died()

    check(make, test)


def test_input_files_are_brought_and_changes_are_seen(make: Make, base: Path, tmp_path: Path) -> None:
    """Validation finds the file, too. A file that changed under its name is read again."""
    here = Folders(tmp_path / "here/in", tmp_path / "here/out", tmp_path / "here/temp", tmp_path / "here/user")
    (here.output / "sub").mkdir(parents=True)
    here.input.mkdir(parents=True)
    (base / "input").mkdir()
    (base / "input" / "a.txt").write_text("of the worker's owner")

    async def test(worker: Worker) -> None:
        async def shown(prompt_id: str, name: str) -> Any:
            nodes = {
                "0": {"class_type": "ProbeRead", "inputs": {"file": name}},
                "1": {"class_type": "ProbeShow", "inputs": {"thing": ["0", 0]}},
            }
            problems = await worker.validate(nodes, ["1"])
            heard, _ = await run(worker, RunRequest(prompt_id, nodes, ("1",)))
            cached = not any(isinstance(event, events.NodeStarted) and event.node_id == "0" for event in heard)
            texts = [event.ui["text"] for event in heard if isinstance(event, events.NodeOutput)]
            return problems and [problem.message for problem in problems], texts, cached

        (here.input / "a.txt").write_text("one")
        assert await shown("a", "a.txt") == ([], [["one"]], False)
        (here.input / "a.txt").write_text("two")
        assert await shown("b", "a.txt") == ([], [["two"]], False)
        (here.input / "a.txt").write_text("one")
        assert await shown("c", "a.txt") == ([], [["one"]], True)
        (here.output / "sub/b.txt").write_text("three" * 500_000)
        problems, texts, _ = await shown("d", "sub/b.txt [output]")
        assert problems == [] and texts == [["three" * 500_000]]
        problems, texts, _ = await shown("e", "c.txt")
        assert len(problems) == 1 and texts == []
        assert (base / "input" / "a.txt").read_text() == "of the worker's owner"

    check(lambda: make(ServerFiles(here)), test)


def test_files_made_elsewhere_are_brought_here(make: Make, base: Path, tmp_path: Path) -> None:
    """The worker's output folder is not the server's; the same picture twice is one file, another one another."""
    here = Folders(tmp_path / "here/in", tmp_path / "here/out", tmp_path / "here/temp", tmp_path / "here/user")
    here.output.mkdir(parents=True)
    (here.output / "there_00001_.png").write_bytes(b"of somebody else")

    nodes = {
        "0": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}},
        "1": {"class_type": "SaveImage", "inputs": {"images": ["0", 0], "filename_prefix": "there"}},
    }

    async def test(worker: Worker) -> None:
        for prompt_id in "ab":
            heard, outcome = await run(worker, RunRequest(prompt_id, nodes, ("1",)))
            assert outcome == events.RunSucceeded(prompt_id)
            (shown,) = [event.ui["images"] for event in heard if isinstance(event, events.NodeOutput)]
            assert [dict(entry) for entry in shown] == [
                {"filename": "there_00002_.png", "subfolder": "", "type": "output"}
            ]
        (path,) = base.glob("user/work/*/output/there_00001_.png")
        made = path.read_bytes()
        assert {path.name: path.read_bytes() for path in here.output.iterdir()} == {
            "there_00001_.png": b"of somebody else",
            "there_00002_.png": made,
        }

    check(lambda: make(ServerFiles(here)), test)
