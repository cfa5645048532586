"""A route that deletes files which runs have saved."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from graph.errors import InputFileError
from graph.results import SavedFile, file_in, files_in
from server.files.saved_files import saved_path
from server.http.endpoint import INTEGER, STRING, Endpoints, array, record
from server.http.request_error import RequestError
from server.routes.request_data import read_object
from server.services import Services, services

endpoints: Final = Endpoints("saved files")

_FOLDERS: Final = ("output", "temp")
_MOST: Final = 10_000


@endpoints.post(
    "/saved_files/delete",
    body=record({"files": array(record({"prompt_id": STRING, "filename": STRING}, subfolder=STRING, type=STRING))}),
    answer=record({"deleted": INTEGER}),
    errors=(400, 403, 413),
)
async def delete(request: web.Request) -> web.StreamResponse:
    """Delete files of the output or temp folder. Each must be an output of its prompt in the history.

    If one is not, nothing is deleted. Files that no longer exist are skipped.
    """
    here = services(request)
    entries = (await read_object(request)).get("files")
    if not isinstance(entries, list) or len(entries) > _MOST:
        raise RequestError(400, "invalid_request", f"files must be a list of at most {_MOST} entries")
    named: dict[str, set[SavedFile]] = {}
    paths = []
    for entry in entries:
        prompt_id, file = _read(entry)
        if prompt_id not in named:
            named[prompt_id] = await _outputs_of(here, prompt_id)
        if file not in named[prompt_id]:
            reason = f"{file.filename[:200]!r} is not an output of prompt {prompt_id[:100]!r} in the history"
            raise RequestError(403, "forbidden", reason)
        paths.append(_path(here, file))
    deleted = await asyncio.to_thread(_delete, [path for path in paths if path is not None])
    return web.json_response({"deleted": deleted})


def _read(entry: Any) -> tuple[str, SavedFile]:
    prompt_id = entry.get("prompt_id") if isinstance(entry, Mapping) else None
    file = file_in({"type": "output", **entry}) if isinstance(entry, Mapping) else None
    if file is None or not isinstance(prompt_id, str):
        raise RequestError(400, "invalid_request", "each entry of files needs the strings prompt_id and filename")
    return prompt_id, file


async def _outputs_of(here: Services, prompt_id: str) -> set[SavedFile]:
    job = await here.store.get(prompt_id, here.user)
    if job is None or not job.has_ended:
        return set()
    shown = (files_in(output) for output in job.outputs.values() if isinstance(output, Mapping))
    return {file for files in shown for file in files if file.folder in _FOLDERS}


def _path(here: Services, file: SavedFile) -> Path | None:
    """Return the path of an output; None if it no longer exists."""
    try:
        return saved_path(here.config.folders, file.filename, file.subfolder, file.folder)
    except InputFileError as error:
        raise RequestError(403, "forbidden", "the file is outside its folder", str(error)) from error
    except RequestError as error:
        if error.status != 404:
            raise
        return None


def _delete(paths: list[Path]) -> int:
    deleted = 0
    for path in dict.fromkeys(paths):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            reason = f"cannot delete {path.name}: {error.strerror or error}"
            raise RequestError(403, "forbidden", reason, f"{deleted} files were deleted before") from error
        deleted += 1
    return deleted
