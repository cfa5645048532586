"""Workflows as apps: the fields of a workflow's form, and the list of apps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiohttp import hdrs, web

from graph.app import describe_app, described_field, read_app
from graph.errors import FormatError
from graph.folders import Folders
from graph.formats import load
from graph.schema import Registry
from server.files.saved_apps import EXAMPLES, SavedApp, find_app, read_document, saved_apps
from server.http.endpoint import BOOLEAN, FREE_OBJECT, INTEGER, NUMBER, STRING, Endpoints, Query, array, mapping, record
from server.http.request_error import RequestError
from server.interfaces.apps import listed_names, read_saved
from server.interfaces.runs import current_registry
from server.queue.catalogue import described_nodes
from server.routes.request_data import query_flag, read_object
from server.services import services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("apps")

_FIELD: Final = record(
    {
        "name": STRING,
        "node": STRING,
        "input": STRING,
        "kind": STRING,
        "label": STRING,
        "title": STRING,
        "type": STRING,
        "value": {},
        "main": BOOLEAN,
        "targets": array(array(STRING)),
    },
    inner=STRING,
    default={},
    min=NUMBER,
    max=NUMBER,
    step=NUMBER,
    choices=array({}),
    multiline=BOOLEAN,
    mask=BOOLEAN,
    height=NUMBER,
    entry=INTEGER,
)
_OUTPUT: Final = record({"node": STRING, "title": STRING, "saves": BOOLEAN, "main": BOOLEAN})
_FORM: Final = {
    "fields": array(_FIELD),
    "outputs": array(_OUTPUT),
    "chosen": BOOLEAN,
    "opens_as_app": {"type": ["boolean", "null"]},
}
_ENTRY: Final = record(
    {"name": STRING, "app": BOOLEAN, "example": BOOLEAN, "picture": BOOLEAN, "modified": INTEGER},
    file=STRING,
    fields=array(_FIELD),
)


@endpoints.post("/apps/fields", body=record({"workflow": FREE_OBJECT}), answer=record(_FORM), errors=(400, 408, 413))
async def fields(request: web.Request) -> web.StreamResponse:
    """Return the form and outputs that a workflow has as an app.

    ``workflow`` is an editor's document or API JSON. The author's choice in ``extra.linearData`` decides, if there is
    one. ``node`` and ``input`` name the widget in the document, ``targets`` the inputs of the run that it sets.
    """
    body = await read_object(request)
    here = services(request)
    registry = await current_registry(here)
    form, _ = await asyncio.to_thread(_form, body.get("workflow"), registry, here.config.folders)
    return web.json_response(form, dumps=compact_json)


@endpoints.get(
    "/apps",
    query=(Query("fields", "false: leave out the fields, which need the list of nodes", BOOLEAN),),
    answer=array(_ENTRY),
)
async def apps(request: web.Request) -> web.StreamResponse:
    """List the saved workflows, those named *.app.json or marked as apps first, then the examples.

    ``file`` is the path below ``workflows/`` in the user's data; examples have none. ``modified`` is in milliseconds.
    ``fields`` are in the order of the app's form; a workflow that cannot be read has none.
    """
    here = services(request)
    found = await asyncio.to_thread(saved_apps, here.user_data, EXAMPLES)
    fields: dict[str, Any] = {}
    if query_flag(request, "fields", default=True):
        registry = await here.catalogue.registry()
        fields = await asyncio.to_thread(_fields_by_app, found, registry, here.config.folders)
    entries = [
        {
            "name": app.name,
            "app": app.is_app,
            "example": app.example,
            "picture": app.picture is not None,
            "modified": int(app.modified * 1000),
            **_file_of(app, request),
            **({"fields": fields[app.name]} if app.name in fields else {}),
        }
        for app in found
    ]
    return web.json_response(entries, dumps=compact_json)


@endpoints.get(
    "/apps/{name:.+}/picture",
    answer={"type": "string", "format": "binary"},
    answer_type="image/*",
    errors=(400, 404),
)
async def picture(request: web.Request) -> web.StreamResponse:
    """Send the picture of an app: one beside its file, or the latest one that it made."""
    app = await _found(request)
    if app.picture is None:
        raise RequestError(404, "not_found", f"the app {app.name[:100]!r} has no picture")
    return web.FileResponse(app.picture, headers={hdrs.CACHE_CONTROL: "no-cache"})


@endpoints.get(
    "/apps/{name:.+}",
    answer=record({**_FORM, "name": STRING, "workflow": FREE_OBJECT, "nodes": mapping(FREE_OBJECT)}, file=STRING),
    errors=(400, 404),
)
async def app(request: web.Request) -> web.StreamResponse:
    """Return a saved workflow with its form and outputs, and the descriptions of the nodes that it uses."""
    here = services(request)
    found = await _found(request)
    registry = await current_registry(here)
    try:
        document = await asyncio.to_thread(read_document, found.path)
    except FormatError as error:
        raise RequestError(400, "no_workflow", "the file holds no workflow that can be read", str(error)) from error
    form, used = await asyncio.to_thread(_form, document, registry, here.config.folders)
    answer = {
        "name": found.name,
        **_file_of(found, request),
        "workflow": document,
        "nodes": await asyncio.to_thread(described_nodes, used, here.config.folders),
        **form,
    }
    return web.json_response(answer, dumps=compact_json)


async def _found(request: web.Request) -> SavedApp:
    name = request.match_info["name"]
    found = await asyncio.to_thread(find_app, name, services(request).user_data, EXAMPLES)
    if found is None:
        raise RequestError(404, "not_found", f"there is no app {name[:100]!r}")
    return found


def _file_of(app: SavedApp, request: web.Request) -> dict[str, str]:
    if app.example:
        return {}
    return {"file": app.path.relative_to(services(request).user_data / "workflows").as_posix()}


def _form(document: Any, registry: Registry, folders: Folders) -> tuple[dict[str, Any], list[Any]]:
    """Return a workflow's form as JSON, and the types of the nodes that the document names."""
    if not isinstance(document, Mapping):
        raise RequestError(400, "invalid_body", "workflow must be an object: an editor's document or API JSON")
    try:
        form = describe_app(read_app(load(document, registry), registry), listed_names(folders))
    except FormatError as error:
        raise RequestError(400, "no_workflow", "the workflow cannot be read", str(error)) from error
    return form, [registry[name] for name in sorted(_classes(document)) if name in registry]


def _fields_by_app(apps: Iterable[SavedApp], registry: Registry, folders: Folders) -> dict[str, list[dict[str, Any]]]:
    """Return the fields of each app that can be read, by the app's name."""
    names, found = listed_names(folders), {}
    for saved in apps:
        try:
            fields = read_saved(saved, registry).fields
        except (FormatError, OSError):
            continue
        found[saved.name] = [described_field(name, field, names) for name, field in fields.items()]
    return found


def _classes(document: Mapping[str, Any]) -> set[str]:
    """Return every ``type`` and ``class_type`` in a document, also inside subgraphs and group nodes."""
    found: set[str] = set()
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            found.update(name for key in ("type", "class_type") if isinstance(name := value.get(key), str))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found
