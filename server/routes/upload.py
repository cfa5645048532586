"""Routes that receive pictures and other files."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

from aiohttp import web

from graph.errors import InputFileError
from graph.folders import WORK_FOLDERS
from server.files.client_files import part_beside, path_inside, place_new, safe_name
from server.files.pictures import check_pixels, on_picture_thread, with_mask
from server.http.endpoint import STRING, Endpoints, record
from server.http.request_error import RequestError
from server.routes.form_data import Form, form_data, temporary_file
from server.services import Services, services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("upload")

_FILE: Final = {"type": "string", "format": "binary"}
_ANSWER: Final = record({"name": STRING, "subfolder": STRING, "type": STRING})
_FOLDER: Final = {"enum": list(WORK_FOLDERS)}


@dataclass(frozen=True, slots=True)
class _Upload:
    """A file, which is at its start, its name, and the form that it came in."""

    file: IO[bytes]
    file_name: str
    form: Form

    @property
    def overwrite(self) -> bool:
        return (self.form.text("overwrite") or "").lower() in ("true", "1", "yes", "on")


@endpoints.post(
    "/upload/image",
    body=record({"image": _FILE}, type=_FOLDER, subfolder=STRING, overwrite=STRING),
    body_type="multipart/form-data",
    answer=_ANSWER,
    errors=(400, 408, 413, 507),
)
async def upload_image(request: web.Request) -> web.StreamResponse:
    """Store a file. If another file has its name, that file is replaced (overwrite) or the new one is renamed."""
    here = services(request)
    async with form_data(request) as form:
        upload = _upload(form)
        await on_picture_thread(partial(check_pixels, upload.file, here.config.limits.picture_pixels))
        return await _store(upload, here)


@endpoints.post(
    "/upload/mask",
    body=record({"image": _FILE, "original_ref": STRING}, type=_FOLDER, subfolder=STRING, overwrite=STRING),
    body_type="multipart/form-data",
    answer=_ANSWER,
    errors=(400, 404, 408, 413, 507),
)
async def upload_mask(request: web.Request) -> web.StreamResponse:
    """Store the picture that original_ref names, with the alpha of the uploaded mask."""
    here = services(request)
    async with form_data(request) as form:
        upload = _upload(form)
        original = await asyncio.to_thread(_original, form, here)
        most = here.config.limits.picture_pixels
        data = await on_picture_thread(partial(with_mask, original, upload.file, most))
        with temporary_file(here) as masked:
            await asyncio.to_thread(masked.write, data)
            return await _store(_Upload(masked, upload.file_name, form), here)


def _upload(form: Form) -> _Upload:
    """Return the file in the part named image. Raises RequestError if there is none."""
    if "image" in form.fields:
        raise RequestError(400, "invalid_body", "the part named image has no file name")
    if "image" not in form.files:
        raise RequestError(400, "invalid_body", "there is no file in the part named image")
    (file,) = form.files["image"]
    return _Upload(file.file, file.file_name, form)


async def _store(upload: _Upload, here: Services) -> web.Response:
    folder = upload.form.text("type") or "input"
    if folder not in WORK_FOLDERS:
        raise RequestError(400, "invalid_body", f"type must be one of {', '.join(WORK_FOLDERS)}")
    subfolder = (upload.form.text("subfolder") or "").rstrip("/")
    subfolder = safe_name(subfolder, folder) if subfolder else ""
    name = await asyncio.to_thread(_place, upload, here.config.folders.place(folder), subfolder, folder)
    return web.json_response({"name": name, "subfolder": subfolder, "type": folder}, dumps=compact_json)


def _place(upload: _Upload, root: Path, subfolder: str, folder: str) -> str:
    """Store the file in its folder. Returns the name it got."""
    directory = path_inside(root, subfolder, folder)
    if "/" in upload.file_name or "\\" in upload.file_name:
        raise InputFileError(
            f"file name {upload.file_name[:80]!r}: expected a name without a folder; send the folder as subfolder"
        )
    if upload.file_name.startswith("."):
        raise InputFileError(f"file name {upload.file_name[:80]!r}: names that begin with a dot are not accepted")
    wanted = path_inside(directory, upload.file_name, folder)
    part = part_beside(wanted)
    try:
        upload.file.seek(0)
        with part.open("wb") as out:
            shutil.copyfileobj(upload.file, out, 1 << 20)
        if upload.overwrite:
            part.replace(wanted)
            return wanted.name
        return place_new(part, wanted).name
    finally:
        part.unlink(missing_ok=True)


def _original(form: Form, here: Services) -> Path:
    """Return the picture that ``original_ref`` names."""
    try:
        reference = json.loads(form.text("original_ref") or "")
        name, subfolder = reference["filename"], reference.get("subfolder") or ""
        folder = reference.get("type") or "output"
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError(
            400,
            "invalid_body",
            "original_ref must name a picture",
            'expected {"filename", "subfolder"?, "type"?}',
        ) from error
    if folder not in WORK_FOLDERS or not isinstance(name, str) or not isinstance(subfolder, str) or not name:
        raise RequestError(400, "invalid_body", "original_ref must name a picture in input, output or temp")
    root = here.config.folders.place(folder)
    path = path_inside(path_inside(root, subfolder, folder), name, folder)
    if not path.is_file():
        raise RequestError(404, "not_found", f"there is no picture {name[:200]!r} in {folder}")
    return path
