"""Apps as endpoints: a saved workflow is called like a function."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import hdrs, web

from graph.app.values import values_of
from graph.workflow import Workflow
from server.files.saved_files import with_addresses
from server.http.endpoint import (
    FREE_OBJECT,
    INTEGER,
    NUMBER,
    STRING,
    Endpoints,
    Query,
    Schema,
    array,
    mapping,
    record,
)
from server.http.event_stream import EVENT_STREAM, IDLE_SECONDS, ClientGoneError, EventStream
from server.http.request_error import RequestError, error_body
from server.interfaces.app_openapi import app_document
from server.interfaces.apps import CallableApp, call, find_callable, listed_names, refused_run
from server.interfaces.dry_run import DRY_RUN, dry_run_response, is_dry_run
from server.interfaces.pictures import MadePicture, pictures_of
from server.interfaces.runs import Preview, Run, RunRequest, failure_of, followed
from server.routes.form_data import MULTIPART, form_data
from server.routes.request_data import LONGEST_WAIT, query_flag, query_wait, read_object
from server.services import Services, services
from server.store.jobs import Job, compact_json

endpoints: Final = Endpoints("app_runs")

_CONVERTED: Final = ("png", "jpeg", "webp")
_MOST_FILES: Final = 50
_NOT_FIELDS: Final = ("fields", "webhook")
"""Members of a body beside the fields of a form."""

BODY: Final[Schema] = record({"fields": FREE_OBJECT}, webhook=STRING)
PICTURE: Final[Schema] = record(
    {"filename": STRING, "subfolder": STRING, "type": STRING, "node": STRING, "url": STRING}
)
RUN: Final[Schema] = record(
    {
        "prompt_id": STRING,
        "status": {"enum": ["pending", "running", "success"]},
        "fields": FREE_OBJECT,
        "pictures": array(PICTURE),
        "outputs": mapping(FREE_OBJECT),
    },
    position=INTEGER,
)


@dataclass(slots=True)
class _Asked:
    """What a request wants: values and files by field, and the webhook."""

    values: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    webhook: str | None = None


@endpoints.get("/apps/{name:.+}/openapi.json", answer=FREE_OBJECT, errors=(400, 404))
async def app_description(request: web.Request) -> web.StreamResponse:
    """Describe an app's call in OpenAPI, so that a client can be generated."""
    here = services(request)
    app, _ = await find_callable(here, request.match_info["name"])
    document = await asyncio.to_thread(app_document, app, listed_names(here.config.folders), RUN)
    return web.json_response(document, dumps=compact_json)


@endpoints.post(
    "/apps/{name:.+}",
    query=(
        Query("wait", "answer when the run has ended, or after this many seconds", NUMBER),
        Query("stop_if_gone", "1: stop the run if the client disconnects before its end"),
        DRY_RUN,
    ),
    body=BODY,
    body_required=False,
    answer=RUN,
    errors=(400, 404, 408, 413, 422, 429, 507),
    kind="run",
)
async def run_app(request: web.Request) -> web.StreamResponse:
    """Run a saved workflow with these values of its fields; fields that are left out keep the file's values.

    The body is JSON, or a form whose parts are fields. Pictures are the names of uploaded files, base64, or parts with
    a file. Answers at once, or with `wait` after the run; with `Accept: image/png` with the picture itself, and with
    `Accept: text/event-stream` with progress and previews.
    """
    here = services(request)
    app, registry = await find_callable(here, request.match_info["name"])
    asked = await _read(request)
    workflow = await call(here, app, registry, asked.values, asked.files)
    if is_dry_run(request):
        return dry_run_response(workflow, registry)
    accepted = _accepted(request)
    seconds = query_wait(request, 0.0 if accepted == "application/json" else LONGEST_WAIT)
    wanted = RunRequest(workflow, previews=accepted == EVENT_STREAM, webhook=asked.webhook)
    try:
        async with followed(here, wanted) as run:
            answering = _Answering(request, here, app, workflow, run)
            if accepted == EVENT_STREAM:
                return await answering.as_events()
            await run.ended(request, seconds, stop_if_gone=query_flag(request, "stop_if_gone"))
            if accepted.startswith("image/"):
                return await answering.as_picture(accepted.removeprefix("image/"))
            return web.json_response(answering.answer(await run.job()), dumps=compact_json)
    except RequestError as error:
        raise refused_run(error, app, {**asked.values, **asked.files}) from error


async def _read(request: web.Request) -> _Asked:
    if request.content_type == MULTIPART:
        return await _read_form(request)
    body = await read_object(request, optional=True)
    values = body.get("fields", {})
    if not isinstance(values, dict):
        raise RequestError(400, "invalid_body", "fields must be an object: name of a field → value")
    if unknown := [name for name in body if name not in _NOT_FIELDS]:
        message = f"there is no member {unknown[0][:100]!r}"
        raise RequestError(400, "invalid_body", message, 'expected {"fields": {…}, "webhook": "…"}')
    webhook = body.get("webhook")
    if webhook is not None and not isinstance(webhook, str):
        raise RequestError(400, "invalid_body", "webhook must be an address")
    return _Asked(values, {}, webhook)


