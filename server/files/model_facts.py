"""The facts about a model file: kind, family, words and notes from its header, and its picture."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any, Final

from graph.formats.model_header import family_in, notes, read_header, trigger_words
from graph.formats.model_kinds import short_kind_of_file

_PICTURES: Final = tuple(
    f"{middle}{ending}" for middle in (".preview", "") for ending in (".png", ".jpg", ".jpeg", ".webp")
)
"""Endings of a preview picture, after the model's name without its own: ``model.preview.png``, ``model.png`` …"""

_THUMBNAIL: Final = "modelspec.thumbnail"
"""The picture in the metadata, as a data URL (Stability AI's ModelSpec 1.0)."""

_DATA_URL: Final = re.compile(r"data:image/(?:jpeg|png|webp);base64,")
_MOST: Final = 5000


class ModelFacts:
    """Facts about files, each read once for its size and time of change."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int, int], dict[str, Any]] = OrderedDict()
        self._lock = Lock()

    def of(self, path: Path) -> dict[str, Any]:
        """Return ``kind``, ``family``, ``words``, ``notes`` and ``preview`` of a file. Slow the first time.

        ``preview``: there is a picture, beside the file or in its metadata.
        """
        state = path.stat()
        key = (str(path), state.st_size, state.st_mtime_ns)
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = _read(path)
            with self._lock:
                self._known[key] = known
                if len(self._known) > _MOST:
                    self._known.popitem(last=False)
        return {**known, "preview": known["preview"] or preview_of(path) is not None}


UNKNOWN: Final[dict[str, Any]] = {"kind": None, "family": None, "words": [], "notes": {}, "preview": False}
"""The facts about a file that is on another machine or has no header."""


def _read(path: Path) -> dict[str, Any]:
    header = None
    if path.suffix.lower() in (".safetensors", ".sft"):
        try:
            header = read_header(path)
        except OSError:
            header = None  # listed without facts; a run that loads it reports the error
    if header is None:
        return dict(UNKNOWN)
    return {
        "preview": _THUMBNAIL in header.metadata,
        "kind": short_kind_of_file(header.shapes),
        "family": family_in(header),
        "words": trigger_words(header.metadata),
        "notes": notes(header.metadata),
    }


def preview_of(path: Path) -> Path | None:
    """Return the picture beside a model file; None if there is none."""
    stem = os.path.splitext(path)[0]
    return next((found for ending in _PICTURES if (found := Path(stem + ending)).is_file()), None)


def thumbnail_of(path: Path) -> bytes | None:
    """Return the picture in a model file's metadata as a picture file; None if there is none that can be read."""
    try:
        header = read_header(path)
    except OSError:
        return None
    given = header.metadata.get(_THUMBNAIL, "") if header is not None else ""
    start = _DATA_URL.match(given)
    if start is None:
        return None
    try:
        return base64.b64decode(given[start.end() :])
    except binascii.Error:
        return None
