"""Calls saved workflows like functions: reads an app, and makes the workflow of a call."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graph.app import App, Field, FieldError, FieldProblem, called, named_fields, read_app
from graph.app.values import by_field, field_problems, find_field, with_random_seeds
from graph.errors import FormatError, InputFileError, Problem
from graph.folders import Folders
from graph.formats import load
from graph.schema import Registry
from graph.workflow import Workflow
from server.files.saved_apps import EXAMPLES, SavedApp, find_app, read_document
from server.http.request_error import RequestError
from server.interfaces.pictures import decoded_base64, keep_picture
from server.interfaces.runs import current_registry
from server.services import Services

_PICTURE: Final = "the name of a file in the input folder, or a picture in base64"
_FILE_NAME: Final = re.compile(r"[^\n]{1,250}\.[A-Za-z0-9]{1,5}( \[\w+\])?")
"""A text that is meant as a file's name: base64 has no dot."""


@dataclass(frozen=True)
class CallableApp:
    """A saved workflow that was read. ``fields`` maps names to the fields of its form."""

    saved: SavedApp
    workflow: Workflow
    app: App
    fields: Mapping[str, Field]

    @property
    def main_outputs(self) -> list[str]:
        """The nodes whose results the app shows, or all output nodes if it shows none."""
        return [output.node for output in self.app.outputs if output.main]


def read_saved(saved: SavedApp, registry: Registry) -> CallableApp:
    """Read an app. Raises FormatError."""
    workflow = load(read_document(saved.path), registry)
    app = read_app(workflow, registry)
    return CallableApp(saved, workflow, app, named_fields(app))


async def find_callable(here: Services, name: str) -> tuple[CallableApp, Registry]:
    """Return the app of this name, and the nodes. Raises RequestError (404, or 400 for no workflow)."""
    saved = await asyncio.to_thread(find_app, name, here.user_data, EXAMPLES)
    if saved is None:
        raise RequestError(404, "not_found", f"there is no app {name[:100]!r}", "GET /apps lists them")
    registry = await current_registry(here)
    try:
        return await asyncio.to_thread(read_saved, saved, registry), registry
    except FormatError as error:
        raise RequestError(400, "no_workflow", "the file holds no workflow that can be read", str(error)) from error


async def call(
    here: Services, app: CallableApp, registry: Registry, values: Mapping[str, Any], files: Mapping[str, bytes]
) -> Workflow:
    """Return the app's workflow with its fields set to ``values`` and pictures in ``files``.

    A picture's value is the name of a file in the input folder, or base64. A seed of -1 is drawn at random. Raises
    RequestError: 422 that lists each field that cannot be used, and says what would be right.
    """
    try:
        given = with_random_seeds(by_field({**values, **files}, app.fields), app.fields)
        await _keep_pictures(here, app, given)
        return await asyncio.to_thread(called, app.workflow, app.fields, given, registry, here.config.folders)
    except FieldError as error:
        raise refused(error) from error


def refused(error: FieldError) -> RequestError:
    """Return the error (422) for values that fields do not accept."""
    fields = {
        problem.name: {
            "message": problem.message,
            "expected": problem.expected,
            "suggestions": list(problem.suggestions),
        }
        for problem in error.problems
    }
    return RequestError(422, "invalid_fields", "some fields cannot be used", str(error), extra={"fields": fields})


def refused_run(error: RequestError, app: CallableApp, values: Mapping[str, Any]) -> RequestError:
    """Return the error of :func:`submit` as one about fields, if a field's value caused it; else unchanged."""
    problems = [
        Problem(
            found["type"],
            found["message"],
            node_id=node_id,
            input_name=found["extra_info"].get("input_name"),
            found=found["extra_info"].get("received_value"),
            expected=found["details"],
        )
        for node_id, node in error.extra.get("node_errors", {}).items()
        for found in node["errors"]
    ]
    mine = field_problems(problems, app.fields, {own: None for name in values if (own := find_field(name, app.fields))})
    return refused(FieldError(mine)) if mine else error


async def _keep_pictures(here: Services, app: CallableApp, given: dict[str, Any]) -> None:
    """Store the pictures of a request, and put their names in the place of their bytes. Raises FieldError."""
    problems = []
    for name, value in given.items():
        if app.fields[name].kind != "picture":
            if isinstance(value, bytes):
                problems.append(FieldProblem(name, "is not a picture", "a value, not a file"))
            continue
        try:
            if isinstance(value, bytes):
                given[name] = await keep_picture(here, value, name)
            elif isinstance(value, str) and not await asyncio.to_thread(_is_there, here.config.folders, value):
                if _FILE_NAME.fullmatch(value):
                    problems.append(FieldProblem(name, f"there is no file {value!r}", _PICTURE))
                    continue
                given[name] = await keep_picture(here, decoded_base64(value, name), name)
        except RequestError as error:
            if error.status == 413:
                raise
            problems.append(FieldProblem(name, error.message.removeprefix(f"{name}: "), _PICTURE))
    if problems:
        raise FieldError(problems)


def _is_there(folders: Folders, name: str) -> bool:
    try:
        folders.annotated(name)
    except (InputFileError, OSError):
        return False
    return True


def listed_names(folders: Folders) -> Callable[[str], list[str]]:
    """Return a function that lists the files of a folder, each folder once."""
    listed: dict[str, list[str]] = {}

    def names(folder: str) -> list[str]:
        if folder not in listed:
            listed[folder] = folders.names(folder)
        return listed[folder]

    return names
