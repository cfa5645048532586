"""Reads multipart forms within limits. Invalid ones raise RequestError."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Final

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from server.http.request_error import RequestError
from server.routes.request_data import too_large
from server.services import Services, services

MULTIPART: Final = "multipart/form-data"

_MOST_PARTS: Final = 200
_LONGEST_FIELD: Final = 64 * 1024
_MALFORMED: Final = (
    HttpProcessingError, web.RequestPayloadError, ValueError, LookupError, AssertionError, RuntimeError,
)  # fmt: skip
"""Exceptions that aiohttp raises for malformed multipart bodies."""


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file of a form. ``file`` is at its start, and is closed with the form."""

    file_name: str
    file: IO[bytes]

    async def data(self) -> bytes:
        """Return all bytes."""
        self.file.seek(0)
        return await asyncio.to_thread(self.file.read)


@dataclass(slots=True)
class Form:
    """The parts of a form: texts and files by name, each name's in their order."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[FormFile]] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """Return the last text of that name; None if there is none."""
        texts = self.fields.get(name)
        return texts[-1] if texts else None


@asynccontextmanager
async def form_data(request: web.Request, most_files: int = 1) -> AsyncIterator[Form]:
    """Read a multipart body. All its files together may have ``max_upload_size`` bytes.

    Raises RequestError if it is malformed (400), too large (413) or stalls (408). A part without a name is passed over.
    """
    if request.content_type != MULTIPART:
        raise RequestError(400, "invalid_body", f"the body must be {MULTIPART}")
    here = services(request)
    most = here.config.max_upload_size
    if request.content_length is not None and request.content_length > most + _MOST_PARTS * _LONGEST_FIELD:
        raise too_large(most)
    seconds = here.config.limits.body_seconds
    form = Form()
    with ExitStack() as closing:
        try:
            await _read(request, here, form, most_files, closing)
        except TimeoutError as error:
            raise RequestError(408, "body_timeout", f"the body stood still for {seconds:g} s") from error
        except _MALFORMED as error:
            raise RequestError(400, "invalid_body", f"malformed {MULTIPART} body", str(error)[:200]) from error
        yield form


async def _read(request: web.Request, here: Services, form: Form, most_files: int, closing: ExitStack) -> None:
    seconds, left, files = here.config.limits.body_seconds, here.config.max_upload_size, 0
    reader = await request.multipart()
    for _ in range(_MOST_PARTS):
        async with asyncio.timeout(seconds):
            part = await reader.next()
        if part is None:
            return
        if not isinstance(part, BodyPartReader):
            raise RequestError(400, "invalid_body", "a part of the body is multipart itself")
        if part.name and part.filename:
            files += 1
            if files > most_files:
                raise RequestError(400, "invalid_body", f"there are more than {most_files} files")
            file = closing.enter_context(temporary_file(here))
            left -= await _take_file(part, file, left, seconds, here.config.max_upload_size)
            form.files.setdefault(part.name, []).append(FormFile(part.filename, file))
        elif part.name:
            form.fields.setdefault(part.name, []).append(await _take_field(part, seconds))
    raise RequestError(400, "invalid_body", f"the body has more than {_MOST_PARTS} parts")


def temporary_file(here: Services) -> IO[bytes]:
    """Return a temporary file for an incomplete upload; a small one stays in memory."""
    temp = here.config.folders.temp
    temp.mkdir(parents=True, exist_ok=True)
    return tempfile.SpooledTemporaryFile(max_size=1 << 20, dir=str(temp))


async def _take_file(part: BodyPartReader, file: IO[bytes], left: int, seconds: float, most: int) -> int:
    """Read a file of at most ``left`` bytes. Returns its size."""
    size = 0
    while True:
        async with asyncio.timeout(seconds):
            chunk = await part.read_chunk(1 << 18)
        if not chunk:
            file.seek(0)
            return size
        size += len(chunk)
        if size > left:
            raise too_large(most)
        await asyncio.to_thread(file.write, chunk)


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
