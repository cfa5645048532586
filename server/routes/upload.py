"""Pictures and other files in."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Final

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from graph.errors import InputFileError
from graph.folders import WORK_FOLDERS
from server.files.client_files import part_beside, path_inside, place_new, safe_name
from server.files.pictures import check_pixels, on_picture_thread, with_mask
from server.http.endpoint import STRING, Endpoints, record
from server.http.request_error import RequestError
from server.routes.request_data import too_large
from server.services import Services, services
from server.store.jobs import compact_json

endpoints: Final = Endpoints("upload")

_FILE: Final = {"type": "string", "format": "binary"}
_ANSWER: Final = record({"name": STRING, "subfolder": STRING, "type": STRING})
_FOLDER: Final = {"enum": list(WORK_FOLDERS)}
_MOST_FIELDS: Final = 20
_LONGEST_FIELD: Final = 64 * 1024
_UNSOUND: Final = (
    HttpProcessingError, web.RequestPayloadError, ValueError, LookupError, AssertionError, RuntimeError,
)  # fmt: skip
"""Exceptions that aiohttp raises for malformed multipart bodies."""


@dataclass
class _Form:
    """The fields of a form and its file, rewound."""

    file: IO[bytes]
    file_name: str | None = None
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def overwrite(self) -> bool:
        return self.fields.get("overwrite", "").lower() in ("true", "1", "yes", "on")


@endpoints.post(
    "/upload/image",
    body=record({"image": _FILE}, type=_FOLDER, subfolder=STRING, overwrite=STRING),
    body_type="multipart/form-data",
    answer=_ANSWER,
    errors=(400, 408, 413, 507),
)
async def upload_image(request: web.Request) -> web.StreamResponse:
    """Store a file; one of the same name is kept, unless the bytes are the same or overwrite is true."""
    here = services(request)
    with _room(here) as file:
        form = await _read(request, file)
        await on_picture_thread(partial(check_pixels, file, here.config.limits.picture_pixels))
        return await _store(form, here)


@endpoints.post(
    "/upload/mask",
    body=record({"image": _FILE, "original_ref": STRING}, type=_FOLDER, subfolder=STRING, overwrite=STRING),
    body_type="multipart/form-data",
    answer=_ANSWER,
    errors=(400, 404, 408, 413, 507),
)
async def upload_mask(request: web.Request) -> web.StreamResponse:
    """Store the picture that original_ref names, with the alpha of the mask that is sent."""
    here = services(request)
    with _room(here) as file, _room(here) as masked:
        form = await _read(request, file)
        original = await asyncio.to_thread(_original, form, here)
        data = await on_picture_thread(partial(with_mask, original, file, here.config.limits.picture_pixels))
        await asyncio.to_thread(masked.write, data)
        return await _store(_Form(masked, form.file_name, form.fields), here)


def _room(here: Services) -> IO[bytes]:
    """A nameless file for what is not complete yet; small ones stay in memory."""
    temp = here.config.folders.temp
    temp.mkdir(parents=True, exist_ok=True)
    return tempfile.SpooledTemporaryFile(max_size=1 << 20, dir=str(temp))


async def _read(request: web.Request, file: IO[bytes]) -> _Form:
    """The multipart body. Raises RequestError for one that is malformed, too large or without a file."""
    if request.content_type != "multipart/form-data":
        raise RequestError(400, "invalid_body", "the body must be multipart/form-data")
    most = services(request).config.max_upload_size
    if request.content_length is not None and request.content_length > most + _MOST_FIELDS * _LONGEST_FIELD:
        raise too_large(most)
    form = _Form(file)
    seconds = services(request).config.limits.body_seconds
    try:
        reader = await request.multipart()
        for _ in range(_MOST_FIELDS):
            async with asyncio.timeout(seconds):
                part = await reader.next()
            if part is None:
                break
            if not isinstance(part, BodyPartReader):
                raise RequestError(400, "invalid_body", "a part of the body is multipart itself")
            if part.name == "image":
                await _take_file(part, form, most, seconds)
            elif part.name:
                form.fields[part.name] = await _take_field(part, seconds)
        else:
            raise RequestError(400, "invalid_body", f"the body has more than {_MOST_FIELDS} parts")
    except TimeoutError as error:
        raise RequestError(408, "body_timeout", f"the body stood still for {seconds:g} s") from error
    except _UNSOUND as error:
        raise RequestError(400, "invalid_body", "malformed multipart/form-data body", str(error)[:200]) from error
    if form.file_name is None:
        raise RequestError(400, "invalid_body", "there is no file in the part named image")
    return form


async def _take_file(part: BodyPartReader, form: _Form, most: int, seconds: float) -> None:
    if form.file_name is not None:
        raise RequestError(400, "invalid_body", "there is more than one part named image")
    if not part.filename:
        raise RequestError(400, "invalid_body", "the part named image has no file name")
    size = 0
    while True:
        async with asyncio.timeout(seconds):
            chunk = await part.read_chunk(1 << 18)
        if not chunk:
            break
        size += len(chunk)
        if size > most:
            raise too_large(most)
        await asyncio.to_thread(form.file.write, chunk)
    form.file.seek(0)
    form.file_name = part.filename


async def _take_field(part: BodyPartReader, seconds: float) -> str:
    value = b""
    while True:
        async with asyncio.timeout(seconds):
            chunk = await part.read_chunk()
        if not chunk:
            return value.decode()
        value += chunk
        if len(value) > _LONGEST_FIELD:
            raise RequestError(413, "body_too_large", f"a field is larger than {_LONGEST_FIELD} bytes")


async def _store(form: _Form, here: Services) -> web.Response:
    folder = form.fields.get("type") or "input"
    if folder not in WORK_FOLDERS:
        raise RequestError(400, "invalid_body", f"type must be one of {', '.join(WORK_FOLDERS)}")
    subfolder = form.fields.get("subfolder", "").rstrip("/")
    subfolder = safe_name(subfolder, folder) if subfolder else ""
    name = await asyncio.to_thread(_place, form, here.config.folders.place(folder), subfolder, folder)
    return web.json_response({"name": name, "subfolder": subfolder, "type": folder}, dumps=compact_json)


def _place(form: _Form, root: Path, subfolder: str, folder: str) -> str:
    """Put the file there; the name it got."""
    assert form.file_name is not None
    directory = path_inside(root, subfolder, folder)
    if "/" in form.file_name or "\\" in form.file_name:
        raise InputFileError(f"file name {form.file_name[:80]!r}: expected a name; the folder goes into subfolder")
    if form.file_name.startswith("."):
        raise InputFileError(f"file name {form.file_name[:80]!r}: names that begin with a dot are hidden")
    wanted = path_inside(directory, form.file_name, folder)
    part = part_beside(wanted)
    try:
        form.file.seek(0)
        with part.open("wb") as out:
            shutil.copyfileobj(form.file, out, 1 << 20)
        if form.overwrite:
            part.replace(wanted)
            return wanted.name
        return place_new(part, wanted).name
    finally:
        part.unlink(missing_ok=True)


def _original(form: _Form, here: Services) -> Path:
    """The picture that ``original_ref`` names."""
    try:
        reference = json.loads(form.fields["original_ref"])
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
