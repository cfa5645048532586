"""OpenAI's interface for pictures, for tools and libraries that speak it."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from server.http.endpoint import BOOLEAN, INTEGER, STRING, Endpoints, Schema, array, record
from server.http.request_error import RequestError
from server.interfaces.checkpoints import find_checkpoint
from server.interfaces.dry_run import DRY_RUN, dry_run_response, is_dry_run
from server.interfaces.openai.answers import Answering
from server.interfaces.openai.drawing import drawing_of
from server.interfaces.openai.errors import error_response
from server.interfaces.openai.models import listed_models
from server.interfaces.openai.parameters import OUTPUT_FORMATS, RESPONSE_FORMATS, STEPS, Task, read_image_request
from server.interfaces.runs import RunRequest, followed
from server.routes.form_data import MULTIPART
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("openai", error_form=error_response)

_FILE: Final = {"type": "string", "format": "binary"}
_MODEL: Final = record({"id": STRING, "object": STRING, "created": INTEGER, "owned_by": STRING})
_PARAMETERS: Final[dict[str, Schema]] = {
    "model": STRING,
    "n": {"type": "integer", "minimum": 1, "maximum": 10},
    "size": STRING,
    "quality": {"enum": list(STEPS)},
    "response_format": {"enum": list(RESPONSE_FORMATS)},
    "output_format": {"enum": list(OUTPUT_FORMATS)},
    "output_compression": {"type": "integer", "minimum": 0, "maximum": 100},
    "background": {"enum": ["auto", "opaque"]},
    "stream": BOOLEAN,
    "partial_images": {"type": "integer", "minimum": 0, "maximum": 3},
    "seed": INTEGER,
    "user": STRING,
    "webhook": STRING,
}
_ANSWER: Final = record(
    {"created": INTEGER, "data": array(record(b64_json=STRING, url=STRING))},
    size=STRING,
    quality=STRING,
    output_format=STRING,
    background=STRING,
)
_ERRORS: Final = (400, 408, 413, 429, 500, 507)


@endpoints.post(
    "/v1/images/generations",
    query=(DRY_RUN,),
    body=record({"prompt": STRING}, **_PARAMETERS),
    answer=_ANSWER,
    errors=_ERRORS,
    kind="run",
)
async def generations(request: web.Request) -> web.StreamResponse:
    """Make pictures out of a text. `model` is a checkpoint or an app; `seed` is Sumi's own parameter."""
    return await _draw(request, "generation")


@endpoints.post(
    "/v1/images/edits",
    query=(DRY_RUN,),
    body=record(
        {"prompt": STRING, "image": _FILE}, mask=_FILE, input_fidelity={"enum": ["low", "high"]}, **_PARAMETERS
    ),
    body_type=MULTIPART,
    answer=_ANSWER,
    errors=_ERRORS,
    kind="run",
)
async def edits(request: web.Request) -> web.StreamResponse:
    """Edit pictures by a text: where the mask, or the picture itself, is transparent; or as a whole."""
    return await _draw(request, "edit")


@endpoints.post(
    "/v1/images/variations",
    query=(DRY_RUN,),
    body=record({"image": _FILE}, **_PARAMETERS),
    body_type=MULTIPART,
    answer=_ANSWER,
    errors=_ERRORS,
    kind="run",
)
async def variations(request: web.Request) -> web.StreamResponse:
    """Make pictures like another one."""
    return await _draw(request, "variation")


@endpoints.get("/v1/models", answer=record({"object": STRING, "data": array(_MODEL)}))
async def models(request: web.Request) -> web.StreamResponse:
    """List the checkpoints, and the apps that take a prompt."""
    listed = await listed_models(services(request))
    return web.json_response({"object": "list", "data": listed}, dumps=compact_json)


@endpoints.get("/v1/models/{model:.+}", answer=_MODEL, errors=(404,))
async def model(request: web.Request) -> web.StreamResponse:
    """Return one model of the list."""
    name = request.match_info["model"]
    here = services(request)
    known = await asyncio.to_thread(find_checkpoint, here.config.folders, name) or name
    found = next((entry for entry in await listed_models(here) if entry["id"] == known), None)
    if found is None:
        message = f"there is no model {name[:100]!r}"
        raise RequestError(404, "model_not_found", message, "GET /v1/models lists them", extra={"param": "model"})
    return web.json_response(found, dumps=compact_json)


async def _draw(request: web.Request, task: Task) -> web.StreamResponse:
    here = services(request)
    wanted = await read_image_request(request, task)
    drawing, registry = await drawing_of(here, wanted)
    if is_dry_run(request):
        return dry_run_response(drawing.workflow, registry)
    previews = wanted.stream and wanted.partial_images > 0
    async with followed(here, RunRequest(drawing.workflow, previews=previews, webhook=wanted.webhook)) as run:
        answering = Answering(request, here, wanted, drawing, run)
        return await (answering.as_stream() if wanted.stream else answering.at_once())
