"""Jobs of all states as a list, read page by page: what ComfyUI's later front ends show of queue and history."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

STATUSES: Final[Mapping[str, str]] = {
    "pending": "pending",
    "in_progress": "running",
    "completed": "success",
    "failed": "error",
    "cancelled": "interrupted",
}
"""What that list calls each status, and what it is everywhere else."""

_NAMES: Final = {ours: theirs for theirs, ours in STATUSES.items()}


def page(
    connection: sqlite3.Connection, statuses: Sequence[str], limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """The jobs of these statuses (ours), newest first, and how many there are in all. Times are milliseconds."""
    of_these = f"FROM jobs WHERE status IN ({','.join('?' * len(statuses))})"
    (total,) = connection.execute(f"SELECT count(*) {of_these}", statuses).fetchone()
    rows = connection.execute(
        f"SELECT prompt_id, number, status, created, started, ended, outputs, error {of_these} "
        "ORDER BY created DESC, place DESC LIMIT ? OFFSET ?",
        (*statuses, limit, offset),
    )
    return [_entry(*row) for row in rows], total


def _entry(
    prompt_id: str,
    number: float,
    status: str,
    created: float,
    started: float | None,
    ended: float | None,
    outputs: str,
    error: str,
) -> dict[str, Any]:
    files = list(_files(json.loads(outputs)))
    kept = [file for file in files if file.get("type") == "output"]
    return {
        "id": prompt_id,
        "status": _NAMES[status],
        "priority": number,
        "create_time": int(created * 1000),
        "execution_start_time": None if started is None else int(started * 1000),
        "execution_end_time": None if ended is None else int(ended * 1000),
        "outputs_count": len(files),
        "preview_output": next(iter(kept or files), None),
        "execution_error": json.loads(error),
        "workflow_id": None,
    }


def _files(outputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for node_id, output in outputs.items():
        for kind, items in output.items() if isinstance(output, dict) else ():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and isinstance(item.get("filename"), str):
                    yield {**item, "nodeId": node_id, "mediaType": kind}
