"""Node packs' scripts for the editor, and their routes, which a worker answers."""

from __future__ import annotations

import asyncio
import mimetypes
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

from server.files.client_files import path_inside
from server.http.endpoint import STRING, Endpoints, Handler, array
from server.http.identity import USER_HEADER
from server.http.request_error import RequestError
from server.routes.editor import editor_file
from server.routes.request_data import whole_body
from server.services import SERVICES, services
from server.workers.interface import PackRequest
from server.workers.node_packs import scripts, web_folder

endpoints: Final = Endpoints("packs")

_START_SECONDS: Final = 60.0
"""Seconds to wait, soon after the start, for a worker that may have packs."""
_NOT_FOR_PACKS: Final = frozenset({"authorization", "cookie"})
_OURS: Final = frozenset({"content-length", "date", "server", "transfer-encoding", "connection"})


@endpoints.get("/extensions", answer=array(STRING))
async def extensions(request: web.Request) -> web.StreamResponse:
    """List the addresses of node packs' scripts for the editor."""
    catalogue = services(request).catalogue
    await catalogue.packs_known(_START_SECONDS)
    found = await asyncio.to_thread(lambda: list(scripts(catalogue.packs)))
    return web.json_response(found)


@endpoints.get("/extensions/{pack}/{file:.+}", answer=STRING, answer_type="*/*", errors=(400, 404))
async def extension_file(request: web.Request) -> web.StreamResponse:
    """Send a file that a node pack has for the editor."""
    root = web_folder(services(request).catalogue.packs, request.match_info["pack"])
    if root is not None:
        path = await asyncio.to_thread(path_inside, root, request.match_info["file"], "extension")
        if path.is_file():
            kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0]
            headers = {hdrs.CONTENT_TYPE: kind or "application/octet-stream", hdrs.CACHE_CONTROL: "no-cache"}
            return web.FileResponse(path, headers=headers)
    raise RequestError(404, "not_found", "no node pack has such a file")


@web.middleware
async def ask_packs(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pass a request that no route of the server matches to the node packs."""
    unknown = request.match_info.http_exception is not None
    if not unknown and request.match_info.handler is not editor_file:
        return await handler(request)
    try:
        return await handler(request)
    except (RequestError, web.HTTPException) as error:
        if error.status not in (404, 405) or not await _packs_have_routes(request):
            raise
        answer = await _pack_answer(request)
        if answer.status == 404:
            raise
        return answer


async def _packs_have_routes(request: web.Request) -> bool:
    """Whether packs have routes. Soon after the start, wait for packs that had routes last time and for new packs."""
    catalogue = request.app[SERVICES].catalogue
    await catalogue.packs_known(_START_SECONDS)
    return catalogue.pack_routes and await catalogue.described(_START_SECONDS)


async def _pack_answer(request: web.Request) -> web.StreamResponse:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_FOR_PACKS}
    here = services(request)
    if here.config.has_users:
        headers = {name: value for name, value in headers.items() if name.lower() != USER_HEADER.lower()}
        if here.user is not None:
            headers[USER_HEADER] = here.user
    async with whole_body(request, here.config.max_upload_size) as body:
        asked = PackRequest(request.method, request.rel_url.raw_path_qs, headers, body)
        found = await here.scheduler.questions.ask_packs(asked)
    if found is None:
        what = "no worker is ready, so it is unknown whether a node pack has this address"
        raise RequestError(503, "no_answer", what, "the log says why; try again", 1)
    kept = CIMultiDict((name, value) for name, value in found.headers if name.lower() not in _OURS)
    return web.Response(status=found.status, headers=kept, body=found.body)
