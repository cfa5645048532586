"""The SQLite table of notices about ended jobs that their receivers have not had yet."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS webhooks (
    prompt_id TEXT PRIMARY KEY, address TEXT NOT NULL, body TEXT NOT NULL, attempts INTEGER NOT NULL,
    user TEXT
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice to send to an address: ``body`` is JSON, ``attempts`` counts the failed attempts. ``user`` queued
    the job."""

    prompt_id: str
    address: str
    body: str
    attempts: int = 0
    user: str | None = None


def save(connection: sqlite3.Connection, notice: Notice) -> None:
    """Store a new notice of a job, in place of an earlier one."""
    connection.execute(
        "INSERT OR REPLACE INTO webhooks (prompt_id, address, body, attempts, user) VALUES (?, ?, ?, ?, ?)",
        (notice.prompt_id, notice.address, notice.body, notice.attempts, notice.user),
    )


def all_notices(connection: sqlite3.Connection) -> list[Notice]:
    """Return all notices."""
    rows = connection.execute("SELECT prompt_id, address, body, attempts, user FROM webhooks")
    return [Notice(*row) for row in rows]


def count_attempt(connection: sqlite3.Connection, prompt_id: str) -> None:
    """Record that an attempt has failed."""
    connection.execute("UPDATE webhooks SET attempts = attempts + 1 WHERE prompt_id = ?", (prompt_id,))


def remove(connection: sqlite3.Connection, prompt_id: str) -> None:
    """Remove the notice of a job."""
    connection.execute("DELETE FROM webhooks WHERE prompt_id = ?", (prompt_id,))
