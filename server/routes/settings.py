"""Editors' settings."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.http.endpoint import ANYTHING, BOOLEAN, FREE_OBJECT, STRING, Endpoints, record
from server.routes.request_data import read_json, read_object
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("settings")


@endpoints.get("/settings", answer=FREE_OBJECT)
async def settings(request: web.Request) -> web.StreamResponse:
    """All settings."""
    return web.json_response(await services(request).settings.all(), dumps=compact_json)


@endpoints.post("/settings", body=FREE_OBJECT, errors=(400, 413, 507))
async def merge(request: web.Request) -> web.StreamResponse:
    """Set several; the others stay."""
    await services(request).settings.merge(await read_object(request))
    return web.Response()


@endpoints.get("/settings/{name}", answer=ANYTHING)
async def one(request: web.Request) -> web.StreamResponse:
    """One setting; null if it is not set."""
    found = await services(request).settings.all()
    return web.json_response(found.get(request.match_info["name"]), dumps=compact_json)


@endpoints.post("/settings/{name}", body=ANYTHING, errors=(400, 413, 507))
async def set_one(request: web.Request) -> web.StreamResponse:
    """Set one."""
    await services(request).settings.merge({request.match_info["name"]: await read_json(request)})
    return web.Response()


@endpoints.get("/users", answer=record({"storage": STRING, "migrated": BOOLEAN}))
async def users(request: web.Request) -> web.StreamResponse:
    """Where editors keep their data: here, for one user."""
    return web.json_response({"storage": "server", "migrated": services(request).config.user_data.is_dir()})
