"""Takes pictures in from requests, and finds the pictures that a job has made."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import io
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from graph.errors import FormatError, InputFileError
from graph.folders import Folders
from graph.formats.picture import texts_in
from graph.results import SavedFile, files_in
from server.files.client_files import path_inside, write_whole
from server.files.pictures import converted, damage_of, on_picture_thread, picture_kind
from server.files.saved_files import address_of
from server.http.request_error import RequestError
from server.services import Services
from server.store.jobs import Job

FOLDER: Final = "api"
"""The subfolder of the input folder for pictures that come with requests."""
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp", ".tiff")


@dataclass(frozen=True, slots=True)
class MadePicture:
    """A picture file that the output node ``node`` of a job has saved."""

    file: SavedFile
    path: Path
    node: str

    @property
    def address(self) -> str:
        """The path and query under which the server sends the file."""
        return address_of(self.file)

    @property
    def content_type(self) -> str:
        """The file's type, such as ``image/png``."""
        return mimetypes.guess_type(self.file.filename)[0] or "application/octet-stream"

    async def data(self) -> bytes:
        """Return the file's bytes. Raises RequestError (404) if it was deleted."""
        try:
            return await asyncio.to_thread(self.path.read_bytes)
        except OSError as error:
            raise RequestError(404, "not_found", f"the picture {self.file.filename[:200]!r} is gone") from error

    async def data_as(self, kind: str, quality: int | None, most_pixels: int) -> bytes:
        """Return the picture as ``png``, ``jpeg`` or ``webp``; ``quality`` is 0..100, None for a usual one.

        A file of this kind is returned unchanged, unless a quality is wanted. Raises RequestError.
        """
        if self.content_type == f"image/{kind}" and (quality is None or kind == "png"):
            return await self.data()
        try:
            return await on_picture_thread(partial(converted, self.path, kind, quality, most_pixels))
        except OSError as error:
            raise RequestError(404, "not_found", f"the picture {self.file.filename[:200]!r} is gone") from error

    async def texts(self) -> dict[str, str]:
        """Return the texts in the file (``prompt``, ``workflow``, ``parameters`` …); {} if none can be read."""
        try:
            return texts_in(await self.data())
        except FormatError:
            return {}


def pictures_of(job: Job, folders: Folders, nodes: Sequence[str] | None = None) -> list[MadePicture]:
    """Return the pictures of a job's output nodes, in the order of ``nodes``; None means all nodes, as they ran."""
    made = []
    for node in job.outputs if nodes is None else nodes:
        output = job.outputs.get(node)
        for file in files_in(output if isinstance(output, dict) else None):
            if not file.filename.lower().endswith(_PICTURES):
                continue
            try:
                made.append(
                    MadePicture(file, path_inside(folders.place(file.folder), file.relative, file.folder), node)
                )
            except InputFileError:
                continue  # a node pack named a file outside the folders
    return made


async def keep_picture(here: Services, data: bytes, field: str) -> str:
    """Store a picture in the input folder and return the name for a node that loads pictures.

    The name is made from the bytes, so the same picture is stored once and finds cached results. Raises RequestError
    that names ``field``: 400 for data that is not a whole picture, 413 for one that is too large.
    """
    most = here.config.limits.picture_pixels
    if len(data) > here.config.max_upload_size:
        message = f"{field}: larger than {here.config.max_upload_size} bytes"
        raise RequestError(413, "body_too_large", message, extra={"param": field})
    kind = await on_picture_thread(partial(picture_kind, io.BytesIO(data), most))
    if kind is None:
        raise _invalid(field, "not a picture", "expected PNG, JPEG, WebP, GIF or AVIF")
    try:
        damage = await on_picture_thread(partial(damage_of, io.BytesIO(data), most))
    except RequestError as error:
        raise RequestError(
            error.status, error.kind, f"{field}: {error.message}", error.details, extra={"param": field}
        ) from error
    if damage is not None:
        raise _invalid(field, "the picture is damaged", f"{damage[:200]}; send the whole file")
    return await asyncio.to_thread(stored_picture, here.config.folders, data, kind)


def stored_picture(folders: Folders, data: bytes, kind: str) -> str:
    """Store a picture of this ``kind`` (``png``, ``jpg`` …) in the input folder and return its name."""
    name = f"{hashlib.sha256(data).hexdigest()[:32]}.{kind}"
    path = folders.input / FOLDER / name
    if not path.is_file():
        write_whole(path, data)
    return f"{FOLDER}/{name}"


def decoded_base64(text: str, field: str) -> bytes:
    """Decode base64, also as a ``data:`` address. Raises RequestError (400) that names ``field``.

    Addresses of other servers are refused: Sumi does not fetch them.
    """
    if text.startswith(("http://", "https://")):
        raise _invalid(field, "addresses are not fetched", "send the picture's bytes in base64")
    if text.startswith("data:"):
        _, _, text = text.partition(",")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid(field, "not valid base64", str(error)[:200]) from error


def _invalid(field: str, message: str, details: str) -> RequestError:
    return RequestError(400, "invalid_picture", f"{field}: {message}", details, extra={"param": field})
