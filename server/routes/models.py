"""The model files there are."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from graph.folders import Folders
from server.files.client_files import safe_name
from server.http.endpoint import FREE_OBJECT, INTEGER, NUMBER, STRING, Endpoints, Query, array, record
from server.http.request_error import RequestError
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("models")

_LARGEST_HEADER: Final = 100_000_000  # what the safetensors library itself accepts
_NOT_MODELS: Final = frozenset({"configs", "custom_nodes"})


@endpoints.get("/models", answer=array(STRING))
async def folders(request: web.Request) -> web.StreamResponse:
    """The kinds of model files, by the names of their folders."""
    return web.json_response(list(services(request).config.folders.models))


@endpoints.get("/models/{folder}", answer=array(STRING), errors=(404,))
async def files(request: web.Request) -> web.StreamResponse:
    """The files of one kind."""
    here = services(request).config.folders
    folder = _model_folder(here, request.match_info["folder"])
    return web.json_response(await asyncio.to_thread(here.names, folder), dumps=compact_json)


@endpoints.get("/embeddings", answer=array(STRING))
async def embeddings(request: web.Request) -> web.StreamResponse:
    """Textual inversions, as prompts name them: without the ending."""
    here = services(request).config.folders
    names = await asyncio.to_thread(here.names, "embeddings") if "embeddings" in here.models else []
    return web.json_response([os.path.splitext(name)[0] for name in names], dumps=compact_json)


@endpoints.get(
    "/view_metadata/{folder}",
    query=(Query("filename", "a .safetensors file of that folder", required=True),),
    answer=FREE_OBJECT,
    errors=(400, 404),
)
async def metadata(request: web.Request) -> web.StreamResponse:
    """Return the metadata of a safetensors file."""
    here = services(request).config.folders
    folder = _model_folder(here, request.match_info["folder"])
    name = request.query.get("filename", "")
    if not name.endswith(".safetensors"):
        raise RequestError(404, "not_found", "only .safetensors files have metadata")
    for directory in here.model_folders()[folder]:
        path = directory / safe_name(name, folder)  # which may be a link: only the machine's owner can have made it
        if path.is_file():
            found = await asyncio.to_thread(_safetensors_metadata, path)
            if found is None:
                raise RequestError(404, "not_found", f"{name[:200]} has no metadata")
            return web.json_response(found, dumps=compact_json)
    raise RequestError(404, "not_found", f"there is no {name[:200]!r} in {folder}")


@endpoints.get("/experiment/models", answer=array(record({"name": STRING, "folders": array(STRING)})))
async def folder_paths(request: web.Request) -> web.StreamResponse:
    """The kinds of model files and the directories that are searched for them."""
    here = services(request).config.folders.model_folders()
    listed = [
        {"name": name, "folders": [str(path) for path in paths]}
        for name, paths in here.items()
        if name not in _NOT_MODELS
    ]
    return web.json_response(listed, dumps=compact_json)


@endpoints.get(
    "/experiment/models/{folder}",
    answer=array(
        record({"name": STRING, "pathIndex": INTEGER, "modified": NUMBER, "created": NUMBER, "size": INTEGER})
    ),
    errors=(404,),
)
async def files_with_facts(request: web.Request) -> web.StreamResponse:
    """The files of one kind with size and times."""
    here = services(request).config.folders
    folder = _model_folder(here, request.match_info["folder"])
    return web.json_response(await asyncio.to_thread(_facts, here, folder), dumps=compact_json)


def _model_folder(here: Folders, name: str) -> str:
    folder = here.aliases.get(name, name)
    if folder not in here.models:
        raise RequestError(404, "not_found", f"there is no model folder {name[:100]!r}")
    return folder


def _safetensors_metadata(path: Path) -> dict[str, Any] | None:
    """The header's ``__metadata__``; None if there is none or the file is no safetensors file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= _LARGEST_HEADER:
            return None
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            return None
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else None


def _facts(here: Folders, folder: str) -> list[dict[str, Any]]:
    directories = here.model_folders()[folder]
    listed = []
    for name in here.names(folder):
        for index, directory in enumerate(directories):
            try:
                stat = (directory / name).stat()
            except OSError:  # it is in another directory of this kind, or was deleted just now
                continue
            listed.append(
                {
                    "name": name,
                    "pathIndex": index,
                    "modified": stat.st_mtime,
                    "created": stat.st_ctime,
                    "size": stat.st_size,
                }
            )
    return listed
