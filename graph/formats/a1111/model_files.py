"""Find the model files that a picture's parameters name, by name or by hash.

A1111 knows four hashes of a file, and writes the first 8 to 12 hexadecimal digits of one:

- SHA-256 of the file (``Model hash``, 10 digits; Civitai's AutoV2),
- SHA-256 of a safetensors file without its header (``Lora hashes``, 12 digits; Civitai's AutoV3),
- before 2023 SHA-256 of 64 KiB from 1 MiB on (``Model hash``, 8 digits),
- the whole SHA-256, 64 digits.

Hashes are computed when no name matches, and stored in ``user/model_hashes.json``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from graph.folders import Folders
from graph.operating_system import replace_file

log = logging.getLogger(__name__)

HASHES: Final = "model_hashes.json"

_BLOCK: Final = 4 << 20
_EARLIEST: Final = (1 << 20, 64 << 10)
"""Place and length of the bytes in A1111's first hash."""
_FEWEST_DIGITS: Final = 8
_LARGEST_HEADER: Final = 100_000_000
_SMALL: Final = 128 << 20
"""Bytes of a file that is hashed in less than a second."""


class Hashes(NamedTuple):
    """The hashes of one file, hexadecimal. ``tensors`` is empty for files that are not safetensors."""

    whole: str
    tensors: str
    earliest: str

    def begin_with(self, digits: str) -> bool:
        return any(known.startswith(digits) for known in self)


class ModelFiles:
    """The model files of an installation; none without ``folders``.

    ``seconds`` limits the time for computing hashes. Hashes computed until then are stored.
    """

    def __init__(self, folders: Folders | None, seconds: float = float("inf")):
        self._folders = folders
        self._until = time.monotonic() + seconds
        self.unread = 0
        """Files that were not hashed because the time was up."""

    def names(self, folder: str) -> list[str]:
        """Return the files of a model folder, or none if the installation has no such folder."""
        if self._folders is None or folder not in self._folders.models:
            return []
        return self._folders.names(folder)

    def find(self, folder: str, name: str = "", digits: str = "") -> str | None:
        """Return the file called ``name`` (with or without folder and ending), or else the one with a matching hash.

        If several files have that name, their hashes decide.
        """
        listed = self.names(folder)
        named = [candidate for candidate in listed if name and _same_name(candidate, name)]
        digits = digits.strip().lower()
        if len(named) == 1 or (named and len(digits) < _FEWEST_DIGITS):
            return named[0]
        if len(digits) >= _FEWEST_DIGITS:
            for candidate in named or listed:
                hashes = self._hashes(folder, candidate)
                if hashes is not None and hashes.begin_with(digits):
                    return candidate
        return named[0] if named else None

    def known_hashes(self, folder: str, name: str) -> Hashes | None:
        """Return the hashes of a file if they are stored, or if the file is small; None otherwise."""
        if self._folders is None:
            return None
        path = self._folders.expected(folder, name)
        try:
            status = path.stat()
        except OSError:
            return None
        known = _remembered(self._folders.user / HASHES).get(str(path))
        if isinstance(known, list) and known[:2] == [status.st_size, status.st_mtime_ns]:
            return self._hashes(folder, name)
        return self._hashes(folder, name) if status.st_size <= _SMALL else None

    def _hashes(self, folder: str, name: str) -> Hashes | None:
        assert self._folders is not None
        path = self._folders.expected(folder, name)
        try:
            status = path.stat()
            state = [status.st_size, status.st_mtime_ns]
            memory = self._folders.user / HASHES
            known = _remembered(memory).get(str(path))
            if isinstance(known, list) and known[:2] == state and len(known) == 5:
                return Hashes(*map(str, known[2:]))
            if time.monotonic() > self._until:
                self.unread += 1
                return None
            log.info("computing the hash of %s", path)
            hashes = hashes_of(path)
        except FileNotFoundError:  # it is on another machine, or was just deleted
            return None
        except OSError as error:
            log.warning("%s cannot be read: %s", path, error)
            return None
        _remember(memory, str(path), [*state, *hashes])
        return hashes


def hashes_of(path: Path) -> Hashes:
    """Compute the hashes of the file at ``path``. Raises OSError."""
    whole, tensors = hashlib.sha256(), hashlib.sha256()
    with open(path, "rb") as file:
        start = file.read(9)
        header = int.from_bytes(start[:8], "little")
        is_safetensors = start[8:9] == b"{" and header <= _LARGEST_HEADER
        skipped = 8 + header
        file.seek(0)
        place = 0
        while block := file.read(_BLOCK):
            whole.update(block)
            if is_safetensors:
                tensors.update(block[max(0, skipped - place) :])
            place += len(block)
        file.seek(_EARLIEST[0])
        earliest = hashlib.sha256(file.read(_EARLIEST[1]))
    return Hashes(whole.hexdigest(), tensors.hexdigest() if is_safetensors else "", earliest.hexdigest())


def _same_name(candidate: str, name: str) -> bool:
    """Return whether a name can mean a file; names often lack folder and ending, and have ``_`` for ``/``."""
    wanted = name.strip().replace("\\", "/").lower()
    return any(wanted in (form, os.path.splitext(form)[0]) for form in _forms(candidate.lower()))


def _forms(candidate: str) -> Iterator[str]:
    yield candidate
    yield candidate.rpartition("/")[2]
    yield candidate.replace("/", "_")


def _remembered(memory: Path) -> dict[str, object]:
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(memory: Path, path: str, entry: list[object]) -> None:
    """Add an entry. If two processes write at once, one of the entries is computed again later."""
    part = memory.with_name(f".{secrets.token_hex(8)}.part")
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({**_remembered(memory), path: entry}), encoding="utf-8")
        replace_file(part, memory)
    with contextlib.suppress(OSError):
        part.unlink()
