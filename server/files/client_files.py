"""Turns file names from clients into paths, and writes files safely."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from graph.errors import InputFileError
from graph.folders import check_inside, relative_name
from graph.operating_system import replace_file


def path_inside(root: Path, name: str, shown: str) -> Path:
    """Return the path of ``name`` below ``root``, whether or not it exists; '' is ``root`` itself.

    Raises InputFileError for a name that leaves ``root``, also through a symbolic link.
    """
    if name in ("", ".", "./"):
        return root
    path = root / safe_name(name, shown)
    check_inside(path, root, name, shown)
    return path


def safe_name(name: str, shown: str) -> str:
    """Return ``name`` as a relative path with ``/`` that stays inside its folder. Raises InputFileError."""
    relative = relative_name(name, shown)
    if any(ord(character) < 32 or ord(character) == 127 for character in relative):
        raise InputFileError(f"file name {name[:80]!r}: contains a control character")
    return relative


def write_whole(path: Path, data: bytes) -> None:
    """Replace ``path`` atomically: readers see either the old bytes or the new ones."""
    part = part_beside(path)
    try:
        part.write_bytes(data)
        replace_file(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_beside(path: Path) -> Path:
    """Create an empty hidden file in the folder of ``path`` (also created). Rename it when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(handle)
    with contextlib.suppress(
        OSError
    ):  # mkstemp makes the file unreadable for other users; pictures need no such protection
        os.chmod(name, 0o644)
    return Path(name)


def place_new(part: Path, wanted: Path) -> Path:
    """Rename ``part`` to ``wanted`` or, if a file with other bytes has that name, to ``name (1).ending``, ``(2)`` …

    If a file with the same bytes exists, it is used and ``part`` is deleted. Returns the path of the bytes.
    """
    for candidate in _candidates(wanted):
        try:
            candidate.open("xb").close()
        except FileExistsError:
            if candidate.is_file() and _same_bytes(part, candidate):
                part.unlink()
                return candidate
            continue
        replace_file(part, candidate)
        return candidate
    raise InputFileError(f"file name {wanted.name!r}: too many files have that name; choose another")


def _candidates(wanted: Path) -> Iterator[Path]:
    yield wanted
    for number in range(1, 10_000):
        yield wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")


def _same_bytes(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while chunk := first.read(1 << 20):
            if second.read(len(chunk)) != chunk:
                return False
    return True
