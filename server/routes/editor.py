"""The editor's own files, and what ComfyUI's front end asks for at its start."""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from graph.errors import InputFileError
from server.files.client_files import path_inside
from server.http.endpoint import FREE_OBJECT, STRING, Endpoints
from server.http.request_error import RequestError
from server.services import services

endpoints: Final = Endpoints("editor")

BUILT_EDITOR: Final = Path(__file__).parents[2] / "web" / "dist"

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
"""Said here because a system's own table may say otherwise, and with nosniff a wrong type is a dead page."""
_FOR_EVER: Final = "public, max-age=31536000, immutable"

_NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sumi</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 4em auto; padding: 0 1em }}</style>
<h1>Sumi is running</h1>
<p>There is no editor at <code>{place}</code>.</p>
<ul>
<li>To build Sumi's: <code>make web</code> (needs Node.js), then load this page again.</li>
<li>To use another, start the server with <code>--front-end-root DIR</code>.</li>
<li>To do without: the interface is described in <a href="openapi.json">openapi.json</a>.</li>
</ul>
</html>
"""


@endpoints.get("/i18n", answer=FREE_OBJECT)
async def translations(request: web.Request) -> web.StreamResponse:
    """Translations that node packs bring: none."""
    return web.json_response({})


@endpoints.get("/workflow_templates", answer=FREE_OBJECT)
async def workflow_templates(request: web.Request) -> web.StreamResponse:
    """Workflows that node packs bring: none."""
    return web.json_response({})


@endpoints.get("/global_subgraphs", answer=FREE_OBJECT)
async def global_subgraphs(request: web.Request) -> web.StreamResponse:
    """Subgraphs that node packs bring: none."""
    return web.json_response({})


@endpoints.get("/{file:.*}", answer=STRING, answer_type="*/*", errors=(400, 404))
async def editor_file(request: web.Request) -> web.StreamResponse:
    """The editor; without one, a page that says what to do."""
    root = services(request).config.front_end_root or BUILT_EDITOR
    name = request.match_info["file"]
    path = await asyncio.to_thread(_found, root, name)
    if path is not None:
        kind = _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        caching = _FOR_EVER if name.startswith("assets/") and not name.endswith(".html") else "no-cache"
        return web.FileResponse(path, headers={hdrs.CONTENT_TYPE: kind, hdrs.CACHE_CONTROL: caching})
    if name:
        raise RequestError(404, "not_found", "there is nothing at this address")
    return web.Response(text=_NOT_BUILT.format(place=_escaped(str(root))), content_type="text/html")


def _found(root: Path, name: str) -> Path | None:
    """The file that ``name`` means; of a folder its index.html."""
    try:
        path = path_inside(root, name.rstrip("/"), "editor")
    except InputFileError:
        return None
    for candidate in (path, path / "index.html"):
        if candidate.is_file():
            return candidate
    return None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
