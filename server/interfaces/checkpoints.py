"""Checkpoints, by what their files say: the family, the size that they were trained for, extra inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graph.errors import InputFileError
from graph.folders import Folders
from graph.formats.model_header import ModelHeader, family_in, notes, read_header

FOLDER: Final = "checkpoints"
EMBEDDED: Final = "sumi-tiny.safetensors"
"""The model that comes with Sumi."""

_SIDES: Final[Mapping[str, int]] = {"SD1": 512, "SD2": 768, "SDXL": 1024}
_NOT_RUN: Final = ("SDXL refiner", "SD3", "Flux")
"""Families that make no picture out of a text here."""
_FIRST_LAYER: Final = "model.diffusion_model.input_blocks.0.0.weight"
_SMALL: Final = 64
"""Channels of the first layer up to which a network is one like the embedded model, trained at 128 pixels."""
_SMALL_SIDE: Final = 128
_USUAL_SIDE: Final = 512
_MULTIPLE: Final = 8
_SIDE_LIMITS: Final = (64, 4096)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in the checkpoints folder. ``side``: the square that it was trained for, in pixels.

    ``family`` is None if the file does not tell it. ``inpaints``: it takes the masked picture as extra channels.
    """

    name: str
    family: str | None
    side: int
    inpaints: bool

    @property
    def cfg(self) -> float:
        """A usual guidance scale."""
        if self.side == _SMALL_SIDE:
            return 5.0
        return 6.0 if self.family == "SDXL" else 7.0

    @property
    def reason_not_to_run(self) -> str | None:
        """Why this model alone makes no picture out of a text; None if it does."""
        return f"is a model of the family {self.family}" if self.family in _NOT_RUN else None

    def size_like(self, width: int, height: int) -> tuple[int, int]:
        """Return a size with the shape of ``width``×``height`` and about the area that the model was trained for."""
        scale = self.side / (width * height) ** 0.5
        low, high = _SIDE_LIMITS
        scaled = (min(high, max(low, side * scale)) for side in (width, height))
        wide, tall = (max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE) for side in scaled)
        return wide, tall


def read_checkpoint(folders: Folders, name: str) -> Checkpoint:
    """Read the header of a checkpoint. Raises InputFileError if there is none of this name."""
    path = folders.expected(FOLDER, name)
    header = _header(path)
    if header is None:
        return Checkpoint(name, None, _USUAL_SIDE, False)
    first = header.shapes.get(_FIRST_LAYER, ())
    family = family_in(header)
    small = family is None and 0 < (first[0] if first else 0) <= _SMALL
    side = _stated_side(header) or _SIDES.get(family or "") or (_SMALL_SIDE if small else _USUAL_SIDE)
    return Checkpoint(name, family, side, len(first) == 4 and first[1] == 9)


def checkpoint_names(folders: Folders) -> list[str]:
    """Return the names of all checkpoints."""
    try:
        return folders.names(FOLDER)
    except (InputFileError, OSError):
        return []


def default_checkpoint(folders: Folders) -> str | None:
    """Return the embedded model, or else the first checkpoint; None if there is none."""
    names = checkpoint_names(folders)
    return EMBEDDED if EMBEDDED in names else next(iter(names), None)


def find_checkpoint(folders: Folders, name: str) -> str | None:
    """Return the checkpoint that ``name`` means: a file's name, with or without its ending and folder."""
    names = checkpoint_names(folders)
    if name in names:
        return name
    for same in (_stem, lambda file: _stem(file).rpartition("/")[2]):
        found = [file for file in names if same(file) == name]
        if len(found) == 1:
            return found[0]
    return None


def _stem(file: str) -> str:
    return file.rpartition(".")[0]


def _header(path: Path) -> ModelHeader | None:
    if path.suffix.lower() not in (".safetensors", ".sft"):
        return None
    try:
        return read_header(path)
    except OSError:
        return None


def _stated_side(header: ModelHeader) -> int | None:
    """Return the geometric mean of the sides in ``modelspec.resolution`` (``1024x1024``); None without it."""
    text = notes(header.metadata).get("resolution", "")
    sides = [int(part) for part in text.lower().split("x") if part.isdecimal() and len(part) < 5]
    if len(sides) not in (1, 2) or not all(64 <= side <= 4096 for side in sides):
        return None
    return round((sides[0] * sides[-1]) ** 0.5 / _MULTIPLE) * _MULTIPLE
