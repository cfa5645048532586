"""Routes for editors' settings."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.http.endpoint import ANYTHING, FREE_OBJECT, Endpoints
from server.http.identity import USER_HEADER
from server.routes.request_data import read_json, read_object
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("settings")

_NAVIGATION: Final = "Comfy.Canvas.NavigationMode"
_FRONT_END_DEFAULTS: Final = {
    "Comfy.Canvas.LeftMouseClickBehavior": "panning",
    "Comfy.Canvas.MouseWheelScroll": "zoom",
}
"""Settings without which front end 1.27 fails with an uncaught error on its first start."""


@endpoints.get("/settings", answer=FREE_OBJECT)
async def settings(request: web.Request) -> web.StreamResponse:
    """Return all settings; for a first visit of ComfyUI's front end, its own defaults of two of them."""
    found = await services(request).settings.all()
    if USER_HEADER in request.headers and _NAVIGATION not in found:
        found = {**_FRONT_END_DEFAULTS, **found}
    return web.json_response(found, dumps=compact_json)


@endpoints.post("/settings", body=FREE_OBJECT, errors=(400, 413, 507))
async def merge(request: web.Request) -> web.StreamResponse:
    """Change several settings; the others stay."""
    await services(request).settings.merge(await read_object(request))
    return web.Response()


@endpoints.get("/settings/{name}", answer=ANYTHING)
async def one(request: web.Request) -> web.StreamResponse:
    """Return one setting; null if it is not set."""
    found = await services(request).settings.all()
    return web.json_response(found.get(request.match_info["name"]), dumps=compact_json)


@endpoints.post("/settings/{name}", body=ANYTHING, errors=(400, 413, 507))
async def set_one(request: web.Request) -> web.StreamResponse:
    """Change one setting."""
    await services(request).settings.merge({request.match_info["name"]: await read_json(request)})
    return web.Response()
