"""What goes wrong, done to real processes."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.server.running_server import RunningServer, chain, exists, running, steps


def events_of(entry: dict[str, Any]) -> list[str]:
    return [event for event, _ in entry["status"]["messages"]]


def stored_results(base: Path) -> list[Path]:
    return list((base / "user" / "cache").rglob("*.safetensors"))


def test_a_worker_that_dies_once_is_replaced_and_the_job_done(base: Path) -> None:
    with running(base) as server:
        server.until_ready()
        prompt_id = server.queue(chain(("ProbeDie", {"unless": str(base / "died"), "seed": 0})))
        after = server.queue(chain(number=8))
        entry = server.ended(prompt_id)
        assert entry["status"]["completed"], entry
        assert events_of(entry)[0] == "worker_died" and events_of(entry)[-1] == "execution_success"
        reason = entry["status"]["messages"][0][1]
        assert reason["node_id"] == "1" and "SIGKILL" in reason["reason"]
        assert server.ended(after)["status"]["completed"]


def test_a_job_that_kills_two_workers_ends_as_an_error_and_the_server_goes_on(base: Path) -> None:
    with running(base) as server:
        server.until_ready()
        prompt_id = server.queue(chain(("ProbeDie", {"unless": "", "seed": 0})))
        entry = server.ended(prompt_id)
        assert entry["status"]["status_str"] == "error"
        assert events_of(entry).count("worker_died") == 1
        last, error = entry["status"]["messages"][-1]
        assert last == "execution_error" and error["exception_type"] == "WorkerDied"
        assert (error["node_id"], error["node_type"]) == ("1", "ProbeDie")
        assert "2 times" in error["exception_message"]
        assert server.ended(server.queue(chain()))["status"]["completed"]


def test_a_worker_killed_in_the_middle_of_sampling(base: Path) -> None:
    with running(base) as server:
        server.until_ready()
        prompt_id = server.queue(chain(steps(1, 0.1), steps(40, 0.05, seed=1)))
        server.until(lambda: stored_results(base))
        for pid in server.worker_pids():
            os.kill(pid, signal.SIGKILL)
        assert server.get("/queue")[0] == 200
        entry = server.ended(prompt_id)
        assert entry["status"]["completed"]
        (cached,) = [data["nodes"] for event, data in entry["status"]["messages"] if event == "execution_cached"]
        assert "1" in cached, "what was done before is not done again"


@pytest.mark.slow
def test_sigkill_with_two_hundred_prompts_queued(base: Path) -> None:
    first = RunningServer(base)
    first.until_ready()
    done = first.queue(chain(("ProbeFail", {"message": "no"})))
    first.ended(done)
    first.post("/queue", {"pause": True})
    at_work = first.queue(chain(steps(1, 0.2), steps(100, 0.05, seed=1)))
    waiting = [first.queue(chain(number=number)) for number in range(200)]
    first.post("/queue", {"pause": False})
    first.at_work(at_work)
    urgent = first.queue(chain(number=300), front=True)
    workers = first.worker_pids()
    first.until(lambda: stored_results(base))
    first.kill()

    with running(base, "--start-paused") as again:
        assert not any(exists(pid) for pid in workers)
        status, queue = again.get("/queue")
        assert status == 200 and queue["paused"] and queue["queue_running"] == []
        assert [item[1] for item in queue["queue_pending"]] == [at_work, urgent, *waiting]
        assert list(again.get("/history")[1]) == [done]
        again.post("/queue", {"pause": False})
        entry = again.ended(at_work, 120)
        assert entry["status"]["completed"]
        (cached,) = [data["nodes"] for event, data in entry["status"]["messages"] if event == "execution_cached"]
        assert "1" in cached
        again.ended(waiting[-1], 120)
        assert list(again.get("/history")[1]) == [done, at_work, urgent, *waiting]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_cleanly_and_loses_nothing(base: Path, number: signal.Signals) -> None:
    server = RunningServer(base)
    server.until_ready()
    at_work = server.queue(chain(steps(1000, 0.05)))
    waiting = server.queue(chain())
    server.at_work(at_work)
    workers = server.worker_pids()
    assert server.stop(number) == 0, server.said()
    assert workers and not any(exists(pid) for pid in workers)
    assert not (base / "user" / "sumi.db-wal").exists(), "the database was closed"
    assert "Traceback" not in server.said()
    stored = sqlite3.connect(base / "user" / "sumi.db").execute(
        "SELECT prompt_id FROM jobs WHERE status = 'pending' ORDER BY number, place"
    )
    assert [prompt_id for (prompt_id,) in stored] == [at_work, waiting]


def test_a_full_disk_under_the_queue(base: Path) -> None:
    """No file of the server may grow beyond a limit, which is what a full disk does to a database."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    with running(base, "--cache-disk", "0", prepare=limit) as server:
        server.until_ready()
        at_work = server.queue(chain(steps(40, 0.05)))
        server.at_work(at_work)
        status, answer = 200, {}
        for number in range(200):
            prompt = chain(("ProbeShow", {"note": "x" * 20_000}), number=number)
            prompt.pop("2")
            status, answer = server.post("/prompt", {"prompt": prompt, "number": 1})
            if status != 200:
                break
        assert status == 507 and answer["error"]["type"] == "storage_full", answer
        assert "disk space" in answer["error"]["details"]
        assert server.get("/queue")[0] == 200
        entry = server.ended(at_work)
        assert entry["status"]["completed"], "what ran goes on to its end"


