"""The models with which the nodes that explain are tested: the embedded one, and small ones of SD2 and SDXL."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from nodes.models.checkpoint import Checkpoint
from tests.oracle.small_checkpoints import SD2, SDXL

EMBEDDED = Path(__file__).parents[3] / "models" / "checkpoints" / "sumi-tiny.safetensors"
NAMES = ("embedded", "sd2", "sdxl")


@cache
def checkpoint(name: str) -> Checkpoint:
    """Return the file with that name in NAMES."""
    if name == "embedded":
        return Checkpoint.open(EMBEDDED)
    return Checkpoint.open({"sd2": SD2, "sdxl": SDXL}[name].write(Path(mkdtemp()) / f"{name}.safetensors"))
