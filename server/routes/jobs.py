"""Routes for jobs, queued or ended, for clients without a WebSocket."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from server.files.saved_files import existing_files, with_addresses
from server.http.endpoint import (
    BOOLEAN,
    FREE_OBJECT,
    INTEGER,
    NUMBER,
    STRING,
    Endpoints,
    Query,
    array,
    mapping,
    record,
)
from server.http.request_error import RequestError
from server.interfaces.runs import find_job, wait_until_ended
from server.routes.request_data import query_choice, query_flag, query_integer, query_wait
from server.services import Services, services
from server.store.job_list import ORDERS, STATUSES, JobFilter, entry_of
from server.store.jobs import Job, compact_json, whole

endpoints: Final = Endpoints("jobs")

LONGEST_PAGE: Final = 1000
_MOST_WORDS: Final = 20
"""Words of a search; the others are ignored."""


@endpoints.get(
    "/jobs/{prompt_id}",
    query=(Query("wait", "answer when the job has ended, or after this many seconds", NUMBER),),
    answer=record(
        {"prompt_id": STRING, "status": {"enum": ["pending", "running", "success", "error", "interrupted"]}},
        position=INTEGER,
        progress={"type": "number", "minimum": 0, "maximum": 1},
        timings=mapping(NUMBER),
        outputs=mapping(FREE_OBJECT),
    ),
    errors=(400, 404, 429),
    kind="long poll",
)
async def job(request: web.Request) -> web.StreamResponse:
    """Return a job's status, position, progress, seconds by node, and outputs with their URLs."""
    here = services(request)
    prompt_id = request.match_info["prompt_id"]
    await wait_until_ended(here, prompt_id, request, query_wait(request))
    found = await find_job(here, prompt_id)
    return web.json_response(_described(found, here), dumps=compact_json)


@endpoints.get(
    "/jobs",
    query=(
        Query(
            "status",
            "only jobs with these statuses, separated by commas: pending, in_progress, completed, failed, cancelled",
        ),
        Query("workflow_id", "only jobs of this workflow: the id that the editor gave it"),
        Query("search", "only jobs with these words in the texts of their inputs or in the names of their files"),
        Query("user", "only jobs of this user, for the operator"),
        Query("since", "only jobs created at this time or later, in milliseconds", INTEGER),
        Query("until", "only jobs created before this time, in milliseconds", INTEGER),
        Query("existing", "leave files that no longer exist out of files", BOOLEAN),
        Query("sort_by", f"{' or '.join(ORDERS)}"),
        Query("sort_order", "desc or asc"),
        Query("limit", f"return at most this many, up to {LONGEST_PAGE}", INTEGER),
        Query("offset", "leave out this many at the start", INTEGER),
    ),
    answer=record(
        {
            "jobs": array(record({"id": STRING, "status": {"enum": list(STATUSES)}, "create_time": INTEGER})),
            "pagination": record({"offset": INTEGER, "limit": INTEGER, "total": INTEGER, "has_more": BOOLEAN}),
        }
    ),
    errors=(400,),
)
async def job_list(request: web.Request) -> web.StreamResponse:
    """List jobs in all states, in the form of ComfyUI's front end, newest first unless another order is requested."""
    words = [word.strip() for word in request.query.get("status", "").split(",") if word.strip()]
    if unknown := [word for word in words if word not in STATUSES]:
        raise RequestError(
            400, "invalid_query", f"unknown status {unknown[0][:40]!r}", f"expected {', '.join(STATUSES)}"
        )
    limit = min(LONGEST_PAGE, query_integer(request, "limit") or LONGEST_PAGE)
    offset = min(2**62, query_integer(request, "offset") or 0)
    here = services(request)
    wanted = JobFilter(
        [STATUSES[word] for word in dict.fromkeys(words or STATUSES)],
        request.query.get("workflow_id") or None,
        query_choice(request, "sort_by", tuple(ORDERS), "created_at"),
        query_choice(request, "sort_order", ("desc", "asc"), "desc") == "asc",
        tuple(request.query.get("search", "").split()[:_MOST_WORDS]),
        query_integer(request, "since"),
        query_integer(request, "until"),
        request.query.get("user") or None if here.user is None else here.user,
    )
    found, total = await here.store.page(wanted, limit, offset)
    if query_flag(request, "existing"):
        found = await asyncio.to_thread(_with_existing_files, here, found)
    pagination = {"offset": offset, "limit": limit, "total": total, "has_more": offset + len(found) < total}
    return web.json_response({"jobs": found, "pagination": pagination}, dumps=compact_json)


def _with_existing_files(here: Services, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**job, "files": existing_files(here.config.folders, job["files"])} for job in jobs]


def _described(job: Job, here: Services) -> dict[str, Any]:
    running = here.scheduler.running.get(job.prompt_id) if job.status == "running" else None
    now = running.job if running is not None else job  # the database knows only how the job started
    progress = running.progress if running is not None else float(job.status == "success")
    return {
        **entry_of(now),
        **({"workflow": {"prompt": job.prompt, "extra_data": job.extra_data}} if job.has_ended else {}),
        "prompt_id": job.prompt_id,
        "status": job.status,
        "number": whole(job.number),
        "client_id": job.client_id,
        "position": here.store.position(job.prompt_id),
        "progress": progress,
        "node": running.node if running is not None else None,
        "attempts": now.attempts,
        "created": job.created,
        "started": now.started,
        "ended": job.ended,
        "timings": now.timings,
        "cached": now.cached,
        "outputs": {node_id: with_addresses(output) for node_id, output in now.outputs.items()},
        "node_errors": job.node_errors,
        "error": job.error,
    }