def test_too_much_memory_is_the_jobs_error(base: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))

    with running(base, prepare=limit) as server:
        server.until_ready()
        entry = server.ended(server.queue(chain(("ProbeEat", {"megabytes": 20_000}))))
        last, error = entry["status"]["messages"][-1]
        assert last == "execution_error" and "MemoryError" in error["exception_type"]
        assert server.ended(server.queue(chain()))["status"]["completed"]


@pytest.mark.slow
def test_a_second_server_on_the_same_folder_says_what_to_do(base: Path) -> None:
    with running(base) as server:
        with pytest.raises(AssertionError, match=r"status 2(.|\n)*--user-directory"):
            RunningServer(base)
        assert server.get("/queue")[0] == 200


def test_a_port_that_is_taken_says_so(base: Path, tmp_path: Path) -> None:
    with (
        running(base) as server,
        pytest.raises(AssertionError, match=r"status 2(.|\n)*--port"),
    ):
        RunningServer(base, "--user-directory", str(tmp_path / "other"), "--port", str(server.port))


def test_a_node_pack_that_cannot_be_imported_stops_nobody(base: Path) -> None:
    pack = base / "custom_nodes"
    real = pack.resolve()
    pack.unlink()
    pack.mkdir()
    (pack / "probe.py").symlink_to(real / "probe.py")
    (pack / "broken.py").write_text("import no_such_module\n")
    with running(base) as server:
        server.until_ready()
        assert server.ended(server.queue(chain()))["status"]["completed"]
        assert "broken.py" in server.said() and "no_such_module" in server.said()


def test_a_torch_that_cannot_be_imported_is_said(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libtorch_cpu.so: cannot open shared object file')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with running(base, warm_up=True) as server:
        server.until(lambda: server.get("/readyz")[1]["workers"], 120)
        status, said = server.get("/readyz")
        assert (status, said["ready"]) == (503, False)
        assert list(said["workers"].values()) == [
            "torch cannot be imported: OSError: libtorch_cpu.so: cannot open shared object file"
        ]
        assert "torch cannot be imported" in server.said()
        # What needs no torch is done all the same.
        assert server.ended(server.queue(chain()))["status"]["completed"]


def test_a_full_disk_under_a_picture_is_the_jobs_error_and_leaves_nothing_half_written(base: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    def picture(size: int) -> dict[str, Any]:
        return {
            "0": {"class_type": "EmptyImage", "inputs": {"width": size, "height": size, "batch_size": 1, "color": 0}},
            "1": {"class_type": "ImageAddNoise", "inputs": {"image": ["0", 0], "seed": 1, "strength": 1.0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        }

    with running(base, "--cache-disk", "0", prepare=limit) as server:
        server.until_ready()
        entry = server.ended(server.queue(picture(1024)), 120)
        last, error = entry["status"]["messages"][-1]
        assert last == "execution_error" and error["node_id"] == "2"
        assert error["exception_type"].endswith("OutputFileError")
        assert list((base / "output").iterdir()) == []
        assert server.ended(server.queue(picture(64)))["status"]["completed"]
        assert [path.name for path in (base / "output").iterdir()] == ["x_00001_.png"]
