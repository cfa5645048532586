"""Serves Sumi's example workflows in the form of ComfyUI's templates."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from aiohttp import hdrs, web

from server.files.saved_apps import EXAMPLES
from server.http.endpoint import FREE_OBJECT, STRING, Endpoints, array, record
from server.http.request_error import RequestError
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("templates")

_PICTURE: Final = "webp"
_TEMPLATE: Final = record({"name": STRING, "title": STRING, "mediaType": STRING, "mediaSubtype": STRING})
_INDEX: Final = array(record({"moduleName": STRING, "title": STRING, "templates": array(_TEMPLATE)}))


@endpoints.get("/templates/index.json", answer=_INDEX)
async def index(request: web.Request) -> web.StreamResponse:
    """List the example workflows as templates."""
    return web.json_response(await asyncio.to_thread(_index), dumps=compact_json)


@endpoints.get("/templates/index.{locale}.json", answer=_INDEX)
async def localized_index(request: web.Request) -> web.StreamResponse:
    """List the example workflows as templates; their titles are in English in every locale."""
    return web.json_response(await asyncio.to_thread(_index), dumps=compact_json)


@endpoints.get("/templates/{name}.json", answer=FREE_OBJECT, errors=(404,))
async def template(request: web.Request) -> web.StreamResponse:
    """Send an example workflow as an editor saves it."""
    return _file(request.match_info["name"], ".json", "application/json")


@endpoints.get("/templates/{name}-1.webp", answer={"type": "string", "format": "binary"}, answer_type="image/webp")
async def picture(request: web.Request) -> web.StreamResponse:
    """Send the picture that an example workflow makes."""
    return _file(request.match_info["name"], f".{_PICTURE}", f"image/{_PICTURE}")


@endpoints.get("/user.css", answer=STRING, answer_type="text/css")
async def user_style(request: web.Request) -> web.StreamResponse:
    """Send the style sheet in the user folder; an empty one if there is none."""
    path = services(request).user_data / "user.css"
    style = await asyncio.to_thread(_text, path)
    return web.Response(text=style, content_type="text/css", headers={hdrs.CACHE_CONTROL: "no-cache"})


def _index() -> list[dict[str, Any]]:
    templates = [
        {
            "name": name,
            "title": name.replace("_", " ").capitalize(),
            "description": "",
            "mediaType": "image",
            "mediaSubtype": _PICTURE,
        }
        for name in _names()
    ]
    return [{"moduleName": "default", "title": "Sumi", "type": "image", "templates": templates}]


def _names() -> list[str]:
    return sorted(path.stem for path in EXAMPLES.glob("*.json") if path.with_suffix(f".{_PICTURE}").is_file())


def _file(name: str, ending: str, content_type: str) -> web.StreamResponse:
    if name not in _names():
        raise RequestError(404, "not_found", f"there is no template {name[:100]!r}")
    headers = {hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-cache"}
    return web.FileResponse(EXAMPLES / f"{name}{ending}", headers=headers)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
