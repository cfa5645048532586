"""Routes for ended jobs."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.http.endpoint import (
    ANYTHING,
    BOOLEAN,
    FREE_OBJECT,
    INTEGER,
    STRING,
    Endpoints,
    Query,
    array,
    mapping,
    record,
)
from server.routes.request_data import flag, identifiers, query_integer, read_object
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("history")

ENTRY: Final = record(
    {
        "prompt": array(ANYTHING),
        "outputs": mapping(FREE_OBJECT),
        "status": record({"status_str": STRING, "completed": BOOLEAN, "messages": array(ANYTHING)}),
        "meta": mapping(FREE_OBJECT),
    }
)


@endpoints.get(
    "/history",
    query=(
        Query("max_items", "return at most this many: the newest, or with offset the ones from there on", INTEGER),
        Query("offset", "leave out this many of the oldest", INTEGER),
    ),
    answer=mapping(ENTRY),
    errors=(400,),
)
async def history(request: web.Request) -> web.StreamResponse:
    """List the ended prompts, oldest first."""
    here = services(request)
    text = await here.store.history_json(
        query_integer(request, "max_items"), query_integer(request, "offset"), here.user
    )
    return web.json_response(text=text)


@endpoints.get("/history/{prompt_id}", answer=mapping(ENTRY))
async def entry(request: web.Request) -> web.StreamResponse:
    """Return one ended prompt; {} if it has not ended or does not exist."""
    prompt_id = request.match_info["prompt_id"]
    here = services(request)
    job = await here.store.get(prompt_id, here.user)
    found = {prompt_id: job.history_entry()} if job is not None and job.has_ended else {}
    return web.json_response(found, dumps=compact_json)


@endpoints.post("/history", body=record(clear=BOOLEAN, delete=array(STRING)), errors=(400, 413, 507))
async def forget(request: web.Request) -> web.StreamResponse:
    """Delete all or some ended prompts from the history. Pictures stay."""
    here = services(request)
    body = await read_object(request)
    clear, delete = flag(body, "clear"), identifiers(body, "delete")
    if clear:
        await here.store.clear_history(here.user)
    if delete is not None:
        await here.store.delete_history(delete, here.user)
    return web.Response()
