"""The pictures that come with a request: stored in the input folder, with their sizes and the mask's extent."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from server.files.pictures import on_picture_thread, picture_facts
from server.http.request_error import RequestError
from server.interfaces.a1111.fields import field_error
from server.interfaces.a1111.parameters import PictureRequest
from server.interfaces.pictures import decoded_base64, keep_picture
from server.services import Services


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture in the input folder: the name for a node that loads it, its size in pixels, and whether a part of it is
    transparent."""

    name: str
    width: int
    height: int
    is_transparent: bool = False


@dataclass(frozen=True, slots=True)
class StoredMask:
    """A grey picture in the input folder, white where the picture is drawn again.

    ``box`` is the extent (left, top, right, bottom) of what is not black, None for a black mask; ``inverted_box``
    that of what is not white.
    """

    name: str
    box: tuple[int, int, int, int] | None
    inverted_box: tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class RequestPictures:
    """All pictures of a request; those of ControlNet units by their number."""

    sources: tuple[StoredPicture, ...] = ()
    mask: StoredMask | None = None
    control: Mapping[int, StoredPicture] = field(default_factory=dict)


async def keep_pictures(here: Services, wanted: PictureRequest) -> RequestPictures:
    """Store a request's pictures. Raises RequestError (422) that names the field of an unusable one."""
    sources, mask = [], None
    if wanted.source is not None:
        for text in wanted.source.pictures:
            sources.append(await keep(here, text, "init_images"))
        if wanted.source.mask:
            mask = await _keep_mask(here, wanted.source.mask, sources[0])
    control = {}
    for number, unit in enumerate(wanted.units):
        name = f"alwayson_scripts.ControlNet.args[{number}].image"
        if unit.picture:
            control[number] = await keep(here, unit.picture, name)
        elif not sources:
            raise field_error(name, "is missing", "a picture in base64")
    return RequestPictures(tuple(sources), mask, control)


async def keep(here: Services, text: str, name: str) -> StoredPicture:
    """Store one picture in base64. Raises RequestError (422) that names the field."""
    try:
        stored = await keep_picture(here, decoded_base64(text, name), name)
        path = here.config.folders.input / stored
        facts = await on_picture_thread(partial(picture_facts, path, here.config.limits.picture_pixels))
    except RequestError as error:
        raise _named(error, name) from error
    return StoredPicture(stored, facts.width, facts.height, facts.is_transparent)


async def _keep_mask(here: Services, text: str, source: StoredPicture) -> StoredMask:
    """Store the mask as a grey picture of the size of ``source``: its transparency if it has some, else its colours."""
    try:
        original = await keep_picture(here, decoded_base64(text, "mask"), "mask")
        path = here.config.folders.input / original
        made = await on_picture_thread(partial(_grey, path.read_bytes(), (source.width, source.height)))
        name = await keep_picture(here, made[0], "mask")
    except RequestError as error:
        raise _named(error, "mask") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise field_error("mask", "the picture cannot be read", "PNG, JPEG or WebP") from error
    return StoredMask(name, made[1], made[2])


def _grey(
    data: bytes, size: tuple[int, int]
) -> tuple[bytes, tuple[int, int, int, int] | None, tuple[int, int, int, int] | None]:
    from PIL import Image, ImageChops

    with Image.open(io.BytesIO(data)) as image:
        image.load()
        alpha = image.convert("RGBA").getchannel("A")
        if image.mode in ("RGBA", "LA", "PA", "P") and alpha.getextrema()[0] != 255:
            grey = alpha.point([255 if value > 128 else 0 for value in range(256)])
        else:
            grey = image.convert("L")
    if grey.size != size:
        grey = grey.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    grey.convert("RGB").save(buffer, "png")
    return buffer.getvalue(), grey.getbbox(), ImageChops.invert(grey).getbbox()


def _named(error: RequestError, name: str) -> RequestError:
    status = 422 if error.status == 400 else error.status
    message = error.message if name in error.message else f"{name}: {error.message}"
    return RequestError(status, error.kind, message, error.details, extra={"param": name})
