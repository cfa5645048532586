"""The SQLite table of jobs: its statements, and the conversion of rows."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from server.store import webhook_table
from server.store.jobs import Job, compact_json, whole
from server.store.queue_order import Key
from server.store.webhook_table import Notice
from server.store.writer import StoreError, connect

log = logging.getLogger(__name__)

HISTORY_SIZE: Final = 10_000
"""Number of ended jobs to keep; the oldest are deleted first."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    prompt_id TEXT PRIMARY KEY, number REAL NOT NULL, place REAL NOT NULL, status TEXT NOT NULL, client_id TEXT,
    attempts INTEGER NOT NULL, worker_deaths INTEGER NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
    prompt TEXT NOT NULL, extra_data TEXT NOT NULL, outputs_to_execute TEXT NOT NULL, node_errors TEXT NOT NULL,
    messages TEXT NOT NULL, outputs TEXT NOT NULL, meta TEXT NOT NULL, timings TEXT NOT NULL, cached TEXT NOT NULL,
    error TEXT NOT NULL, user TEXT
);
CREATE INDEX IF NOT EXISTS jobs_waiting ON jobs (status, number, place);
CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (ended);
CREATE TABLE IF NOT EXISTS sweep_parts (
    prompt_id TEXT NOT NULL, number INTEGER NOT NULL, shown TEXT NOT NULL, PRIMARY KEY (prompt_id, number)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS sweep_parts_go_with_their_job AFTER DELETE ON jobs
    BEGIN DELETE FROM sweep_parts WHERE prompt_id = old.prompt_id; END;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS turns (user TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
"""

_OF_VERSION_2 = """
CREATE INDEX IF NOT EXISTS jobs_of_users ON jobs (user, ended) WHERE user IS NOT NULL;
PRAGMA user_version = 2;
"""
"""Statements that need the column ``user``, which databases of version 1 do not have."""

_PLAIN = (
    "prompt_id", "number", "place", "status", "client_id", "attempts", "worker_deaths", "created", "started", "ended",
    "user",
)  # fmt: skip
_AS_JSON = (
    "prompt", "extra_data", "outputs_to_execute", "node_errors",
    "messages", "outputs", "meta", "timings", "cached", "error",
)  # fmt: skip
_COLUMNS = _PLAIN + _AS_JSON
_INTO_JOBS = f"INTO jobs ({','.join(_COLUMNS)}) VALUES ({','.join('?' * len(_COLUMNS))})"
_CONSTANT = frozenset({"prompt_id", "user", "prompt", "extra_data", "outputs_to_execute"})
_CHANGING = [name for name in _COLUMNS if name not in _CONSTANT]
_UPDATE_JOBS = f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE prompt_id = ?"


def lock(path: Path) -> sqlite3.Connection:
    """Lock ``path`` for this process. The system releases the lock when the process ends, for any reason."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = sqlite3.connect(path.with_suffix(".lock"), isolation_level=None, check_same_thread=False, timeout=3)
        held.execute("BEGIN EXCLUSIVE")
    except OSError as error:
        raise StoreError(
            f"user folder {path.parent}: {error.strerror or error}; choose another --user-directory"
        ) from error
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path} is in use by another server ({error}); give each its own --user-directory") from error
    return held


class Stored(NamedTuple):
    """The queue as it was stored: pending jobs, whether it is paused, the next number, and users' next turns."""

    rows: list[sqlite3.Row]
    paused: bool
    number: int
    turns: dict[str | None, int]


def prepare(path: Path) -> Stored:
    """Create the tables, or those that an older version lacks; put running jobs back at the front."""
    try:
        return _prepare_sound(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
        path.rename(aside)
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        log.error("%s is damaged (%s): it was renamed to %s, and the queue starts empty", path, error, aside.name)
        return _prepare_sound(path)


def _prepare_sound(path: Path) -> Stored:
    connection = connect(path)
    connection.row_factory = sqlite3.Row
    try:
        connection.executescript(_SCHEMA + webhook_table.SCHEMA)
        for table in ("jobs", "webhooks"):
            _add_user(connection, table)
        connection.executescript(_OF_VERSION_2)
        connection.execute(
            "UPDATE turns SET next = next - (SELECT count(*) FROM jobs WHERE status = 'running' AND jobs.user IS "
            "nullif(turns.user, ''))"
        )
        (first,) = connection.execute("SELECT min(number) FROM jobs WHERE status = 'pending'").fetchone()
        connection.execute(
            "UPDATE jobs SET status = 'pending', number = min(number, coalesce(?, number)), "
            "place = place - (SELECT max(place) - min(place) + 1 FROM jobs) WHERE status = 'running'",
            (first,),
        )
        rows = connection.execute(
            "SELECT prompt_id, number, place, user, prompt, extra_data, outputs_to_execute FROM jobs "
            "WHERE status = 'pending'"
        ).fetchall()
        turns = {row["user"] or None: row["next"] for row in connection.execute("SELECT user, next FROM turns")}
        paused = connection.execute("SELECT value FROM settings WHERE name = 'paused'").fetchone()
        (largest,) = connection.execute("SELECT max(abs(number)) FROM jobs WHERE abs(number) < 1e15").fetchone()
    finally:
        connection.close()
    return Stored(
        rows,
        paused is not None and json.loads(paused["value"]),
        0 if largest is None else int(largest) + 1,
        turns,
    )


def _add_user(connection: sqlite3.Connection, table: str) -> None:
    """Add the column ``user`` to a table of version 1. Its rows then belong to no user."""
    if "user" not in {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN user TEXT")


def row_of(job: Job, whole: bool = False) -> tuple[Any, ...]:
    """Return the columns of ``job``. Unless ``whole``, columns that never change are left empty."""
    plain = tuple(getattr(job, name) for name in _PLAIN)
    texts = ("" if name in _CONSTANT and not whole else compact_json(getattr(job, name)) for name in _AS_JSON)
    return plain + tuple(texts)


def _job(row: tuple[Any, ...]) -> Job:
    fields = dict(zip(_COLUMNS, row, strict=True))
    for name in _AS_JSON:
        fields[name] = json.loads(fields[name])
    return Job(**fields)


def insert(connection: sqlite3.Connection, row: tuple[Any, ...]) -> bool:
    """Insert a job. Returns whether it was new."""
    return connection.execute(f"INSERT OR IGNORE {_INTO_JOBS}", row).rowcount == 1


def update(connection: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    """Store everything that may have changed since the job was added."""
    fields = dict(zip(_COLUMNS, row, strict=True))
    connection.execute(_UPDATE_JOBS, [*(fields[name] for name in _CHANGING), fields["prompt_id"]])


def save_state(connection: sqlite3.Connection, job: tuple[Any, ...]) -> None:
    """Store the state of a job. ``job``: status, number, place, started, attempts, worker_deaths, prompt_id."""
    connection.execute(
        "UPDATE jobs SET status = ?, number = ?, place = ?, started = ?, attempts = ?, worker_deaths = ? "
        "WHERE prompt_id = ?",
        job,
    )


def save_order(connection: sqlite3.Connection, keys: list[Key]) -> None:
    connection.executemany(
        "UPDATE jobs SET number = ?, place = ? WHERE prompt_id = ? AND (number, place) != (?, ?)",
        [(key.number, key.place, key.prompt_id, key.number, key.place) for key in keys],
    )


def save_turns(connection: sqlite3.Connection, turns: Mapping[str | None, int]) -> None:
    """Store the number of each user's next turn. The operator's has an empty name."""
    connection.executemany(
        "INSERT OR REPLACE INTO turns VALUES (?, ?)", [(user or "", turn) for user, turn in turns.items()]
    )


def set_paused(connection: sqlite3.Connection, paused: bool) -> None:
    connection.execute("INSERT OR REPLACE INTO settings VALUES ('paused', ?)", (compact_json(paused),))


def finish(connection: sqlite3.Connection, row: tuple[Any, ...], trim: bool, notice: Notice | None = None) -> None:
    """Store an ended job, and the notice of its end. ``trim`` keeps only the ``HISTORY_SIZE`` newest ended jobs."""
    update(connection, row)
    if notice is not None:
        webhook_table.save(connection, notice)
    fields = dict(zip(_COLUMNS, row, strict=True))
    if fields["status"] == "success":  # other jobs may be queued again, and then need not repeat these
        connection.execute("DELETE FROM sweep_parts WHERE prompt_id = ?", (fields["prompt_id"],))
    if trim:
        connection.execute(
            "DELETE FROM jobs WHERE ended < (SELECT ended FROM jobs WHERE ended IS NOT NULL "
            "ORDER BY ended DESC LIMIT 1 OFFSET ?)",
            (HISTORY_SIZE - 1,),
        )


def save_part(connection: sqlite3.Connection, prompt_id: str, number: int, shown: str) -> None:
    """Store what a combination of a running sweep has shown, as JSON."""
    connection.execute("INSERT OR REPLACE INTO sweep_parts VALUES (?, ?, ?)", (prompt_id, number, shown))


def parts(connection: sqlite3.Connection, prompt_id: str) -> dict[int, Any]:
    """Return what each finished combination of a sweep has shown, by its number."""
    rows = connection.execute("SELECT number, shown FROM sweep_parts WHERE prompt_id = ?", (prompt_id,))
    return {row[0]: json.loads(row[1]) for row in rows}


def delete(connection: sqlite3.Connection, prompt_ids: list[str], condition: str, user: str | None = None) -> None:
    """Delete the jobs that meet the condition; unless ``user`` is None, only this user's."""
    also, values = _of(user)
    connection.executemany(
        f"DELETE FROM jobs WHERE prompt_id = ? AND {condition}{also}",
        [(prompt_id, *values) for prompt_id in prompt_ids],
    )


def clear_history(connection: sqlite3.Connection, user: str | None = None) -> None:
    """Delete all ended jobs, or the user's."""
    also, values = _of(user)
    connection.execute(f"DELETE FROM jobs WHERE ended IS NOT NULL{also}", values)


def _of(user: str | None) -> tuple[str, tuple[str, ...]]:
    """Return a condition that selects a user's jobs, and its values; an empty one for None."""
    return ("", ()) if user is None else (" AND user = ?", (user,))


def select(connection: sqlite3.Connection, prompt_id: str) -> Job | None:
    row = connection.execute(f"SELECT {','.join(_COLUMNS)} FROM jobs WHERE prompt_id = ?", (prompt_id,)).fetchone()
    return None if row is None else _job(row)


def history(
    connection: sqlite3.Connection, max_items: int | None, offset: int | None, user: str | None = None
) -> list[tuple[str, str]]:
    """Return the ids and history entries of ended jobs, oldest first; only the user's unless ``user`` is None."""
    also, values = _of(user)
    if max_items is not None and max_items >= 0 and (offset is None or offset < 0):
        (count,) = connection.execute(f"SELECT count(*) FROM jobs WHERE ended IS NOT NULL{also}", values).fetchone()
        offset = max(0, count - max_items)
    rows = connection.execute(
        "SELECT prompt_id, number, prompt, extra_data, outputs_to_execute, outputs, meta, status, messages FROM jobs "
        f"WHERE ended IS NOT NULL{also} ORDER BY ended, rowid LIMIT ? OFFSET ?",
        (*values, -1 if max_items is None else max_items, max(0, offset or 0)),
    )
    return [(row[0], _entry(*row)) for row in rows]


def _entry(
    prompt_id: str,
    number: float,
    prompt: str,
    extra: str,
    targets: str,
    outputs: str,
    meta: str,
    status: str,
    said: str,
) -> str:
    """Build ``Job.history_entry`` from columns that already hold JSON."""
    item = f"[{whole(number)!r},{compact_json(prompt_id)},{prompt},{extra},{targets}]"
    done = status == "success"
    text = compact_json("success" if done else "error")
    state = f'{{"status_str":{text},"completed":{compact_json(done)},"messages":{said}}}'
    return f'{{"prompt":{item},"outputs":{outputs},"status":{state},"meta":{meta}}}'


def tail(row: Mapping[str, Any]) -> str:
    """Return the JSON of a queue item after its number."""
    return f"{compact_json(row['prompt_id'])},{row['prompt']},{row['extra_data']},{row['outputs_to_execute']}]"


def row_and_tail(job: Job) -> tuple[tuple[Any, ...], str]:
    """Return all columns of ``job``, and the JSON of its queue item after the number."""
    row = row_of(job, whole=True)
    return row, tail(dict(zip(_COLUMNS, row, strict=True)))
