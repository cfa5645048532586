"""Routes for descriptions of nodes."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from server.http.endpoint import FREE_OBJECT, Endpoints, mapping
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("nodes")


@endpoints.get("/object_info", answer=mapping(FREE_OBJECT))
async def object_info(request: web.Request) -> web.StreamResponse:
    """Describe every node: its inputs in order with types, defaults, bounds and choices, and its outputs."""
    return _json(await services(request).catalogue.object_info())


@endpoints.get("/object_info/{class_type}", answer=mapping(FREE_OBJECT))
async def one(request: web.Request) -> web.StreamResponse:
    """Describe one node; {} if it does not exist."""
    return _json(await services(request).catalogue.object_info(request.match_info["class_type"]) or {})


def _json(value: Any) -> web.Response:
    return web.json_response(value, dumps=compact_json)
