"""Routes for files that editors store on the server, mostly workflows."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from graph.errors import InputFileError
from graph.operating_system import replace_file
from server.files.client_files import part_beside, path_inside
from server.http.endpoint import BOOLEAN, INTEGER, NUMBER, STRING, Endpoints, Query, array, record
from server.http.request_error import RequestError
from server.routes.request_data import chunks, query_flag
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("userdata")

_FACTS: Final = record({"path": STRING, "size": INTEGER, "modified": INTEGER})
_ENTRY: Final = record(
    {"name": STRING, "type": {"enum": ["file", "directory"]}, "path": STRING}, size=INTEGER, modified=NUMBER
)
_BYTES: Final = {"type": "string", "format": "binary"}
_TYPES: Final = {".json": "application/json", ".css": "text/css"}  # browsers load style sheets only with this type
_FULL_INFO: Final = Query("full_info", "also return size and time", BOOLEAN)
_OVERWRITE: Final = Query("overwrite", "false: answer 409 if the file exists (default: true)", BOOLEAN)
_WRITES: Final = (400, 403, 404, 408, 409, 413, 507)


@endpoints.get(
    "/userdata",
    query=(
        Query("dir", "the folder to list", required=True),
        Query("recurse", "list files in subfolders, too", BOOLEAN),
        _FULL_INFO,
        Query("split", "also return each name split into its parts", BOOLEAN),
    ),
    answer=array({"anyOf": [STRING, _FACTS, array(STRING)]}),
    errors=(400, 403, 404),
)
async def listing(request: web.Request) -> web.StreamResponse:
    """List the files in a folder."""
    if not request.query.get("dir"):
        raise RequestError(400, "invalid_query", "the query parameter dir is missing")
    directory = await asyncio.to_thread(_path, request, request.query["dir"])
    if not directory.is_dir():
        raise RequestError(404, "not_found", "there is no such folder")
    names = await asyncio.to_thread(_files, directory, query_flag(request, "recurse"))
    if query_flag(request, "full_info"):
        listed: list[Any] = [facts for name in names if (facts := _facts(directory / name, directory)) is not None]
    elif query_flag(request, "split"):
        listed = [[name, *name.split("/")] for name in names]
    else:
        listed = names
    return web.json_response(listed, dumps=compact_json)


@endpoints.get(
    "/v2/userdata",
    query=(Query("path", "the folder to list (default: the top level)"),),
    answer=array(_ENTRY),
    errors=(400, 403, 404),
)
async def entries(request: web.Request) -> web.StreamResponse:
    """List the files and folders in a folder."""
    top = services(request).user_data
    directory = await asyncio.to_thread(_path, request, request.query.get("path", ""))
    if directory == top:
        await asyncio.to_thread(top.mkdir, parents=True, exist_ok=True)
    if not directory.is_dir():
        raise RequestError(404, "not_found", "there is no such folder")
    return web.json_response(await asyncio.to_thread(_entries, directory, top), dumps=compact_json)


@endpoints.get("/userdata/{file:.+}", answer=_BYTES, answer_type="application/octet-stream", errors=(400, 403, 404))
async def read(request: web.Request) -> web.StreamResponse:
    """Send one file."""
    path = await asyncio.to_thread(_existing, request, request.match_info["file"])
    kind = _TYPES.get(path.suffix.lower(), "application/octet-stream")
    return web.FileResponse(path, headers={"Content-Type": kind, "Cache-Control": "no-cache"})


@endpoints.post(
    "/userdata/{file:.+}/move/{dest:.+}",
    query=(_OVERWRITE, _FULL_INFO),
    answer={"anyOf": [STRING, _FACTS]},
    errors=_WRITES,
)
async def move(request: web.Request) -> web.StreamResponse:
    """Rename a file."""
    source = await asyncio.to_thread(_existing, request, request.match_info["file"])
    target = await asyncio.to_thread(_path, request, request.match_info["dest"])
    await asyncio.to_thread(_rename, source, target, query_flag(request, "overwrite", default=True))
    return _written(request, target)


@endpoints.post(
    "/userdata/{file:.+}",
    query=(_OVERWRITE, _FULL_INFO),
    body=_BYTES,
    body_type="application/octet-stream",
    answer={"anyOf": [STRING, _FACTS]},
    errors=_WRITES,
)
async def write(request: web.Request) -> web.StreamResponse:
    """Store a file."""
    path = await asyncio.to_thread(_path, request, request.match_info["file"])
    part = await asyncio.to_thread(part_beside, path)
    try:
        with part.open("wb") as out:
            async for chunk in chunks(request, services(request).config.max_upload_size):
                await asyncio.to_thread(out.write, chunk)
        await asyncio.to_thread(_rename, part, path, query_flag(request, "overwrite", default=True))
    finally:
        part.unlink(missing_ok=True)
    return _written(request, path)


@endpoints.declare("DELETE", "/userdata/{file:.+}", status=204, errors=(400, 403, 404))
async def delete(request: web.Request) -> web.StreamResponse:
    """Delete a file."""
    path = await asyncio.to_thread(_existing, request, request.match_info["file"])
    await asyncio.to_thread(path.unlink)
    return web.Response(status=204)


def _path(request: web.Request, name: str) -> Path:
    root = services(request).user_data
    try:
        return path_inside(root, name, "user data")
    except InputFileError as error:
        raise RequestError(403, "forbidden", "that file cannot be used", str(error)) from error


def _existing(request: web.Request, name: str) -> Path:
    path = _path(request, name)
    if not path.is_file():
        raise RequestError(404, "not_found", f"there is no file {name[:200]!r}")
    return path


def _rename(source: Path, target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise RequestError(409, "exists", "a folder with that name already exists")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not overwrite:
        try:
            target.open("xb").close()
        except FileExistsError as error:
            raise RequestError(409, "exists", "a file with that name already exists") from error
    replace_file(source, target)


def _written(request: web.Request, path: Path) -> web.Response:
    facts = _facts(path, services(request).user_data)
    if facts is None:
        raise RequestError(404, "not_found", "the file was deleted at once")
    return web.json_response(facts if query_flag(request, "full_info") else facts["path"], dumps=compact_json)


def _facts(path: Path, root: Path) -> dict[str, Any] | None:
    """Return name below ``root``, bytes, and milliseconds since the epoch; None if the file is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return {
        "path": path.relative_to(root).as_posix(),
        "size": stat.st_size,
        "modified": int(stat.st_mtime * 1000),
        "created": int(stat.st_ctime * 1000),
    }


def _files(directory: Path, recurse: bool) -> list[str]:
    found = []
    for parent, subfolders, names in os.walk(directory):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".")) if recurse else []
        shown = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        found += [path.relative_to(directory).as_posix() for path in shown if path.is_file()]
    return found


def _entries(directory: Path, top: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(directory.iterdir()):
        if path.name.startswith("."):
            continue
        entry: dict[str, Any] = {
            "name": path.name,
            "path": path.relative_to(top).as_posix(),
            "type": "directory",
        }
        if not path.is_dir():
            facts = _facts(path, top)
            if facts is None:
                continue
            entry.update(type="file", size=facts["size"], modified=facts["modified"])
        found.append(entry)
    return found
