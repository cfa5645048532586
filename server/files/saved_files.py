"""Files that nodes have saved or loaded, as clients name them: file name, subfolder and folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from graph.errors import InputFileError
from graph.folders import Folders
from graph.results import SavedFile, with_changed_files
from server.files.client_files import path_inside
from server.http.request_error import RequestError


def saved_path(folders: Folders, filename: str, subfolder: str, folder: str) -> Path:
    """Return the path of a file in the input, output or temp folder.

    Raises RequestError: 403 for a subfolder that leaves the folder, 404 if there is no such file. Raises InputFileError
    for a name that leaves the folder, also through a symbolic link.
    """
    root = folders.place(folder)
    try:
        directory = path_inside(root, subfolder, folder)
    except InputFileError as error:
        raise RequestError(403, "forbidden", "subfolder leaves its folder", str(error)) from error
    relative = os.path.relpath(directory, root)
    path = path_inside(root, filename if relative == "." else f"{relative}/{filename}", folder)
    if not path.is_file():
        raise RequestError(404, "not_found", f"there is no file {filename[:200]!r} in {folder}")
    return path


def address_of(file: SavedFile) -> str:
    """Return the path and query under which the server sends a file."""
    return f"/view?{urlencode(file.as_ui(), errors='replace')}"


def with_addresses(output: Any) -> Any:
    """Return the ``ui`` data of a node with the address of each file in it, as ``url``."""
    if not isinstance(output, dict):
        return output
    return with_changed_files(output, lambda entry, file: {**entry, "url": address_of(file)})


def existing_files(folders: Folders, files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of ``ui`` data whose files exist."""
    return [file for file in files if _exists(folders, file)]


def _exists(folders: Folders, file: Mapping[str, Any]) -> bool:
    try:
        saved_path(folders, file["filename"], str(file.get("subfolder") or ""), str(file.get("type")))
    except (RequestError, InputFileError):
        return False
    return True