async def _read_form(request: web.Request) -> _Asked:
    """Read a form: its parts are fields, and ``fields`` may hold more of them as JSON."""
    asked = _Asked()
    async with form_data(request, _MOST_FILES) as form:
        for name, files in form.files.items():
            if len(files) > 1:
                raise RequestError(400, "invalid_body", f"there are {len(files)} files in the part {name[:100]!r}")
            asked.files[name] = await files[0].data()
        if (text := form.text("fields")) is not None:
            try:
                values = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise RequestError(400, "invalid_body", "fields is not JSON", str(error)[:200]) from error
            if not isinstance(values, dict):
                raise RequestError(400, "invalid_body", "fields must be an object: name of a field → value")
            asked.values.update(values)
        asked.webhook = form.text("webhook")
        asked.values.update({name: texts[-1] for name, texts in form.fields.items() if name not in _NOT_FIELDS})
    if both := asked.values.keys() & asked.files.keys():
        raise RequestError(400, "invalid_body", f"the field {min(both)[:100]!r} is given twice")
    return asked


def _accepted(request: web.Request) -> str:
    """Return the first type in ``Accept`` that an answer can have: JSON, events or a picture."""
    for entry in ",".join(request.headers.getall(hdrs.ACCEPT, [])).split(","):
        kind = entry.partition(";")[0].strip().lower()
        if kind in ("application/json", EVENT_STREAM) or kind.startswith("image/"):
            return kind
    return "application/json"


@dataclass(frozen=True, slots=True)
class _Answering:
    """Answers one call."""

    request: web.Request
    here: Services
    app: CallableApp
    workflow: Workflow
    run: Run

    def answer(self, job: Job) -> dict[str, Any]:
        """Return the answer as JSON. Raises RequestError (422) if the run has failed."""
        failure = failure_of(job)
        if failure is not None:
            kind = "interrupted" if job.status == "interrupted" else "run_failed"
            extra = {"prompt_id": job.prompt_id, "error": job.error}
            raise RequestError(422, kind, "the run made no result", failure, extra=extra)
        main = {node: job.outputs[node] for node in self._nodes(job)}
        return {
            "prompt_id": job.prompt_id,
            "status": job.status,
            **({} if job.has_ended else {"position": self.here.store.position(job.prompt_id) or 0}),
            "fields": self._fields,
            "pictures": [_picture(made) for made in self._pictures(job)],
            "outputs": {node: with_addresses(shown) for node, shown in main.items()},
        }

    async def as_picture(self, kind: str) -> web.Response:
        """Return the first picture, in this format if it is one that can be written; else as it was saved."""
        job = await self.run.job()
        answer = self.answer(job)
        headers = {"X-Prompt-Id": job.prompt_id}
        if not job.has_ended:
            return web.json_response(answer, status=202, headers=headers, dumps=compact_json)
        pictures = self._pictures(job)
        if not pictures:
            raise RequestError(422, "no_picture", "the app made no picture", "ask with Accept: application/json")
        kind = "jpeg" if kind == "jpg" else kind
        if kind not in _CONVERTED:
            body, shown = await pictures[0].data(), pictures[0].content_type
        else:
            body = await pictures[0].data_as(kind, None, self.here.config.limits.picture_pixels)
            shown = f"image/{kind}"
        return web.Response(body=body, content_type=shown, headers=headers)

    async def as_events(self) -> web.StreamResponse:
        """Stream the run: ``queued``, ``progress`` and ``preview``, then ``done`` or ``error``."""
        stream = await EventStream.open(self.request, {"X-Prompt-Id": self.run.prompt_id})
        try:
            position = self.here.store.position(self.run.prompt_id) or 0
            queued = {"prompt_id": self.run.prompt_id, "position": position, "fields": self._fields}
            await stream.send(queued, "queued")
            async for change in self.run.changes(IDLE_SECONDS):
                await stream.send(*_event(change))
            try:
                last, name = self.answer(await self.run.job()), "done"
            except RequestError as error:
                last, name = error_body(error), "error"
            await stream.send(last, name)
            return await stream.close()
        except ClientGoneError:
            if query_flag(self.request, "stop_if_gone"):
                await self.run.stop()
            return stream.response

    @property
    def _fields(self) -> dict[str, Any]:
        return values_of(self.workflow, self.app.fields)

    def _nodes(self, job: Job) -> list[str]:
        return [node for node in self.app.main_outputs if node in job.outputs]

    def _pictures(self, job: Job) -> list[MadePicture]:
        return pictures_of(job, self.here.config.folders, self._nodes(job))


def _picture(made: MadePicture) -> dict[str, str]:
    return {**made.file.as_ui(), "node": made.node, "url": made.address}


def _event(change: Any) -> tuple[Mapping[str, Any], str]:
    if isinstance(change, Preview):
        return {"format": change.format.lower(), "node": change.node, "data": change.base64}, "preview"
    return {"done": change.done, "node": change.node, "step": change.step, "steps": change.steps}, "progress"
