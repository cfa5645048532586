"""Loads pictures of a dataset as tensors of one size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from nodes.training.errors import DatasetError

ResizeMethod = Literal["None", "Stretch", "Crop", "Pad"]
RESIZE_METHODS: Final = ("None", "Stretch", "Crop", "Pad")
_FILTER: Final = PIL.Image.Resampling.LANCZOS


def load_picture(path: Path, width: int | None = None, height: int | None = None, method: str = "Crop") -> Tensor:
    """Load a picture [H, W, 3] in 0..1, with white behind transparent parts, resized by ``method`` if a size is given.

    ``Stretch`` ignores the aspect ratio, ``Crop`` cuts both sides equally, ``Pad`` adds black borders.
    Raises DatasetError.
    """
    try:
        with PIL.Image.open(path) as file:
            picture = _on_white(file)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise DatasetError(f"{path}: cannot be read as a picture: {error}") from error
    if width is not None and height is not None:
        picture = _resized(picture, width, height, method)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)


def load_pictures(
    paths: Sequence[Path], method: str = "None", width: int | None = None, height: int | None = None
) -> Tensor:
    """Load pictures [B, H, W, 3] in 0..1. Without a size, they are resized to the first picture's size.

    Raises DatasetError if the sizes differ and ``method`` is None.
    """
    loaded: list[Tensor] = []
    for path in paths:
        if method == "None":
            loaded.append(load_picture(path))
            if loaded[-1].shape != loaded[0].shape:
                (first, *_), (height_, width_, _) = [loaded[0].shape], loaded[-1].shape
                raise DatasetError(
                    f"{path}: is {width_}×{height_}, the first picture is {first[1]}×{first[0]}; "
                    "choose a resize_method other than None"
                )
        else:
            if width is None or height is None:
                height, width = load_picture(path).shape[:2]
            loaded.append(load_picture(path, width, height, method))
    return torch.stack(loaded)


def _on_white(file: PIL.Image.Image) -> PIL.Image.Image:
    if file.mode in ("RGB", "L"):
        return file.convert("RGB")
    picture = file.convert("RGBA")
    ground = PIL.Image.new("RGBA", picture.size, "white")
    return PIL.Image.alpha_composite(ground, picture).convert("RGB")


def _resized(picture: PIL.Image.Image, width: int, height: int, method: str) -> PIL.Image.Image:
    if picture.size == (width, height):
        return picture
    if method == "Stretch":
        return picture.resize((width, height), _FILTER)
    ratios = width / picture.width, height / picture.height
    scale = max(ratios) if method == "Crop" else min(ratios)
    scaled = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), _FILTER)
    left, top = (scaled.width - width) // 2, (scaled.height - height) // 2
    return scaled.crop((left, top, left + width, top + height))
