"""Routes that only the editor uses: folders, their files, the log."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from aiohttp import web

from graph.folders import WORK_FOLDERS
from server.http.endpoint import BOOLEAN, INTEGER, STRING, Endpoints, array, mapping, record
from server.http.request_error import RequestError
from server.routes.request_data import flag, read_object
from server.services import require_operator, services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("internal")


@endpoints.get("/internal/folder_paths", answer=mapping(array(STRING)))
async def folder_paths(request: web.Request) -> web.StreamResponse:
    """Return the directories that are searched for each kind of model file."""
    found = services(request).config.folders.model_folders()
    return web.json_response({name: [str(path) for path in paths] for name, paths in found.items()})


@endpoints.get("/internal/files/{folder}", answer=array(STRING), errors=(400,))
async def files(request: web.Request) -> web.StreamResponse:
    """List the files at the top level of the output, input or temp folder, newest first."""
    folder = request.match_info["folder"]
    if folder not in WORK_FOLDERS:
        raise RequestError(400, "invalid_folder", f"expected one of {', '.join(WORK_FOLDERS)}")
    names = await asyncio.to_thread(_newest_first, services(request).config.folders.place(folder))
    return web.json_response(names, dumps=compact_json)


@endpoints.get("/internal/logs", answer=STRING)
async def logs(request: web.Request) -> web.StreamResponse:
    """Return the latest lines of the log, as one text."""
    here = services(request)
    require_operator(here, "the log")
    lines = here.logs.lines()
    return web.json_response("".join(f"{line['t']} - {line['m']}" for line in lines), dumps=compact_json)


@endpoints.get(
    "/internal/logs/raw",
    answer=record(
        {
            "entries": array(record({"t": STRING, "m": STRING})),
            "size": record({"cols": INTEGER, "rows": INTEGER}),
        }
    ),
)
async def raw_logs(request: web.Request) -> web.StreamResponse:
    """Return the latest lines of the log, each with its time."""
    here = services(request)
    require_operator(here, "the log")
    return web.json_response(here.logs.raw(), dumps=compact_json)


@endpoints.declare(
    "PATCH",
    "/internal/logs/subscribe",
    body=record({"clientId": STRING, "enabled": BOOLEAN}),
    errors=(400, 413),
)
async def subscribe(request: web.Request) -> web.StreamResponse:
    """Start or stop sending new lines of the log to a WebSocket client."""
    here = services(request)
    require_operator(here, "the log")
    body = await read_object(request)
    client_id, enabled = body.get("clientId"), flag(body, "enabled")
    if not isinstance(client_id, str) or enabled is None or len(client_id) > 200:
        raise RequestError(400, "invalid_body", "expected clientId and enabled")
    here.logs.subscribe(client_id, enabled)
    return web.Response()


def _newest_first(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            found = [
                (entry.stat().st_mtime_ns, entry.name)
                for entry in entries
                if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    return [name for _, name in sorted(found, reverse=True)]
