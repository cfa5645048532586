"""Routes for the queue, and for stopping and freeing the workers."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.http.endpoint import ANYTHING, BOOLEAN, STRING, Endpoints, array, record
from server.http.request_error import RequestError
from server.routes.request_data import flag, identifiers, lenient_flag, read_object
from server.services import require_operator, services

endpoints: Final = Endpoints("queue")

ITEM: Final = {
    "type": "array",
    "items": ANYTHING,
    "description": "[number, prompt_id, prompt, extra_data, output ids]",
}


@endpoints.get(
    "/queue",
    answer=record({"queue_running": array(ITEM), "queue_pending": array(ITEM), "paused": BOOLEAN}, may_pause=BOOLEAN),
)
async def queue(request: web.Request) -> web.StreamResponse:
    """List running and waiting jobs in order, and whether the queue is paused; `may_pause` is false for users."""
    here = services(request)
    return web.json_response(text=here.store.queue_json(here.user))


@endpoints.post(
    "/queue",
    body=record(
        clear=BOOLEAN,
        delete=array(STRING),
        pause=BOOLEAN,
        retry=array(STRING),
        move=record({"prompt_id": STRING}, before={"type": ["string", "null"]}),
    ),
    answer=record(deleted=array(STRING), retried=array(STRING), paused=BOOLEAN),
    errors=(400, 404, 413, 507),
)
async def change_queue(request: web.Request) -> web.StreamResponse:
    """Clear or delete waiting prompts, pause or resume, move one prompt before another, retry failed ones."""
    here = services(request)
    store, user = here.store, here.user
    body = await read_object(request)
    clear, pause = flag(body, "clear"), flag(body, "pause")
    delete, retry, move = identifiers(body, "delete"), identifiers(body, "retry"), _move(body)
    if pause is not None:
        require_operator(here, "pausing the queue")
    removed = await store.clear_pending(user) if clear else []
    if delete is not None:
        removed += await store.delete_pending(delete, user)
    if move is not None and not await store.move(*move, user):
        details = "both must have the same user" if here.config.has_users else ""
        raise RequestError(404, "not_waiting", "both prompts of a move must be waiting in the queue", details)
    retried = await store.retry(retry, user) if retry is not None else []
    if pause is not None:
        await store.set_paused(pause)
    return web.json_response({"deleted": removed, "retried": retried, "paused": store.paused})


@endpoints.post("/interrupt", body=record(prompt_id=STRING), body_required=False, errors=(400, 413, 507))
async def interrupt(request: web.Request) -> web.StreamResponse:
    """Stop all running prompts, or one prompt that runs or waits."""
    body = await read_object(request, optional=True)
    prompt_id = body.get("prompt_id")
    if prompt_id is not None and not isinstance(prompt_id, str):
        raise RequestError(400, "invalid_body", "prompt_id must be text")
    here = services(request)
    await here.scheduler.interrupt(prompt_id or None, here.user)
    return web.Response()


@endpoints.post(
    "/free", body=record(unload_models=BOOLEAN, free_memory=BOOLEAN), body_required=False, errors=(400, 413)
)
async def free(request: web.Request) -> web.StreamResponse:
    """Free models, or results kept in memory."""
    body = await read_object(request, optional=True)
    unload_models, free_memory = lenient_flag(body, "unload_models"), lenient_flag(body, "free_memory")
    await services(request).scheduler.free(unload_models, free_memory)
    return web.Response()


def _move(body: dict[str, object]) -> tuple[str, str | None] | None:
    move = body.get("move")
    if move is None:
        return None
    if isinstance(move, dict):
        prompt_id, before = move.get("prompt_id"), move.get("before")
        if isinstance(prompt_id, str) and (before is None or isinstance(before, str)):
            return prompt_id, before
    raise RequestError(
        400, "invalid_body", "move must be an object", '{"prompt_id": id, "before": id or null for last}'
    )
