"""Finds saved workflows and examples by the name of their app, and the picture that stands for each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from graph.errors import FormatError, InputFileError
from graph.formats.json_text import parse_json
from server.files.client_files import path_inside

EXAMPLES: Final = Path(__file__).parents[2] / "workflows"
"""Each example is ``NAME.json``, as an editor saves it, with its picture, ``NAME.webp``."""
WORKFLOWS: Final = "workflows"
"""The folder of saved workflows in the user's data."""
PICTURES: Final = "app_pictures"
"""The folder in the user's data in which editors keep the latest picture of each saved workflow."""

_APP: Final = ".app.json"
_ENDINGS: Final = (_APP, ".json")
_PICTURE_ENDINGS: Final = (".webp", ".png", ".jpg", ".jpeg")
_MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SavedApp:
    """A workflow's file. ``name`` is its path below the folder, without ending. ``modified``: seconds since 1970.

    ``is_app``: the file is named ``*.app.json`` or says ``linearMode``.
    """

    name: str
    path: Path
    picture: Path | None
    modified: float
    is_app: bool
    example: bool


def saved_apps(user_data: Path, examples: Path) -> list[SavedApp]:
    """Return all saved workflows, apps first, then the examples; each by name. Unreadable files are passed over."""
    top = user_data / WORKFLOWS
    saved = [app for path in _json_files(top) if (app := _app(path, top, user_data / PICTURES)) is not None]
    shown = [app for path in sorted(examples.glob("*.json")) if (app := _example(path)) is not None]
    return [*sorted(saved, key=lambda app: (not app.is_app, app.name.lower())), *shown]


def find_app(name: str, user_data: Path, examples: Path) -> SavedApp | None:
    """Return the saved workflow or example of this name; None if there is none.

    A name may have its ending. If both ``x.app.json`` and ``x.json`` exist, ``x`` is the first; a saved workflow comes
    before an example.
    """
    top = user_data / WORKFLOWS
    candidates = [name] if name.lower().endswith(".json") else [name + ending for ending in _ENDINGS]
    for candidate in candidates:
        try:
            path = path_inside(top, candidate, "saved workflow")
        except InputFileError:
            continue
        if path.is_file():
            return _app(path, top, user_data / PICTURES)
    stem = name.removesuffix(".json")
    named = [path for path in examples.glob("*.json") if path.stem == stem]
    return _example(named[0]) if named else None


def read_document(path: Path) -> Any:
    """Return a file's JSON. Raises FormatError for a file that is too large, gone or not JSON."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise FormatError(f"is larger than {_MOST_BYTES >> 20} MiB, the limit for workflows")
        return parse_json(path.read_bytes())
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}") from error


def app_name(file: str) -> str:
    """Return the name of the app in a file: ``a/b.app.json`` is ``a/b``."""
    lowered = file.lower()
    ending = next((ending for ending in _ENDINGS if lowered.endswith(ending)), "")
    return file[: len(file) - len(ending)]


def _json_files(top: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(".json") and not name.startswith("."):
                yield Path(parent, name)


def _app(path: Path, top: Path, pictures: Path) -> SavedApp | None:
    try:
        modified = path.stat().st_mtime
        document = read_document(path)
    except (OSError, FormatError):
        return None
    if not isinstance(document, dict):
        return None
    name = app_name(path.relative_to(top).as_posix())
    extra = document.get("extra")
    is_app = path.name.lower().endswith(_APP) or (isinstance(extra, dict) and extra.get("linearMode") is True)
    own = [path.parent / f"{app_name(path.name)}{ending}" for ending in _PICTURE_ENDINGS]
    kept = pictures / f"{name}.webp"
    picture = next((found for found in (*own, kept) if found.is_file()), None)
    return SavedApp(name, path, picture, modified, is_app, False)


def _example(path: Path) -> SavedApp | None:
    picture = path.with_suffix(".webp")
    if not picture.is_file():
        return None
    return SavedApp(path.stem, path, picture, path.stat().st_mtime, False, True)
