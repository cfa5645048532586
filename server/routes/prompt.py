"""Routes that accept prompts."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.http.endpoint import (
    ANYTHING,
    BOOLEAN,
    FREE_OBJECT,
    INTEGER,
    NUMBER,
    STRING,
    Endpoints,
    array,
    mapping,
    record,
)
from server.http.request_error import RequestError
from server.routes.request_data import read_json
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("prompt")

AXIS: Final = record({"node": STRING, "input": STRING, "values": array(ANYTHING), "labels": array(STRING)})
WORKFLOW: Final = mapping(record({"class_type": STRING, "inputs": mapping(ANYTHING)}, _meta=FREE_OBJECT))


@endpoints.post(
    "/prompt",
    body=record(
        {"prompt": WORKFLOW},
        client_id=STRING,
        prompt_id=STRING,
        extra_data=FREE_OBJECT,
        front=BOOLEAN,
        number=NUMBER,
        partial_execution_targets=array(STRING),
    ),
    answer=record({"prompt_id": STRING, "number": NUMBER, "node_errors": FREE_OBJECT}),
    errors=(400, 413, 429, 507),
)
async def submit(request: web.Request) -> web.StreamResponse:
    """Queue a workflow, in API format or as an editor saves it. Answers once the job is stored.

    An editor's workflow is converted. A known prompt_id queues nothing again.
    """
    here = services(request)
    try:
        body = await read_json(request)
    except RequestError as error:
        if error.status != 400:
            raise
        answer = {
            "type": "invalid_prompt",
            "message": error.message,
            "details": error.details,
            "extra_info": {},
        }
        return web.json_response({"error": answer, "node_errors": {}}, status=400, dumps=compact_json)
    status, answered = await here.prompts.submit(body, here.user)
    headers = {"Retry-After": "1"} if status == 429 else None
    return web.json_response(answered, status=status, headers=headers, dumps=compact_json)


@endpoints.post(
    "/sweep/plan",
    body=record({"prompt": WORKFLOW, "extra_data": FREE_OBJECT}, partial_execution_targets=array(STRING)),
    answer=record(
        {
            "sweep": array(AXIS),
            "combinations": INTEGER,
            "pictures": INTEGER,
            "limit": INTEGER,
            "runs": mapping(INTEGER),
        }
    ),
    errors=(400, 413),
)
async def plan_sweep(request: web.Request) -> web.StreamResponse:
    """Say what `/prompt` would do with this sweep: every value, the number of pictures, and how often each node runs.

    Queues nothing.
    """
    status, answered = await services(request).prompts.plan_sweep(await read_json(request))
    return web.json_response(answered, status=status, dumps=compact_json)


@endpoints.get("/prompt", answer=record({"exec_info": record({"queue_remaining": INTEGER})}))
async def remaining(request: web.Request) -> web.StreamResponse:
    """Return how many prompts wait or run."""
    here = services(request)
    return web.json_response({"exec_info": {"queue_remaining": here.store.queue_remaining(here.user)}})
