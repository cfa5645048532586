"""Reads picture files in every mode that Pillow knows, turned upright, with alpha as a mask.

Of a damaged file the readable part is used, with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL.Image
import torch
from PIL import ImageSequence

from graph.context import warn
from graph.errors import InputFileError
from graph.formats.picture_files import DAMAGE, read_damaged, upright, white_level, with_8_bits
from nodes.pictures.pixels import from_pillow

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_PIXELS = 128 * 2**20
"""Limit on the pixels of a file, all frames together: 1.6 GB as an IMAGE."""

NO_MASK_SIZE = 64
"""Width and height of the mask that ComfyUI gives a picture without alpha, all zeros."""


def load_image(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Read ``path`` as image [B, H, W, 3] and mask [B, H, W], where the mask is 1 - alpha.

    EXIF orientation is applied. Frames of an animation and pages of a TIFF become the batch;
    frames of another size than the first are left out. Without alpha the mask is
    [B, 64, 64] zeros. Raises InputFileError.
    """
    frames = _read(path, lambda damaged: _all_of_first_size(path, damaged))
    images, masks = [image for image, _ in frames], [mask for _, mask in frames]
    size = (NO_MASK_SIZE, NO_MASK_SIZE) if all(mask is None for mask in masks) else images[0].shape[:2]
    filled = [torch.zeros(size) if mask is None else mask for mask in masks]
    return torch.stack(images), torch.stack(filled)


def first_frame(path: Path) -> PIL.Image.Image:
    """Read the first frame as 8-bit RGB, on white where it is transparent. Raises InputFileError."""

    def read(_: bool) -> PIL.Image.Image:
        frame = with_8_bits(next(_frames(path)))
        if not frame.has_transparency_data:
            return frame.convert("RGB")
        white = PIL.Image.new("RGBA", frame.size, "white")
        return PIL.Image.alpha_composite(white, frame.convert("RGBA")).convert("RGB")

    return _read(path, read)


def load_channel(path: Path, channel: str) -> torch.Tensor:
    """Read one channel of the first frame as a mask [1, H, W]: ``red``, ``green``, ``blue``, or ``alpha``.

    Alpha is inverted: 1 - alpha, zeros without alpha. Raises InputFileError.
    """

    def read(_: bool) -> torch.Tensor:
        frame = next(_frames(path))
        if channel == "alpha":
            return (1.0 - from_pillow(frame.convert("RGBA").getchannel("A"))).movedim(-1, 0)
        return _rgb(frame)[..., ("red", "green", "blue").index(channel)].unsqueeze(0)

    return _read(path, read).contiguous()


def _read(path: Path, read: Callable[[bool], T]) -> T:
    """Return ``read(False)``, or ``read(True)`` with a warning if the file is damaged. Raises InputFileError."""
    with _plain_errors(path):
        return read_damaged(path, read, lambda reason: _warn_of_damage(path, reason))


def _warn_of_damage(path: Path, reason: str) -> None:
    warn(log, f"{path.name} is damaged ({reason}). The readable part is used.")


def _all_of_first_size(path: Path, damaged: bool) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Return image [H, W, 3] and mask [H, W] of each frame with the size of the first.

    With ``damaged``, frames after the first unreadable one are left out.
    """
    found: list[tuple[torch.Tensor, torch.Tensor | None]] = []
    size = None
    try:
        for frame in _frames(path):
            size = size or frame.size
            if frame.size == size:
                found.append((_rgb(frame), _mask(frame)))
    except DAMAGE:
        if not (damaged and found):
            raise
    return found


def _frames(path: Path) -> Iterator[PIL.Image.Image]:
    """Yield the frames of ``path`` upright, at least one."""
    with PIL.Image.open(path) as picture:
        pixels = 0
        for frame in ImageSequence.Iterator(picture):
            pixels += frame.width * frame.height
            if pixels > MAX_PIXELS:
                raise _too_many_pixels(path, pixels)
            frame.load()
            yield upright(frame, lambda reason: _warn_of_damage(path, reason))
            # An MPO's further frames are a camera's other views, not an animation.
            if picture.format == "MPO":
                break


def _rgb(frame: PIL.Image.Image) -> torch.Tensor:
    white = white_level(frame)
    if white is not None:
        # Pillow's own conversion would clip these greys at 255.
        grey = torch.from_numpy(np.array(frame).astype(np.float32)) / white
        return grey.nan_to_num(0.0).clamp(0.0, 1.0).unsqueeze(-1).expand(-1, -1, 3).contiguous()
    return from_pillow(frame.convert("RGB"))


def _mask(frame: PIL.Image.Image) -> torch.Tensor | None:
    has_alpha = frame.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    if not has_alpha and not (frame.mode == "P" and "transparency" in frame.info):
        return None
    return 1.0 - from_pillow(frame.convert("RGBA").getchannel("A"))[..., 0]


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Raise InputFileError for each of the errors with which Pillow rejects a file."""
    try:
        yield
    except PIL.UnidentifiedImageError as error:
        with path.open("rb") as file:
            is_tiff = file.read(4) in (b"II*\0", b"MM\0*")
        if is_tiff:
            raise InputFileError(
                f"{path} is a damaged TIFF, or its pixels have a type that Sumi does not read; expected 8 or 16 bits "
                "a channel, or greys in float32"
            ) from error
        raise InputFileError(f"{path} is not a picture in a format that Sumi reads") from error
    except PIL.Image.DecompressionBombError as error:
        raise InputFileError(f"{path} is too large: {error}") from error
    except (*DAMAGE, MemoryError) as error:
        raise InputFileError(f"{path} is damaged or truncated and cannot be read: {error}") from error


def _too_many_pixels(path: Path, pixels: int) -> InputFileError:
    return InputFileError(f"{path} has {pixels:,} pixels or more. The limit is {MAX_PIXELS:,}: make it smaller.")
