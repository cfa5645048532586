"""Serves the editor's files and the data that ComfyUI's front end requests at its start."""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from graph.errors import InputFileError
from server.files.client_files import path_inside
from server.http.address_methods import EVERYTHING, address_methods
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
"""Content types of the editor's files. The system's table may be wrong, and with nosniff that breaks the page."""
_IMMUTABLE: Final = "public, max-age=31536000, immutable"

_APP_PAGE: Final = "app.html"
_BASE: Final = '<base href="./" />'
_NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sumi</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 4em auto; padding: 0 1em }}</style>
<h1>Sumi is running</h1>
<p>No editor was found at <code>{place}</code>.</p>
<ul>
<li>To build Sumi's editor, run <code>python install.py</code> or <code>make web</code>, then reload this page.</li>
<li>To use another editor, start the server with <code>--front-end-root DIR</code>.</li>
<li>To use the server without an editor, see its routes in <a href="openapi.json">openapi.json</a>.</li>
</ul>
</html>
"""


@endpoints.get("/i18n", answer=FREE_OBJECT)
async def translations(request: web.Request) -> web.StreamResponse:
    """Send the translations from node packs: none."""
    return web.json_response({})


@endpoints.get("/workflow_templates", answer=FREE_OBJECT)
async def workflow_templates(request: web.Request) -> web.StreamResponse:
    """Send the workflows from node packs: none."""
    return web.json_response({})


@endpoints.get("/global_subgraphs", answer=FREE_OBJECT)
async def global_subgraphs(request: web.Request) -> web.StreamResponse:
    """Send the subgraphs from node packs: none."""
    return web.json_response({})


@endpoints.get("/app", answer=STRING, answer_type="text/html", errors=(404,))
async def app_list(request: web.Request) -> web.StreamResponse:
    """Send the page with the list of apps."""
    return await _app_page(request)


@endpoints.get("/app/{name:.*}", answer=STRING, answer_type="text/html", errors=(404,))
async def app_page(request: web.Request) -> web.StreamResponse:
    """Send the page of a saved workflow as an app; it loads the form and no canvas."""
    return await _app_page(request)


@endpoints.get(EVERYTHING, answer=STRING, answer_type="*/*", errors=(400, 404, 405))
async def editor_file(request: web.Request) -> web.StreamResponse:
    """Send a file of the editor, or a page with instructions if there is no editor."""
    root = services(request).config.front_end_root or BUILT_EDITOR
    name = request.match_info["file"]
    path = await asyncio.to_thread(_found, root, name)
    if path is not None:
        kind = _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        caching = _IMMUTABLE if name.startswith("assets/") and not name.endswith(".html") else "no-cache"
        return web.FileResponse(path, headers={hdrs.CONTENT_TYPE: kind, hdrs.CACHE_CONTROL: caching})
    if name:
        methods = await address_methods(request)
        if methods:
            raise web.HTTPMethodNotAllowed(request.method, methods)
        raise RequestError(404, "not_found", "this address does not exist")
    return web.Response(text=_NOT_BUILT.format(place=_escaped(str(root))), content_type="text/html")


async def _app_page(request: web.Request) -> web.Response:
    root = services(request).config.front_end_root or BUILT_EDITOR
    path = await asyncio.to_thread(_found, root, _APP_PAGE)
    if path is None:
        raise RequestError(404, "not_found", "this editor has no page for apps", "run make web")
    text = await asyncio.to_thread(path.read_text, "utf-8")
    # The page's addresses are relative, so that a proxy may put the server below any path.
    _, _, name = request.rel_url.raw_path.partition("/app")
    up = "../" * name.count("/")
    text = text.replace(_BASE, f'<base href="{up or "./"}" />', 1)
    return web.Response(text=text, content_type="text/html", headers={hdrs.CACHE_CONTROL: "no-cache"})


def _found(root: Path, name: str) -> Path | None:
    """Return the file with that name; for a folder its index.html."""
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
