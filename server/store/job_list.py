"""Lists jobs in all states, page by page, in the form that newer front ends of ComfyUI use for queue and history."""

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
"""The status names in this list → the names used elsewhere."""

ORDERS: Final[Mapping[str, str]] = {"created_at": "created", "execution_duration": "coalesce(ended - started, 0)"}
"""Sort keys of the list."""

_NAMES: Final = {ours: theirs for theirs, ours in STATUSES.items()}
_WORKFLOW: Final = "json_extract(extra_data, '$.extra_pnginfo.workflow.id')"

_HAS_WORD: Final = """(
    EXISTS (
        SELECT 1 FROM json_tree(prompt) AS part
        WHERE part.type = 'text' AND part.path LIKE '%.inputs%' AND part.value LIKE ? ESCAPE '!'
    )
    OR EXISTS (
        SELECT 1 FROM json_tree(outputs) AS part WHERE part.key = 'filename' AND part.value LIKE ? ESCAPE '!'
    )
)"""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Selects jobs by status (Sumi's names) and workflow (None: any), in one of the :data:`ORDERS`.

    ``words``: each is in a text of the prompt's inputs, or in a file's name. ``since`` and ``until`` limit the time of
    creation, in milliseconds: ``since`` ≤ time < ``until``. ``user``: whose jobs; None means everyone's.
    """

    statuses: Sequence[str]
    workflow_id: str | None = None
    order: str = "created_at"
    ascending: bool = False
    words: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    user: str | None = None


def page(connection: sqlite3.Connection, jobs: JobFilter, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Return a page of these jobs, and their total number. Times are in milliseconds."""
    of_these = f"FROM jobs WHERE status IN ({','.join('?' * len(jobs.statuses))})"
    values: tuple[Any, ...] = tuple(jobs.statuses)
    if jobs.user is not None:
        of_these += " AND user = ?"
        values += (jobs.user,)
    if jobs.workflow_id is not None:
        of_these += f" AND {_WORKFLOW} = ?"
        values += (jobs.workflow_id,)
    for word in jobs.words:
        of_these += f" AND {_HAS_WORD}"
        values += (_like(word), _like(word))
    for compared, limited in ((">=", jobs.since), ("<", jobs.until)):
        if limited is not None:
            of_these += f" AND created * 1000 {compared} ?"
            values += (limited,)
    (total,) = connection.execute(f"SELECT count(*) {of_these}", values).fetchone()
    way = "ASC" if jobs.ascending else "DESC"
    rows = connection.execute(
        f"SELECT prompt_id, number, status, created, started, ended, outputs, error, {_WORKFLOW}, user {of_these} "
        f"ORDER BY {ORDERS[jobs.order]} {way}, place {way} LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    return [
        entry(*row[:6], outputs=json.loads(row[6]), error=json.loads(row[7]), workflow_id=row[8], user=row[9])
        for row in rows
    ], total


def _like(word: str) -> str:
    """Return a LIKE pattern for texts that contain the word."""
    return f"%{''.join(f'!{letter}' if letter in '!%_' else letter for letter in word)}%"


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
    user: str | None,
) -> dict[str, Any]:
    """Return one job in the form of the list."""
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
        "files": kept,  # Sumi's addition for galleries, which then need not load the history with its prompts
        "execution_error": error,
        "workflow_id": workflow_id,
        **({} if user is None else {"user": user}),
    }


def entry_of(job: Job) -> dict[str, Any]:
    """Return a job that was read from the store in the form of the list."""
    extra = job.extra_data.get("extra_pnginfo")
    workflow = extra.get("workflow") if isinstance(extra, dict) else None
    return entry(
        *(job.prompt_id, job.number, job.status, job.created, job.started, job.ended),
        outputs=job.outputs,
        error=job.error,
        workflow_id=workflow.get("id") if isinstance(workflow, dict) else None,
        user=job.user,
    )


def _files(outputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for node_id, output in outputs.items():
        for kind, items in output.items() if isinstance(output, dict) else ():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and isinstance(item.get("filename"), str):
                    yield {**item, "nodeId": node_id, "mediaType": kind}
