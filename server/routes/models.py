"""Routes for model files."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from typing import Any, Final

from aiohttp import hdrs, web

from graph.folders import Folders
from graph.formats.model_header import header_json
from server.files.client_files import safe_name
from server.files.model_facts import UNKNOWN, ModelFacts, preview_of, thumbnail_of
from server.files.pictures import on_picture_thread, preview
from server.http.endpoint import BOOLEAN, FREE_OBJECT, INTEGER, NUMBER, STRING, Endpoints, Query, array, record
from server.http.request_error import RequestError
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("models")

_NOT_MODELS: Final = frozenset({"configs", "custom_nodes"})


@endpoints.get("/models", answer=array(STRING))
async def folders(request: web.Request) -> web.StreamResponse:
    """List the kinds of model files, by the names of their folders."""
    return web.json_response(list(services(request).config.folders.models))


@endpoints.get("/models/{folder}", answer=array(STRING), errors=(404,))
async def files(request: web.Request) -> web.StreamResponse:
    """List the files of one kind, of all workers."""
    here = services(request).config.folders
    folder = _model_folder(here, request.match_info["folder"])
    await services(request).catalogue.files_listed()
    return web.json_response(await asyncio.to_thread(here.names, folder), dumps=compact_json)


@endpoints.get("/embeddings", answer=array(STRING))
async def embeddings(request: web.Request) -> web.StreamResponse:
    """List textual inversions by their names in prompts: without the ending."""
    here = services(request).config.folders
    names = await asyncio.to_thread(here.names, "embeddings") if "embeddings" in here.models else []
    return web.json_response([os.path.splitext(name)[0] for name in names], dumps=compact_json)


@endpoints.get(
    "/view_metadata/{folder}",
    query=(Query("filename", "a .safetensors file in that folder", required=True),),
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
    found = await asyncio.to_thread(lambda: _safetensors_metadata(_file(here, folder, name)))
    if found is None:
        raise RequestError(404, "not_found", f"{name[:200]} has no metadata")
    return web.json_response(found, dumps=compact_json)


@endpoints.get("/experiment/models", answer=array(record({"name": STRING, "folders": array(STRING)})))
async def folder_paths(request: web.Request) -> web.StreamResponse:
    """List the kinds of model files and the directories that are searched for them."""
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
    """List the files of one kind with size and times."""
    here = services(request).config.folders
    folder = _model_folder(here, request.match_info["folder"])
    return web.json_response(await asyncio.to_thread(_facts, here, folder), dumps=compact_json)


_FACTS: Final = ModelFacts()
_PREVIEW_SIDE: Final = 512


@endpoints.get(
    "/model_files/{folder}",
    answer=array(
        record(
            {
                "name": STRING,
                "size": INTEGER,
                "modified": NUMBER,
                "preview": BOOLEAN,
                "words": array(STRING),
                "notes": FREE_OBJECT,
            },
            kind={"type": ["string", "null"]},
            family={"type": ["string", "null"]},
        )
    ),
    errors=(404,),
)
async def files_for_people(request: web.Request) -> web.StreamResponse:
    """List the files of one kind with their family, trigger words and notes, and whether a picture is beside them.

    Of files that only workers on other machines have, just the name is known; their size is 0.
    """
    here = services(request).config.folders
    folder = _model_folder(here, request.match_info["folder"])
    await services(request).catalogue.files_listed()

    def listed() -> list[dict[str, Any]]:
        directories = here.model_folders()[folder]
        first = {file["name"]: file for file in reversed(_facts(here, folder))}
        return [
            {
                "name": name,
                "size": first[name]["size"],
                "modified": first[name]["modified"],
                **_FACTS.of(directories[first[name]["pathIndex"]] / name),
            }
            if name in first
            else {"name": name, "size": 0, "modified": 0, **UNKNOWN}
            for name in here.names(folder)
        ]

    return web.json_response(await asyncio.to_thread(listed), dumps=compact_json)


@endpoints.get(
    "/model_files/{folder}/preview",
    query=(Query("filename", "a file in that folder", required=True),),
    answer=STRING,
    answer_type="image/webp",
    errors=(404, 413),
)
async def preview_picture(request: web.Request) -> web.StreamResponse:
    """Send a model file's picture, made smaller: one beside it, or else the thumbnail in its metadata.

    Beside the file are ``name.preview.png`` or ``name.png``, also .jpg and .webp. The metadata has
    ``modelspec.thumbnail``.
    """
    here = services(request).config.folders
    folder = _model_folder(here, request.match_info["folder"])
    name = request.query.get("filename", "")
    source = await asyncio.to_thread(_picture_of, _file(here, folder, name))
    if source is None:
        raise RequestError(404, "not_found", f"{name[:200]!r} has no picture, neither beside it nor in its metadata")
    most = services(request).config.limits.picture_pixels
    body = await on_picture_thread(lambda: preview(source, "webp", 80, False, most, _PREVIEW_SIDE))
    return web.Response(body=body, content_type="image/webp", headers={hdrs.CACHE_CONTROL: "no-cache"})


def _picture_of(path: Path) -> Path | io.BytesIO | None:
    beside = preview_of(path)
    if beside is not None:
        return beside
    inside = thumbnail_of(path)
    return io.BytesIO(inside) if inside else None


def _model_folder(here: Folders, name: str) -> str:
    folder = here.aliases.get(name, name)
    if folder not in here.models:
        raise RequestError(404, "not_found", f"there is no model folder {name[:100]!r}")
    return folder


def _safetensors_metadata(path: Path) -> dict[str, Any] | None:
    """Return the header's ``__metadata__``; None if it has none or the file is not a safetensors file."""
    header = header_json(path)
    found = header.get("__metadata__") if header is not None else None
    return found if isinstance(found, dict) else None


def _file(here: Folders, folder: str, name: str) -> Path:
    """Return the path of a model file. Raises RequestError (404)."""
    for directory in here.model_folders()[folder]:
        path = directory / safe_name(name, folder)  # links may lead out: only the machine's owner can create them
        if path.is_file():
            return path
    raise RequestError(404, "not_found", f"there is no file {name[:200]!r} in {folder}")


def _facts(here: Folders, folder: str) -> list[dict[str, Any]]:
    directories = here.model_folders()[folder]
    listed = []
    for name in here.names(folder):
        for index, directory in enumerate(directories):
            try:
                stat = (directory / name).stat()
            except OSError:  # the file is in another directory of this kind, or was just deleted
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
