"""Jobs of all states as a list, read page by page: what ComfyUI's later front ends show of queue and history."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.store.jobs import Job, whole

STATUSES: Final[Mapping[str, str]] = {
    "pending": "pending",
    "in_progress": "running",
    "completed": "success",
    "failed": "error",
    "cancelled": "interrupted",
}
"""The status names of the list → those used elsewhere."""

ORDERS: Final[Mapping[str, str]] = {"created_at": "created", "execution_duration": "coalesce(ended - started, 0)"}
"""Sort keys of the list."""

_NAMES: Final = {ours: theirs for theirs, ours in STATUSES.items()}
_WORKFLOW: Final = "json_extract(extra_data, '$.extra_pnginfo.workflow.id')"


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Jobs of these statuses (ours) and, unless None, of this workflow; ``order`` is one of :data:`ORDERS`."""

    statuses: Sequence[str]
    workflow_id: str | None = None
    order: str = "created_at"
    ascending: bool = False


def page(connection: sqlite3.Connection, jobs: JobFilter, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Some of these jobs, and how many there are in all. Times are milliseconds."""
    of_these = f"FROM jobs WHERE status IN ({','.join('?' * len(jobs.statuses))})"
    values: tuple[Any, ...] = tuple(jobs.statuses)
    if jobs.workflow_id is not None:
        of_these += f" AND {_WORKFLOW} = ?"
        values += (jobs.workflow_id,)
    (total,) = connection.execute(f"SELECT count(*) {of_these}", values).fetchone()
    way = "ASC" if jobs.ascending else "DESC"
    rows = connection.execute(
        f"SELECT prompt_id, number, status, created, started, ended, outputs, error, {_WORKFLOW} {of_these} "
        f"ORDER BY {ORDERS[jobs.order]} {way}, place {way} LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    return [
        entry(*row[:6], outputs=json.loads(row[6]), error=json.loads(row[7]), workflow_id=row[8]) for row in rows
    ], total


def entry(
    prompt_id: str,
    number: float,
    status: str,
    created: float,
    started: float | None,
    ended: float | None,
    *,
    outputs: Mapping[str, Any],
    error: Any,
    workflow_id: str | None,
) -> dict[str, Any]:
    """One job, in the words of that list."""
    files = list(_files(outputs))
    kept = [file for file in files if file.get("type") == "output"]
    return {
        "id": prompt_id,
        "status": _NAMES[status],
        "priority": whole(number),
        "create_time": int(created * 1000),
        "execution_start_time": None if started is None else int(started * 1000),
        "execution_end_time": None if ended is None else int(ended * 1000),
        "outputs_count": len(files),
        "preview_output": next(iter(kept or files), None),
        "files": kept,  # Sumi's own: what a gallery shows, without the prompts that a history brings along
        "execution_error": error,
        "workflow_id": workflow_id,
    }


def entry_of(job: Job) -> dict[str, Any]:
    """The same of a job that was read."""
    extra = job.extra_data.get("extra_pnginfo")
    workflow = extra.get("workflow") if isinstance(extra, dict) else None
    return entry(
        *(job.prompt_id, job.number, job.status, job.created, job.started, job.ended),
        outputs=job.outputs,
        error=job.error,
        workflow_id=workflow.get("id") if isinstance(workflow, dict) else None,
    )


def _files(outputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for node_id, output in outputs.items():
        for kind, items in output.items() if isinstance(output, dict) else ():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and isinstance(item.get("filename"), str):
                    yield {**item, "nodeId": node_id, "mediaType": kind}
