"""Workflows from files of other kinds, for editors that read only their own."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from graph.errors import FormatError
from graph.formats import load
from graph.formats.a1111.model_files import ModelFiles
from server.http.endpoint import FREE_OBJECT, STRING, Endpoints, array, record
from server.http.request_error import RequestError
from server.routes.request_data import whole_body
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("convert")

_REGISTRY_SECONDS: Final = 60.0
"""How long a request waits for a worker's list of nodes."""
_HASH_SECONDS: Final = 20.0
"""How long a request looks for a model by its hash. The hashes that were computed are kept for the next one."""


@endpoints.post(
    "/convert",
    body={"type": "string", "format": "binary"},
    body_type="application/octet-stream",
    answer=record({"prompt": FREE_OBJECT, "notes": array(STRING)}, workflow=FREE_OBJECT),
    errors=(400, 408, 413, 503),
)
async def convert(request: web.Request) -> web.StreamResponse:
    """Read the workflow in a file: JSON, or a picture or text with a workflow or AUTOMATIC1111's parameters.

    ``prompt`` is the workflow in API format, ``workflow`` the editor's document if the file has one, ``notes`` what the
    workflow lacks of another program's file. Nothing is stored or queued.
    """
    here = services(request)
    registry = await here.catalogue.current_registry(_REGISTRY_SECONDS)
    async with whole_body(request, here.config.max_upload_size) as body:
        files = ModelFiles(here.config.folders, _HASH_SECONDS)
        try:
            workflow = await asyncio.to_thread(load, body, registry, files)
        except FormatError as error:
            raise RequestError(400, "no_workflow", "the file holds no workflow that can be read", str(error)) from error
    answer = {"prompt": workflow.to_api(), "notes": list(workflow.notes)}
    if workflow.editor is not None:
        answer["workflow"] = workflow.editor
    return web.json_response(answer, dumps=compact_json)
