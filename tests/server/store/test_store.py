"""Queue and history in a real file."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server.store import job_store as store_module
from server.store import job_table
from server.store.job_store import JobStore
from server.store.jobs import Job
from server.store.writer import StoreError, StoreFullError

ROOT = Path(__file__).resolve().parents[3]


def job(prompt_id: str, number: float = 0, **fields: object) -> Job:
    prompt = {"1": {"class_type": "ProbeShow", "inputs": {"note": "grüße 墨"}}}
    return Job(prompt_id, number, prompt, outputs_to_execute=["1"], **fields)  # type: ignore[arg-type]


def with_store(path: Path, body: Callable[[JobStore], Awaitable[None]]) -> None:
    async def run() -> None:
        store = JobStore(path)
        await store.open()
        try:
            await body(store)
        finally:
            await store.close()

    asyncio.run(run())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sumi.db"


def test_jobs_come_out_by_number_then_in_the_order_they_came(path: Path) -> None:
    async def body(store: JobStore) -> None:
        for prompt_id, number in [("a", 1), ("b", 0), ("front", -2), ("c", 1)]:
            await store.add(job(prompt_id, number))
        assert store.pending() == ["front", "b", "a", "c"]
        claimed = [await store.claim_next() for _ in range(5)]
        assert [found.prompt_id if found else None for found in claimed] == ["front", "b", "a", "c", None]

    with_store(path, body)


def test_everything_is_there_after_a_restart(path: Path) -> None:
    async def before(store: JobStore) -> None:
        for number, prompt_id in enumerate("abcd"):
            await store.add(job(prompt_id, number, client_id="me", extra_data={"x": [1]}))
        ended = await store.claim_next()
        assert ended is not None
        ended.status, ended.outputs = "success", {"1": {"text": ["é"]}}
        ended.messages.append(["execution_success", {"prompt_id": "a"}])
        await store.finish(ended)
        assert await store.claim_next() is not None  # b runs when the server ends
        await store.set_paused(True)

    async def after(store: JobStore) -> None:
        assert store.pending() == ["b", "c", "d"] and store.paused
        assert list(json.loads(await store.history_json())) == ["a"]
        found = await store.get("a")
        assert found is not None and found.status == "success" and found.outputs == {"1": {"text": ["é"]}}
        assert found.messages == [["execution_success", {"prompt_id": "a"}]]
        waiting = await store.get("b")
        assert waiting is not None and (waiting.status, waiting.attempts) == ("pending", 1)
        assert (waiting.client_id, waiting.extra_data) == ("me", {"x": [1]})
        assert store.next_number() == 4

    with_store(path, before)
    with_store(path, after)


def test_a_known_prompt_id_adds_nothing(path: Path) -> None:
    async def body(store: JobStore) -> None:
        first = job("a", 5)
        assert await store.add(first) is first
        again = await store.add(job("a", 9))
        assert again.number == 5 and store.pending() == ["a"]
        twins = await asyncio.gather(*(store.add(job("b", number)) for number in range(10)))
        assert {twin.number for twin in twins} == {0} and store.pending() == ["b", "a"]

    with_store(path, body)


def test_the_queue_as_text_is_the_queue(path: Path) -> None:
    async def body(store: JobStore) -> None:
        first, second = job("a", 0), job("b", 1.5)
        await store.add(first)
        await store.add(second)
        await store.claim_next()
        assert json.loads(store.queue_json()) == {
            "queue_running": [first.queue_item()],
            "queue_pending": [second.queue_item()],
            "paused": False,
        }

    with_store(path, body)


def test_history_is_paged_from_the_oldest_and_by_default_ends_with_the_newest(path: Path) -> None:
    async def body(store: JobStore) -> None:
        for number in range(5):
            await store.add(job(str(number), number))
            running = await store.claim_next()
            assert running is not None
            running.status, running.ended = "success" if number else "interrupted", 1000.0 + number
            await store.finish(running)
        history = json.loads(await store.history_json())
        assert list(history) == ["0", "1", "2", "3", "4"]
        assert list(json.loads(await store.history_json(2))) == ["3", "4"]
        assert list(json.loads(await store.history_json(2, 1))) == ["1", "2"]
        assert list(json.loads(await store.history_json(0))) == []
        found = await store.get("3")
        assert found is not None and found.history_entry() == history["3"]
        assert history["0"]["status"] == {"status_str": "error", "completed": False, "messages": []}
        await store.delete_history(["3", "unknown"])
        assert list(json.loads(await store.history_json())) == ["0", "1", "2", "4"]
        await store.clear_history()
        assert await store.history_json() == "{}"

    with_store(path, body)


def test_moving_survives_a_restart_and_any_number_of_moves(path: Path) -> None:
    async def before(store: JobStore) -> None:
        for prompt_id in "abcd":
            await store.add(job(prompt_id, 3))
        assert await store.move("d", "b")
        assert store.pending() == ["a", "d", "b", "c"]
        assert await store.move("a", None)
        assert store.pending() == ["d", "b", "c", "a"]
        for turn in range(200):  # each halves the room between two neighbours
            assert await store.move("ca"[turn % 2], "b")
        assert store.pending() == ["d", "c", "a", "b"]
        assert not await store.move("d", "unknown") and not await store.move("unknown", None)

    async def after(store: JobStore) -> None:
        assert store.pending() == ["d", "c", "a", "b"]

    with_store(path, before)
    with_store(path, after)


def test_moved_across_numbers(path: Path) -> None:
    async def body(store: JobStore) -> None:
        for number, prompt_id in enumerate("abc"):
            await store.add(job(prompt_id, number))
        await store.move("c", "a")
        await store.add(job("d", 3))
        assert store.pending() == ["c", "a", "b", "d"]

    with_store(path, body)


def test_deleting_takes_what_waits_and_leaves_what_runs(path: Path) -> None:
    async def body(store: JobStore) -> None:
        for number, prompt_id in enumerate("abcd"):
            await store.add(job(prompt_id, number))
        await store.claim_next()
        assert await store.delete_pending(["a", "c", "unknown"]) == ["c"]
        assert await store.get("c") is None
        assert await store.clear_pending() == ["b", "d"]
        assert store.running() == ["a"] and store.queue_remaining() == 1

    with_store(path, body)


def test_a_job_that_is_put_back_comes_first_and_keeps_what_was_said(path: Path) -> None:
    async def body(store: JobStore) -> None:
        for number, prompt_id in enumerate("abc"):
            await store.add(job(prompt_id, number))
        running = await store.claim_next()
        assert running is not None
        await store.add(job("front", -1))
        running.worker_deaths = 1
        running.messages.append(["worker_died", {}])
        await store.put_back(running)
        assert store.pending() == ["a", "front", "b", "c"]
        again = await store.claim_next()
        assert again is not None and (again.attempts, again.worker_deaths) == (2, 1)
        assert again.messages == [["worker_died", {}]]

    with_store(path, body)


def test_failed_jobs_are_queued_again_under_their_ids(path: Path) -> None:
    async def body(store: JobStore) -> None:
        for prompt_id in "abc":
            await store.add(job(prompt_id, store.next_number()))
        for status in ("error", "success"):
            running = await store.claim_next()
            assert running is not None
            running.status, running.error = status, {"exception_message": "no"}  # type: ignore[assignment]
            await store.finish(running)
        requeued = await asyncio.gather(*(store.retry(["a", "b", "c", "unknown"]) for _ in range(3)))
        assert sorted(requeued, key=len) == [[], [], ["a"]]
        assert store.pending() == ["c", "a"]
        found = await store.get("a")
        assert found is not None and (found.status, found.error) == ("pending", None)
        assert list(json.loads(await store.history_json())) == ["b"]

    with_store(path, body)


def test_the_oldest_history_goes_when_there_is_too_much(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_table, "HISTORY_SIZE", 3)
    monkeypatch.setattr(store_module, "_TRIM_EVERY", 1)

    async def body(store: JobStore) -> None:
        await store.add(job("waiting", 100))
        for number in range(6):
            await store.add(job(str(number), number))
            running = await store.claim_next()
            assert running is not None
            running.status, running.ended = "success", 1000.0 + number
            await store.finish(running)
        assert list(json.loads(await store.history_json())) == ["3", "4", "5"]
        assert store.pending() == ["waiting"]

    with_store(path, body)


def test_waiting_ends_with_the_job(path: Path) -> None:
    async def body(store: JobStore) -> None:
        await store.add(job("a"))
        await store.add(job("b"))
        await store.wait_ended("unknown", 10)
        running = await store.claim_next()
        assert running is not None
        waiting = asyncio.ensure_future(store.wait_ended("a", 600))
        deleted = asyncio.ensure_future(store.wait_ended("b", 600))
        await store.wait_ended("a", 0.01)
        assert not waiting.done()
        running.status = "success"
        await store.finish(running)
        await store.delete_pending(["b"])
        async with asyncio.timeout(60):
            await asyncio.gather(waiting, deleted)

    with_store(path, body)


def test_a_second_server_is_told_to_take_its_own_folder(path: Path) -> None:
    async def body(store: JobStore) -> None:
        with pytest.raises(StoreError, match="--user-directory"):
            await JobStore(path).open()

    with_store(path, body)


def test_a_damaged_file_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"this is no database" * 100)

    async def body(store: JobStore) -> None:
        await store.add(job("a"))

    with_store(path, body)
    assert "was renamed" in caplog.text
    (aside,) = path.parent.glob("sumi.db.damaged-*")
    assert aside.read_bytes().startswith(b"this is no database")


def test_when_the_disk_is_full_nothing_new_is_taken_and_what_runs_ends_well(path: Path) -> None:
    async def body(store: JobStore) -> None:
        await store.add(job("a"))
        running = await store.claim_next()
        assert running is not None
        await asyncio.sleep(0.05)
        limit_pages(store, 1)
        large = job("b")
        large.extra_data = {"x": "y" * 100_000}
        with pytest.raises(StoreFullError, match="disk space"):
            await store.add(large)
        assert store.pending() == [] and await store.get("b") is None
        limit_pages(store, 1_000_000)
        await store.add(job("d"))
        limit_pages(store, 1)
        running.status, running.outputs = "success", {"1": {"text": ["y" * 100_000]}}
        await store.finish(running)
        assert list(json.loads(await store.history_json())) == ["a"]
        found = await store.get("a")
        assert found is not None and found.status == "success"
        limit_pages(store, 1_000_000)
        await store.add(job("c"))

    with_store(path, body)
    stored = sqlite3.connect(path).execute("SELECT prompt_id, status FROM jobs ORDER BY prompt_id").fetchall()
    assert stored == [("a", "success"), ("c", "pending"), ("d", "pending")]


def test_a_pause_that_cannot_be_stored_is_no_pause(path: Path) -> None:
    async def body(store: JobStore) -> None:
        forbid_writing(store)
        with pytest.raises(StoreFullError):
            await store.set_paused(True)
        assert not store.paused

    with_store(path, body)


def test_an_end_that_waits_to_be_stored_does_not_undo_a_retry(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_SAVE_AGAIN_SECONDS", 0)

    async def body(store: JobStore) -> None:
        ended = []
        for prompt_id in "ab":
            await store.add(job(prompt_id))
            claimed = await store.claim_next()
            assert claimed is not None
            claimed.status = "error"
            ended.append(claimed)
        await asyncio.sleep(0.05)
        forbid_writing(store)
        store._unsaved = {failed.prompt_id: failed for failed in ended}
        for failed in ended:
            failed.ended = 1.0
            store._forget(failed.prompt_id)
        with pytest.raises(StoreFullError):
            await store.retry(["b"])
        assert list(json.loads(await store.history_json())) == ["a", "b"]
        forbid_writing(store, False)
        _, queued = await asyncio.gather(store._save_later(), store.retry(["b"]))
        assert queued == ["b"]

    with_store(path, body)
    stored = sqlite3.connect(path).execute("SELECT prompt_id, status FROM jobs ORDER BY prompt_id").fetchall()
    assert stored == [("a", "error"), ("b", "pending")]


def forbid_writing(store: JobStore, forbidden: bool = True) -> None:
    """Let SQLite find the file read-only."""
    store._writer._connection.execute(f"PRAGMA query_only = {'ON' if forbidden else 'OFF'}")


def limit_pages(store: JobStore, pages: int) -> None:
    """Let SQLite find the disk full: it raises the very error that it raises for ENOSPC."""
    store._writer._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_real_file_size_limit_is_a_full_disk_too(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import asyncio, resource, sys
        from pathlib import Path
        from server.store.jobs import Job
        from server.store.job_store import JobStore
        from server.store.writer import StoreFullError

        async def main():
            store = JobStore(Path(sys.argv[1]))
            await store.open()
            await store.add(Job("a", 0, {}))
            running = await store.claim_next()
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
            added = 0
            try:
                while True:
                    await store.add(Job(f"b{added}", 1, {"1": "x" * 20_000}))
                    added += 1
            except StoreFullError as error:
                print("full")
            running.status = "success"
            await store.finish(running)
            found = await store.get("a")
            print(found.status, added == len(store.pending()) > 0)

        asyncio.run(main())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "sumi.db"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.splitlines() == ["full", "success True"], done.stderr


def test_what_was_accepted_survives_sigkill_in_the_middle(tmp_path: Path) -> None:
    """The process kills itself while submissions are being committed; every one it had confirmed is there."""
    script = textwrap.dedent(
        """
        import asyncio, os, signal, sys
        from pathlib import Path
        from server.store.jobs import Job
        from server.store.job_store import JobStore

        async def main():
            store = JobStore(Path(sys.argv[1]))
            await store.open()
            async def add(number):
                await store.add(Job(f"p{number}", number, {"1": "x" * 1000}))
                os.write(1, f"p{number}\\n".encode())
                if number == 150:
                    os.kill(os.getpid(), signal.SIGKILL)
            await asyncio.gather(*(add(number) for number in range(100)))
            await asyncio.gather(*(add(number) for number in range(100, 300)))

        asyncio.run(main())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "sumi.db"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        env={"PYTHONPATH": str(ROOT)},
    )
    confirmed = done.stdout.split()
    assert done.returncode == -9 and len(confirmed) > 100, done.stderr

    async def body(store: JobStore) -> None:
        assert set(confirmed) <= set(store.pending())
        numbers = [int(prompt_id[1:]) for prompt_id in store.pending()]
        assert numbers == sorted(numbers)

    with_store(tmp_path / "sumi.db", body)
