"""Sends pictures and other files that nodes have saved."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from graph.folders import split_annotation
from server.files.pictures import alpha_only, colours_only, on_picture_thread, preview
from server.files.saved_files import saved_path
from server.http.endpoint import INTEGER, STRING, Endpoints, Query
from server.http.request_error import RequestError
from server.routes.request_data import query_choice, query_integer
from server.services import Services, services

endpoints: Final = Endpoints("view")

_SHOWN: Final = frozenset(
    {
        "image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/bmp", "image/tiff",
        "application/json", "text/plain", "model/gltf-binary",
    }
)  # fmt: skip
"""Types that browsers never run as code; sound and video count, too. All other files are sent as plain bytes."""
_NOTHING_RUNS: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'; sandbox"
_PREVIEW_QUALITY: Final = 90


@endpoints.get(
    "/view",
    query=(
        Query("filename", "the file name; may end in [input], [output] or [temp]", required=True),
        Query("subfolder", "the subfolder"),
        Query("type", "the folder", {"enum": ["output", "input", "temp"]}),
        Query("preview", "send a preview in this format and quality: webp;90 or jpeg;80"),
        Query("longest", "limit the sides of a preview to this many pixels", INTEGER),
        Query("channel", "all, colours, alpha", {"enum": ["rgba", "rgb", "a"]}),
    ),
    answer=STRING,
    answer_type="*/*",
    errors=(400, 403, 404, 413),
)
async def view(request: web.Request) -> web.StreamResponse:
    """Send a file of the output, input or temp folder; of a picture also a preview or single channels."""
    here = services(request)
    path = await asyncio.to_thread(_path, request, here)
    headers = {
        hdrs.CONTENT_DISPOSITION: _disposition("inline", path.name),
        hdrs.CACHE_CONTROL: "no-cache",
        "Content-Security-Policy": _NOTHING_RUNS,
    }
    most = here.config.limits.picture_pixels
    channel = request.query.get("channel", "")
    if "preview" in request.query:
        image_format, quality = _preview(request.query["preview"], with_alpha="a" in channel)
        longest = query_integer(request, "longest")
        if longest is not None and longest < 1:
            raise RequestError(400, "invalid_query", "longest must be a number of pixels, at least 1")
        headers[hdrs.ETAG] = await asyncio.to_thread(_tag, path, request.query_string)
        if request.headers.get(hdrs.IF_NONE_MATCH) == headers[hdrs.ETAG]:
            return web.Response(status=304, headers=headers)
        work = partial(preview, path, image_format, quality, channel == "rgb", most, longest)
        return web.Response(body=await on_picture_thread(work), content_type=f"image/{image_format}", headers=headers)
    if channel == "rgb":
        work = partial(colours_only, path, most)
    elif channel == "a":
        work = partial(alpha_only, path, most)
    else:
        headers[hdrs.CONTENT_TYPE] = shown_type(path.name)
        if headers[hdrs.CONTENT_TYPE] == "application/octet-stream":
            headers[hdrs.CONTENT_DISPOSITION] = _disposition("attachment", path.name)
        return web.FileResponse(path, headers=headers)
    return web.Response(body=await on_picture_thread(work), content_type="image/png", headers=headers)


def shown_type(name: str) -> str:
    """Return the safe Content-Type for a file of that name: plain bytes for everything that a browser could run."""
    guessed, encoding = mimetypes.guess_type(name)
    if guessed is None or encoding is not None:
        return "application/octet-stream"
    kind = guessed.split("/")[0]
    return guessed if guessed in _SHOWN or kind in ("audio", "video") else "application/octet-stream"


def _path(request: web.Request, here: Services) -> Path:
    given = request.query.get("filename", "")
    folder = query_choice(request, "type", ("output", "input", "temp"), "output")
    name, folder = split_annotation(given, folder)
    if not name:
        raise RequestError(400, "invalid_query", "the query parameter filename is missing")
    return saved_path(here.config.folders, name, request.query.get("subfolder", ""), folder)


def _tag(path: Path, query: str) -> str:
    """Return an ETag of the file and the query, so that clients can reuse previews that they have already loaded."""
    state = path.stat()
    return f'"{hashlib.sha256(f"{state.st_mtime_ns} {state.st_size} {query}".encode()).hexdigest()[:24]}"'


def _preview(text: str, with_alpha: bool) -> tuple[str, int]:
    """Parse ``"jpeg;80"`` into format and quality. If alpha is requested, the format is WebP: JPEG has no alpha."""
    image_format, _, quality = text.partition(";")
    if image_format not in ("webp", "jpeg") or with_alpha:
        image_format = "webp"
    if not (quality.isascii() and quality.isdigit() and len(quality) < 4):
        return image_format, _PREVIEW_QUALITY
    return image_format, min(100, max(1, int(quality)))


def _disposition(kind: str, name: str) -> str:
    """Return the header with the name in ASCII, which every client reads, and in full if it differs."""
    plain = "".join(character if " " <= character <= "~" and character not in '"\\' else "_" for character in name)
    full = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return f'{kind}; filename="{plain}"{full}'
