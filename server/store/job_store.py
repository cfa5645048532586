"""The queue and the history in SQLite. Accepted jobs survive a restart, a crash and a power cut.

The queue's order and the text of waiting jobs are also kept in memory, so that listing the queue needs no disk.
All methods are called on the event loop; other threads access the disk. Methods with a ``user`` see and change only
that user's jobs; None is the operator, who sees and changes everyone's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from server.store import job_list, job_table, webhook_table
from server.store.end_waiters import EndWaiters
from server.store.jobs import Job, compact_json, may_see
from server.store.queue_items import QueueItems
from server.store.queue_order import Key, QueueOrder
from server.store.turns import Turns, User
from server.store.webhook_table import Notice
from server.store.writer import StoreError, StoreWriter, connect, explained

log = logging.getLogger(__name__)

_SAVE_AGAIN_SECONDS: Final = 5.0
_TRIM_EVERY: Final = 100
_LARGE_PROMPT: Final = 200
"""Number of nodes from which a prompt is serialised on a thread, so that it does not block the event loop."""


class JobStore:
    """The jobs of one installation, in the file ``path``."""

    def __init__(self, path: Path):
        self.path = path
        self.on_change: Callable[[], None] = lambda: None
        """Called when the queue or the running jobs have changed."""
        self.notice_of: Callable[[Job], Notice | None] = lambda job: None
        """Returns the notice to store with an ended job, if its request named a webhook."""
        self._order = QueueOrder()
        self._items = QueueItems()
        self._adding: dict[str, asyncio.Future[Job]] = {}
        self._unsaved: dict[str, Job] = {}
        self._put_back: dict[str, Job] = {}
        self._waiters = EndWaiters()
        self._paused = False
        self._number = 0
        self._place = 0.0
        self._ended_count = 0
        self._saver: asyncio.Task[None] | None = None
        self._reader = ThreadPoolExecutor(1, "store-reader")

    # -- opening and closing ------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Read the queue. Jobs that were running are put first.

        Raises StoreError if another server uses the file or the folder is not writable. A damaged
        file is renamed, and the log says so.
        """
        loop = asyncio.get_running_loop()
        self._lock = await asyncio.to_thread(job_table.lock, self.path)
        try:
            stored = await asyncio.to_thread(job_table.prepare, self.path)
            self._writer = StoreWriter(self.path, loop)
            self._connection = await loop.run_in_executor(self._reader, lambda: connect(self.path, read_only=True))
        except sqlite3.Error as error:
            self._lock.close()
            raise explained(error, self.path) from error
        self._paused, self._number = stored.paused, stored.number
        self._order.turns = Turns(stored.turns)
        for row in stored.rows:
            self._hold(Key(row["number"], row["place"], row["prompt_id"], row["user"]), job_table.tail(dict(row)))
        self._place = self._order.last_place()

    async def close(self) -> None:
        """Finish writing and close the file."""
        if self._saver is not None:
            self._saver.cancel()
        for job in list(self._unsaved.values()):
            await self._try_to_save(job)
        await self._writer.close()
        await asyncio.get_running_loop().run_in_executor(self._reader, self._connection.close)
        self._reader.shutdown()
        self._lock.close()

    # -- the queue ----------------------------------------------------------------------------------------------

    def next_number(self) -> int:
        """Return the number for a prompt that does not request one: 0, 1, 2 …"""
        number = self._number
        self._number += 1
        return number

    async def add(self, job: Job) -> Job:
        """Store ``job`` as pending. Returns when it is on disk.

        If its prompt_id is already known, nothing is added and the known job is returned
        (``result is not job``). Raises StoreFullError.
        """
        while (other := self._adding.get(job.prompt_id)) is not None:
            try:
                return await asyncio.shield(other)
            except StoreError:
                continue
        self._place += 1
        job.place = self._place
        job.created = job.created or time.time()
        added = asyncio.ensure_future(self._add(job))
        self._adding[job.prompt_id] = added
        added.add_done_callback(lambda _: self._adding.pop(job.prompt_id, None))
        return await asyncio.shield(added)

    async def _add(self, job: Job) -> Job:
        if len(job.prompt) > _LARGE_PROMPT:
            row, tail = await asyncio.to_thread(job_table.row_and_tail, job)
        else:
            row, tail = job_table.row_and_tail(job)
        if await self._writer.submit(lambda connection: job_table.insert(connection, row)):
            self._hold(Key(job.number, job.place, job.prompt_id, job.user), tail)
            self.on_change()
            return job
        return await self.get(job.prompt_id) or await self._add(job)

    async def claim_next(self, must_wait: Callable[[str], Awaitable[bool]] | None = None) -> Job | None:
        """Mark the first pending job as running and return it; None if no job waits or the queue is paused.

        Jobs for which ``must_wait(prompt_id)`` is true are passed over and keep their places.
        """
        key = None if self._paused else await self._first_to_start(must_wait)
        if key is None:
            return None
        self._order.start(key.prompt_id)
        try:
            job = self._put_back.pop(key.prompt_id, None) or await self._read(key.prompt_id)
        except StoreError:
            self._order.put_back(key)
            raise
        if job is None:  # another program deleted its row
            self._forget(key.prompt_id)
            return await self.claim_next(must_wait)
        job.number, job.place = key.number, key.place
        job.status, job.started, job.attempts = "running", time.time(), job.attempts + 1
        self._save_state(job)
        self._save_turns()
        self.on_change()
        return job

    async def _first_to_start(self, must_wait: Callable[[str], Awaitable[bool]] | None) -> Key | None:
        if must_wait is None:
            return self._order.first()
        for key in self._order.waiting():
            waits = await must_wait(key.prompt_id)
            if not waits and key.prompt_id in self._order:  # it may have been deleted or moved meanwhile
                return self._order[key.prompt_id]
        return None

    def waits(self, prompt_id: str) -> bool:
        """Whether the job is in the queue and does not run."""
        return prompt_id in self._order

    async def put_back(self, job: Job) -> None:
        """Put a running job back at the front of its user's jobs; its ``messages`` and counts are kept."""
        key = self._order.front_key(job.prompt_id, job.number, job.place, job.user)
        job.status, job.number, job.place = "pending", key.number, key.place
        self._order.put_back(key)
        self._save_turns()
        self._put_back[job.prompt_id] = job
        row = job_table.row_of(job)
        saved = self._writer.submit(lambda connection: job_table.update(connection, row))
        saved.add_done_callback(lambda done: _log_failure(done, job.prompt_id))
        await asyncio.wait([saved])
        self.on_change()

    async def finish(self, job: Job) -> None:
        """Store how ``job`` ended (``status``, ``outputs``…). Returns when it is on disk.

        If the disk is full, the job is kept in memory, listed like others, and stored as soon as possible.
        """
        job.ended = job.ended or time.time()
        self._unsaved[job.prompt_id] = job
        if not await self._try_to_save(job):
            log.error(
                "cannot store how this job ended; it is kept in memory until there is space",
                extra={"prompt_id": job.prompt_id},
            )
            if self._saver is None or self._saver.done():
                self._saver = asyncio.create_task(self._save_later())
        self._forget(job.prompt_id)
        self.on_change()

    async def save_part(self, prompt_id: str, number: int, shown: Mapping[str, Any]) -> None:
        """Store what a combination of a running sweep has shown, so that it need not run again after a restart.

        A full disk must not stop the sweep, so a failure is only logged.
        """
        text = compact_json(shown)
        saved = self._writer.submit(lambda connection: job_table.save_part(connection, prompt_id, number, text))
        saved.add_done_callback(lambda done: _log_failure(done, prompt_id))
        await asyncio.wait([saved])

    async def parts(self, prompt_id: str) -> dict[int, Any]:
        """Return what each finished combination of a sweep has shown, by its number."""
        found: dict[int, Any] = await self._in_reader(lambda connection: job_table.parts(connection, prompt_id))
        return found

    async def end_pending(self, prompt_id: str, end: Callable[[Job], None], user: User = None) -> Job | None:
        """Move a pending job to the history; ``end`` sets its status. Returns None if the job is not pending."""
        if not self._order.has(prompt_id, user):
            return None
        key = self._order.remove(prompt_id)
        try:
            job = self._put_back.get(prompt_id) or await self._read(prompt_id)
        except StoreError:
            self._order.insert(key)
            raise
        if job is None:
            self._forget(prompt_id)
            return None
        job.number, job.place = key.number, key.place
        end(job)
        await self.finish(job)
        return job

    async def delete_pending(self, prompt_ids: Iterable[str], user: User = None) -> list[str]:
        """Remove the pending ones among these jobs, and return their ids. Running jobs are not changed.

        Raises StoreFullError; in that case all of them stay in the queue.
        """
        wanted = [prompt_id for prompt_id in dict.fromkeys(prompt_ids) if self._order.has(prompt_id, user)]
        keys = [self._order.remove(prompt_id) for prompt_id in wanted]
        removed = [key.prompt_id for key in keys]
        if not removed:
            return []
        try:
            await self._writer.submit(lambda connection: job_table.delete(connection, removed, "status = 'pending'"))
        except StoreError:
            for key in keys:
                self._order.insert(key)
            raise
        for prompt_id in removed:
            self._forget(prompt_id)
        self.on_change()
        return removed

    async def clear_pending(self, user: User = None) -> list[str]:
        """Remove all pending jobs."""
        return await self.delete_pending(self.pending(user))

    async def move(self, prompt_id: str, before: str | None, user: User = None) -> bool:
        """Move a pending job right before another of the same user, or behind all of them.

        Returns False if one of them is not pending, or they have different users.
        """
        if not self._order.has(prompt_id, user) or (before is not None and before not in self._order):
            return False
        owner = self._order[prompt_id].user
        if before is not None and self._order[before].user != owner:
            return False
        if before == prompt_id:
            return True
        self._order.move(prompt_id, before)
        keys = self._order.lane(owner)
        self._place = max(self._place, self._order.last_place())
        await self._writer.submit(lambda connection: job_table.save_order(connection, keys))
        self.on_change()
        return True

    async def retry(self, prompt_ids: Iterable[str], user: User = None) -> list[str]:
        """Queue failed and interrupted jobs again at the end, with the same ids. Returns the queued ids."""
        queued = []
        for prompt_id in dict.fromkeys(prompt_ids):
            job = await self.get(prompt_id, user)
            if job is None or job.status not in ("error", "interrupted") or prompt_id in self._items:
                continue
            _, tail = job_table.row_and_tail(job)
            self._items.hold(prompt_id, tail)  # from here on, a second retry finds the job in the queue
            job = dataclasses.replace(job)
            job.start_over()
            job.attempts = job.worker_deaths = 0
            self._place += 1
            job.number, job.place = self.next_number(), self._place
            row = job_table.row_of(job)
            unsaved = self._unsaved.pop(
                prompt_id, None
            )  # otherwise the ended job might be stored later and overwrite this
            try:
                await self._writer.submit(partial(job_table.update, row=row))
            except StoreError:
                self._forget(prompt_id)
                if unsaved is not None:
                    self._unsaved[prompt_id] = unsaved
                raise
            self._insert(Key(job.number, job.place, prompt_id, job.user))
            queued.append(prompt_id)
        if queued:
            self.on_change()
        return queued

    @property
    def paused(self) -> bool:
        """Whether the queue is paused: no job starts even if a worker is free."""
        return self._paused

    async def set_paused(self, paused: bool) -> None:
        """Pause or resume the queue, also across restarts. Raises StoreFullError; in that case nothing changes."""
        before, self._paused = self._paused, paused  # both changes at once, so that no job starts in between
        try:
            await self._writer.submit(lambda connection: job_table.set_paused(connection, paused))
        except StoreError:
            self._paused = before
            raise
        finally:
            self.on_change()

    def pending(self, user: User = None) -> list[str]:
        """Return the pending ids, the next one to run first."""
        return [key.prompt_id for key in self._order.waiting(user)]

    def running(self, user: User = None) -> list[str]:
        """Return the running ids."""
        return [key.prompt_id for key in self._order.running(user)]

    def position(self, prompt_id: str) -> int | None:
        """Return how many jobs of all users run before this one; None if it is not pending."""
        return self._order.position(prompt_id) if prompt_id in self._order else None

    def is_queued(self, prompt_id: str, user: User = None) -> bool:
        """Whether the job is pending or running."""
        return self._order.has(prompt_id, user) or self._order.runs(prompt_id, user)

    def queue_remaining(self, user: User = None) -> int:
        """Return the number of pending and running jobs."""
        return self._order.count(user)

    def pending_now(self) -> int:
        """Return the number of jobs that a worker could take now: none while the queue is paused."""
        return 0 if self._paused else len(self._order)

    def queue_bytes(self, user: User = None) -> int:
        """Return the bytes of memory that the text of these jobs takes."""
        if user is None:
            return self._items.size()
        return self._items.size([*self._order.running(user), *self._order.waiting(user)])

    def queue_json(self, user: User = None) -> str:
        """Join the texts in memory to ``{"queue_running": [item], "queue_pending": [item], "paused": bool}``.

        Users also get ``"may_pause": false``.
        """
        running, pending = self._items.json(self._order.running(user)), self._items.json(self._order.waiting(user))
        paused = compact_json(self._paused)
        right = "" if user is None else ',"may_pause":false'
        return f'{{"queue_running":{running},"queue_pending":{pending},"paused":{paused}{right}}}'

    # -- turns of sweeps ----------------------------------------------------------------------------------------

    def begin_sweep(self, prompt_id: str, parts: int) -> None:
        """Let each of the ``parts`` of a running sweep take a turn, instead of the job as a whole."""
        self._order.begin_parts(prompt_id, parts)
        self._save_turns()

    def sweeps_in_turn(self, prompt_ids: Iterable[str]) -> list[str]:
        """Return the running sweeps whose next part comes before the first waiting job, the earliest turn first.

        While the queue is paused no waiting job can start, so all sweeps go on.
        """
        return list(prompt_ids) if self._paused else self._order.running_in_turn(prompt_ids)

    def begin_part(self, prompt_id: str, left: int) -> None:
        """Record that a part of a running sweep starts; ``left`` have not started yet."""
        self._order.begin_part(prompt_id, left)
        self._save_turns()

    # -- the history --------------------------------------------------------------------------------------------

    async def get(self, prompt_id: str, user: User = None) -> Job | None:
        """Return a copy of the job with that id, in any state."""
        unsaved = self._unsaved.get(prompt_id)
        job = unsaved or await self._read(prompt_id)
        if job is None or not may_see(user, job.user):
            return None
        if unsaved is not None:
            return unsaved
        if prompt_id in self._order:
            job.number, job.place = self._order[prompt_id][:2]
            job.status = "pending"
        elif self._order.runs(prompt_id):
            job.status = "running"
        return job

    async def history_json(self, max_items: int | None = None, offset: int | None = None, user: User = None) -> str:
        """Return ``{prompt_id: history entry}`` of the ended jobs, oldest first, as JSON text.

        ``max_items`` without ``offset`` selects the newest; ``offset`` counts from the oldest.
        """
        unsaved = [job for job in self._unsaved.values() if may_see(user, job.user)]
        stored = await self._in_reader(lambda connection: job_table.history(connection, max_items, offset, user))
        entries = dict(stored)
        for job in unsaved:
            if job.ended is not None:
                entries[job.prompt_id] = compact_json(job.history_entry())
        return "{" + ",".join(f"{compact_json(key)}:{entry}" for key, entry in entries.items()) + "}"

    async def page(self, wanted: job_list.JobFilter, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
        """Return a page of these jobs in the form of ``job_list``, and their total number."""
        return await self._in_reader(lambda connection: job_list.page(connection, wanted, limit, offset))

    async def delete_history(self, prompt_ids: Iterable[str], user: User = None) -> None:
        """Delete ended jobs from the history. Their files stay."""
        gone = list(dict.fromkeys(prompt_ids))
        self._drop_unsaved(gone, user)
        await self._writer.submit(lambda connection: job_table.delete(connection, gone, "ended IS NOT NULL", user))

    async def clear_history(self, user: User = None) -> None:
        """Delete all ended jobs from the history."""
        self._drop_unsaved(list(self._unsaved), user)
        await self._writer.submit(lambda connection: job_table.clear_history(connection, user))

    async def counts(self) -> dict[str, int]:
        """Return the number of jobs with each status."""
        found = await self._in_reader(
            lambda connection: connection.execute("SELECT status, count(*) FROM jobs GROUP BY status").fetchall()
        )
        ended = {status: count for status, count in found if status in ("success", "error", "interrupted")}
        return {"pending": len(self._order), "running": len(self._order.running()), **ended}

    async def wait_ended(self, prompt_id: str, seconds: float) -> None:
        """Wait until the job has ended or was removed, or until ``seconds`` have passed."""
        if prompt_id in self._items:
            await self._waiters.wait(prompt_id, seconds)

    # -- notices of ended jobs ----------------------------------------------------------------------------------

    async def notices(self) -> list[Notice]:
        """Return the notices that have not been delivered."""
        found: list[Notice] = await self._in_reader(webhook_table.all_notices)
        return found

    async def count_attempt(self, prompt_id: str) -> None:
        """Record that a notice was not received. A failure to store that is only logged."""
        saved = self._writer.submit(lambda connection: webhook_table.count_attempt(connection, prompt_id))
        saved.add_done_callback(lambda done: _log_failure(done, prompt_id))
        await asyncio.wait([saved])

    async def remove_notice(self, prompt_id: str) -> None:
        """Remove a notice. If that cannot be stored, it is delivered again after the next start."""
        saved = self._writer.submit(lambda connection: webhook_table.remove(connection, prompt_id))
        saved.add_done_callback(lambda done: _log_failure(done, prompt_id))
        await asyncio.wait([saved])

    # -- internals----------------------------------------------------------------------------------------------

    def _hold(self, key: Key, tail: str) -> None:
        self._insert(key)
        self._items.hold(key.prompt_id, tail)

    def _insert(self, key: Key) -> None:
        if self._order.insert(key):
            self._save_turns()

    def _save_turns(self) -> None:
        """Store whose turn it is, if there are users. Without it, the order may be another after a restart."""
        if turns := self._order.turns.to_store():
            saved = self._writer.submit(lambda connection: job_table.save_turns(connection, turns))
            saved.add_done_callback(lambda done: _log_failure(done, None))

    def _drop_unsaved(self, prompt_ids: Iterable[str], user: User) -> None:
        for prompt_id in prompt_ids:
            if prompt_id in self._unsaved and may_see(user, self._unsaved[prompt_id].user):
                del self._unsaved[prompt_id]

    def _forget(self, prompt_id: str) -> None:
        """Remove the job from the queue and wake the tasks that wait for its end."""
        self._order.end(prompt_id)
        self._items.drop(prompt_id)
        self._put_back.pop(prompt_id, None)
        self._waiters.wake(prompt_id)

    def _save_state(self, job: Job) -> asyncio.Future[Any]:
        """Record on disk that the job is pending or running. A full disk must not stop the job, so a failure is only
        logged; at worst, the job runs again after a crash."""
        values = (
            job.status, job.number, job.place, job.started, job.attempts, job.worker_deaths, job.prompt_id,
        )  # fmt: skip
        saved = self._writer.submit(lambda connection: job_table.save_state(connection, values))
        saved.add_done_callback(lambda done: _log_failure(done, job.prompt_id))
        return saved

    async def _try_to_save(self, job: Job) -> bool:
        row = job_table.row_of(job)
        self._ended_count += 1
        trim = self._ended_count % _TRIM_EVERY == 0
        try:
            notice = self.notice_of(job)
            await self._writer.submit(lambda connection: job_table.finish(connection, row, trim, notice))
        except StoreError as error:
            log.error("%s", error, extra={"prompt_id": job.prompt_id})
            return False
        if self._unsaved.get(job.prompt_id) is job:
            del self._unsaved[job.prompt_id]
        return True

    async def _save_later(self) -> None:
        while self._unsaved:
            await asyncio.sleep(_SAVE_AGAIN_SECONDS)
            for job in list(self._unsaved.values()):
                if self._unsaved.get(job.prompt_id) is not job:  # the job was queued again or deleted in the meantime
                    continue
                if await self._try_to_save(job):
                    log.info("how this job ended is stored now", extra={"prompt_id": job.prompt_id})

    async def _read(self, prompt_id: str) -> Job | None:
        return await self._in_reader(lambda connection: job_table.select(connection, prompt_id))

    async def _in_reader(self, read: Callable[[sqlite3.Connection], Any]) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, read, self._connection)
        except sqlite3.Error as error:
            raise explained(error, self.path) from error


def _log_failure(saved: asyncio.Future[Any], prompt_id: str | None) -> None:
    if not saved.cancelled() and (error := saved.exception()) is not None:
        log.error("%s", error, extra={"prompt_id": prompt_id})
