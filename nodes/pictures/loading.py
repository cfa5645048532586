"""Reading picture files: any mode Pillow knows, turned upright, alpha as a mask."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from PIL import ImageOps, ImageSequence

from graph.errors import InputFileError
from nodes.pictures.pixels import from_pillow

MAX_PIXELS = 128 * 2**20
"""Pixels of a file, all frames together, that are read at most: 1.6 GB as an IMAGE."""

NO_MASK_SIZE = 64
"""ComfyUI's mask of a picture without alpha is this wide and high, all zeros."""


def load_image(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Read ``path`` → image [B, H, W, 3] and mask [B, H, W], the mask being 1 - alpha.

    EXIF orientation is applied. Frames of an animation and pages of a TIFF are the batch;
    those of another size than the first are left out. Without alpha the mask is
    [B, 64, 64] zeros. Raises InputFileError.
    """
    images: list[torch.Tensor] = []
    masks: list[torch.Tensor | None] = []
    with _said_plainly(path):
        for frame in _frames(path):
            image, mask = _rgb(frame), _mask(frame)
            if images and image.shape != images[0].shape:
                continue
            images.append(image)
            masks.append(mask)
    size = (NO_MASK_SIZE, NO_MASK_SIZE) if all(mask is None for mask in masks) else images[0].shape[:2]
    filled = [torch.zeros(size) if mask is None else mask for mask in masks]
    return torch.stack(images), torch.stack(filled)


def load_channel(path: Path, channel: str) -> torch.Tensor:
    """One channel of the first frame as a mask [1, H, W]: ``red``, ``green``, ``blue``, or ``alpha``.

    Alpha is inverted: 1 - alpha, zeros where there is none. Raises InputFileError.
    """
    with _said_plainly(path):
        frame = next(_frames(path))
        if channel == "alpha":
            return (1.0 - from_pillow(frame.convert("RGBA").getchannel("A"))).movedim(-1, 0)
        return _rgb(frame)[..., ("red", "green", "blue").index(channel)].unsqueeze(0)


def _frames(path: Path) -> Iterator[PIL.Image.Image]:
    """The upright frames of ``path``, at least one."""
    with PIL.Image.open(path) as picture:
        pixels = 0
        for frame in ImageSequence.Iterator(picture):
            pixels += frame.width * frame.height
            if pixels > MAX_PIXELS:
                raise _too_many_pixels(path, pixels)
            frame.load()
            yield ImageOps.exif_transpose(frame)
            # An MPO's further frames are a camera's other views, not an animation.
            if picture.format == "MPO":
                break


def _rgb(frame: PIL.Image.Image) -> torch.Tensor:
    if frame.mode.startswith("I"):
        # 16-bit greys; Pillow's own conversion would clip them at 255.
        grey = torch.from_numpy(np.array(frame).astype(np.float32)) / 65535.0
        return grey.clamp(0.0, 1.0).unsqueeze(-1).expand(-1, -1, 3).contiguous()
    return from_pillow(frame.convert("RGB"))


def _mask(frame: PIL.Image.Image) -> torch.Tensor | None:
    has_alpha = frame.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    if not has_alpha and not (frame.mode == "P" and "transparency" in frame.info):
        return None
    return 1.0 - from_pillow(frame.convert("RGBA").getchannel("A"))[..., 0]


@contextmanager
def _said_plainly(path: Path) -> Iterator[None]:
    """Pillow's many ways of refusing a file, as InputFileError."""
    try:
        yield
    except PIL.UnidentifiedImageError as error:
        raise InputFileError(f"{path} is not a picture of a kind that can be read") from error
    except PIL.Image.DecompressionBombError as error:
        raise InputFileError(f"{path} is too large to be read: {error}") from error
    except _DAMAGE as error:
        raise InputFileError(f"{path} is damaged or truncated and cannot be read: {error}") from error


_DAMAGE = (
    *(OSError, EOFError, RuntimeError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError),
    *(AttributeError, AssertionError, MemoryError, struct.error, zlib.error),
)
"""What Pillow's decoders raise on damaged files."""


def _too_many_pixels(path: Path, pixels: int) -> InputFileError:
    return InputFileError(
        f"{path} holds {pixels:,} pixels or more; at most {MAX_PIXELS:,} are read. Make it smaller first."
    )
