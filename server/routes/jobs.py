"""One job from queue to history, for clients without a WebSocket."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from graph.results import SavedFile, with_changed_files
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
from server.routes.request_data import query_choice, query_integer
from server.services import Services, services
from server.store.job_list import ORDERS, STATUSES, JobFilter, entry_of
from server.store.job_store import JobStore
from server.store.jobs import Job, compact_json, whole

endpoints: Final = Endpoints("jobs")

LONGEST_WAIT: Final = 3600.0
LONGEST_PAGE: Final = 1000
_LOOK_SECONDS: Final = 2.0
"""How often a long poll looks whether its client is still there."""


@endpoints.get(
    "/jobs/{prompt_id}",
    query=(Query("wait", "answer when the job has ended, at the latest after so many seconds", NUMBER),),
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
    """Status, position, progress, seconds by node, and outputs with their URLs."""
    here = services(request)
    prompt_id = request.match_info["prompt_id"]
    seconds = _wait(request)
    await _ended(request, here.store, prompt_id, seconds)
    found = await here.store.get(prompt_id)
    if found is None:
        raise RequestError(404, "not_found", f"there is no job {prompt_id[:100]!r}")
    return web.json_response(_described(found, here), dumps=compact_json)


@endpoints.get(
    "/jobs",
    query=(
        Query("status", "of these only: pending, in_progress, completed, failed, cancelled, with commas"),
        Query("workflow_id", "of this workflow only: the id that its editor gave it"),
        Query("sort_by", f"{' or '.join(ORDERS)}"),
        Query("sort_order", "desc or asc"),
        Query("limit", f"at most so many, up to {LONGEST_PAGE}", INTEGER),
        Query("offset", "leave out so many of the first", INTEGER),
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
    """Jobs of all states, in the words of ComfyUI's front end; the newest first, unless another order is asked for."""
    words = [word.strip() for word in request.query.get("status", "").split(",") if word.strip()]
    if unknown := [word for word in words if word not in STATUSES]:
        raise RequestError(
            400, "invalid_query", f"unknown status {unknown[0][:40]!r}", f"expected {', '.join(STATUSES)}"
        )
    limit = min(LONGEST_PAGE, query_integer(request, "limit") or LONGEST_PAGE)
    offset = min(2**62, query_integer(request, "offset") or 0)
    wanted = JobFilter(
        [STATUSES[word] for word in dict.fromkeys(words or STATUSES)],
        request.query.get("workflow_id") or None,
        query_choice(request, "sort_by", tuple(ORDERS), "created_at"),
        query_choice(request, "sort_order", ("desc", "asc"), "desc") == "asc",
    )
    found, total = await services(request).store.page(wanted, limit, offset)
    pagination = {"offset": offset, "limit": limit, "total": total, "has_more": offset + len(found) < total}
    return web.json_response({"jobs": found, "pagination": pagination}, dumps=compact_json)


async def _ended(request: web.Request, store: JobStore, prompt_id: str, seconds: float) -> None:
    """Wait for the end of the job, of the time, or of the client's patience, whose place others may want."""
    loop = asyncio.get_running_loop()
    late = loop.time() + seconds
    while store.is_queued(prompt_id) and (left := late - loop.time()) > 0 and request.transport is not None:
        await store.wait_ended(prompt_id, min(left, _LOOK_SECONDS))


def _wait(request: web.Request) -> float:
    try:
        seconds = float(request.query.get("wait") or 0)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_WAIT:
        raise RequestError(400, "invalid_query", f"wait must be seconds, from 0 to {LONGEST_WAIT:g}")
    return seconds


def _described(job: Job, here: Services) -> dict[str, Any]:
    running = here.scheduler.running.get(job.prompt_id) if job.status == "running" else None
    now = running.job if running is not None else job  # what the database knows of it is how it began
    progress = running.progress if running is not None else float(job.status == "success")
    return {
        **entry_of(now),
        **({"workflow": {"prompt": job.prompt, "extra_data": job.extra_data}} if job.ended_already else {}),
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
        "outputs": {node_id: _with_urls(output) for node_id, output in now.outputs.items()},
        "node_errors": job.node_errors,
        "error": job.error,
    }


def _with_urls(output: Any) -> Any:
    """Return ``output`` with the URL of each file in it."""
    if not isinstance(output, dict):
        return output
    return with_changed_files(output, _with_url)


def _with_url(entry: Mapping[str, Any], file: SavedFile) -> Mapping[str, Any]:
    return {**entry, "url": f"/view?{urlencode(file.as_ui(), errors='replace')}"}
