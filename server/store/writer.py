"""The single thread that writes to the database. Operations that arrive together share a commit.

A commit waits for the disk (milliseconds). Two thousand submissions with a commit each would take
many seconds; in groups they take one or two.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from graph.errors import SumiError

log = logging.getLogger(__name__)

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

_LARGEST_GROUP = 500
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})


class StoreError(SumiError):
    """The database of jobs cannot be used: damaged, locked by another server, unreadable."""


class StoreFullError(StoreError):
    """The database cannot grow: the disk is full or read-only. Nothing was stored."""


@dataclass(slots=True)
class _Waiting:
    operation: Operation[Any]
    answer: asyncio.Future[Any]


class StoreWriter:
    """Runs operations on its own connection, in the order they arrive, several per transaction.

    A failing operation does not affect the others: its group is then repeated one operation at a time.
    """

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop):
        self._path = path
        self._loop = loop
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._connection = connect(path)
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Return a future of the operation's result, done when it is on disk. The future may raise StoreError."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put(_Waiting(operation, answer))
        return answer

    async def close(self) -> None:
        """Run the waiting operations, then close the connection."""
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        try:
            open_ = True
            while open_:
                group, open_ = self._next_group()
                if group and not self._commit(group):
                    for waiting in group:
                        self._commit([waiting], alone=True)
        finally:
            self._connection.close()

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        group: list[_Waiting] = []
        waiting = self._waiting.get()
        while waiting is not None:
            group.append(waiting)
            if len(group) == _LARGEST_GROUP:
                return group, True
            try:
                waiting = self._waiting.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit(self, group: list[_Waiting], alone: bool = False) -> bool:
        """Commit a group. Returns whether it is finished: committed or, if ``alone``, refused."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [waiting.operation(self._connection) for waiting in group]
            self._connection.execute("COMMIT")
        except Exception as error:  # a faulty operation must not end the only writer
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if not alone:
                return False
            self._resolve(group[0].answer, None, explained(error, self._path))
            return True
        for waiting, result in zip(group, results, strict=True):
            self._resolve(waiting.answer, result, None)
        return True

    def _resolve(self, answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        def resolve() -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(resolve)
        except RuntimeError:  # the loop is closed, so nothing waits for the result
            log.debug("an operation finished after the event loop had ended")


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection whose commits survive a power cut. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    else:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    return connection


def explained(error: BaseException, path: Path) -> BaseException:
    """Return a StoreError that explains an error of SQLite; any other error is returned unchanged."""
    if not isinstance(error, sqlite3.Error):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _NO_ROOM:
        full = StoreFullError(f"cannot write {path}: {error}. Free some disk space or choose another --user-directory.")
        full.__cause__ = error
        return full
    other = StoreError(f"cannot use {path}: {error}")
    other.__cause__ = error
    return other
