"""The folders that a workflow's file names refer to, and the only way from a name to a path.

A name in a workflow is a relative path below one folder (``input``, ``checkpoints``). It never
leaves that folder: absolute names, drive letters, ``..``, NUL and, below the folders that clients
write to, symbolic links that point elsewhere are refused. Model folders may hold links, since only
the machine's owner can have made them.
"""

from __future__ import annotations

import difflib
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from graph.errors import InputFileError, OutputFileError

WORK_FOLDERS: Final = ("input", "output", "temp")
INPUT_FOLDERS: Final = "input folders"
"""Stands for the folders at the top level of the input folder, where a node's choices are folders."""

_ANNOTATION = re.compile(r"\[(input|output|temp)\]$")
_DRIVE = re.compile(r"^[A-Za-z]:")
_RESERVED = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$", re.IGNORECASE)
_LONGEST_COMPONENT = 255  # bytes, on every file system in common use
_LONGEST_NAME = 1024


class SaveTarget(NamedTuple):
    """Where the next files of a prefix go: ``{directory}/{stem}_{counter:05}_.png`` and on."""

    directory: Path
    stem: str
    counter: int
    subfolder: str


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One kind of model file: the directories searched, in order, and the endings that count.

    No ``endings`` means any file.
    """

    directories: tuple[Path, ...]
    endings: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Folders:
    """The work folders and the model folders of one installation.

    ``aliases`` are further names of model folders (``unet`` for ``diffusion_models``).
    """

    input: Path
    output: Path
    temp: Path
    user: Path
    models: Mapping[str, ModelFolder] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def model_folders(self) -> dict[str, list[Path]]:
        """Name → directories searched, in order."""
        return {name: list(folder.directories) for name, folder in self.models.items()}

    def names(self, folder: str, endings: tuple[str, ...] = ()) -> list[str]:
        """The files of ``folder``, as sorted relative names with ``/``; with ``endings`` only those.

        Model folders are searched in depth. Of the work folders only the top level is listed.
        """
        if endings:
            return [name for name in self.names(folder) if name.lower().endswith(endings)]
        if folder in WORK_FOLDERS:
            return sorted(_files_at(self.place(folder)))
        if folder == INPUT_FOLDERS:
            return sorted(path.name for path in self.place("input").glob("*") if path.is_dir())
        model_folder = self._model_folder(folder)
        found = {
            name
            for directory in model_folder.directories
            for name in _files_below(directory)
            if not model_folder.endings or Path(name).suffix.lower() in model_folder.endings
        }
        return sorted(found, key=lambda name: (name.lower(), name))

    def place(self, folder: str) -> Path:
        """The directory of a work folder. Raises InputFileError for another name."""
        if folder not in WORK_FOLDERS:
            raise InputFileError(
                f"folder '{folder}': there is no such folder; expected one of {', '.join(WORK_FOLDERS)}"
            )
        return Path(getattr(self, folder))

    def find(self, folder: str, name: str) -> Path:
        """The path of file ``name`` in ``folder`` (a model folder, or input, output or temp).

        Raises InputFileError if the name leaves the folder or no such file is there; then it names the
        nearest ones.
        """
        relative = relative_name(name, folder)
        directories = (self.place(folder),) if folder in WORK_FOLDERS else self._model_folder(folder).directories
        for directory in directories:
            path = directory / relative
            if path.is_file():
                if folder in WORK_FOLDERS:
                    check_inside(path, directory, name, folder)
                return path
        raise InputFileError(self._not_found(folder, name))

    def annotated(self, name: str, default: str = "input") -> Path:
        """The path of a name that may end in ``[input]``, ``[output]`` or ``[temp]``."""
        bare, folder = split_annotation(name, default)
        return self.find(folder, bare)

    def save_target(self, prefix: str, folder: str = "output", width: int = 0, height: int = 0) -> SaveTarget:
        """Where the next file of ``prefix`` goes; makes the subfolder.

        ``%width% %height% %year% %month% %day% %hour% %minute% %second%`` are substituted. The counter is one
        above the largest of that prefix in that folder, 1 in an empty one.
        Raises InputFileError for a prefix that leaves the folder, OutputFileError if it cannot be made.
        """
        relative = relative_name(_substitute(prefix, width, height).strip() or "_", folder)
        subfolder, stem = os.path.split(relative)
        root = self.place(folder)
        directory = root / subfolder
        try:
            directory.mkdir(parents=True, exist_ok=True)
            check_inside(directory, root, prefix, folder)
            counter = 1 + max(_counters(directory, stem), default=0)
        except OSError as error:
            raise OutputFileError(
                f"{folder} folder {directory}: cannot be written to ({error.strerror or error}); "
                "choose another with --output-directory or make it writable"
            ) from error
        return SaveTarget(directory, stem, counter, subfolder)

    def _model_folder(self, name: str) -> ModelFolder:
        try:
            return self.models[self.aliases.get(name, name)]
        except KeyError:
            near = difflib.get_close_matches(name, [*self.models, *self.aliases, *WORK_FOLDERS])
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise InputFileError(f"folder '{name}': there is no such model folder{hint}") from None

    def _not_found(self, folder: str, name: str) -> str:
        there = self.names(folder)
        near = difflib.get_close_matches(name, there, n=3)
        where = (
            self.place(folder)
            if folder in WORK_FOLDERS
            else ", ".join(map(str, self._model_folder(folder).directories))
        )
        if near:
            hint = f"; did you mean {' or '.join(repr(n) for n in near)}?"
        else:
            hint = (
                f"; there: {', '.join(there[:5]) + ('…' if len(there) > 5 else '')}"
                if there
                else "; the folder is empty"
            )
        return f"file '{name}' is not in {folder} ({where}){hint}"


def split_annotation(name: str, default: str = "input") -> tuple[str, str]:
    """``"a.png [output]"`` → ``("a.png", "output")``; without an annotation the default folder."""
    stripped = name.rstrip()
    match = _ANNOTATION.search(stripped, max(0, len(stripped) - len("[output]")))
    return (stripped[: match.start()].rstrip(), match[1]) if match else (name, default)


def relative_name(name: str, folder: str) -> str:
    """``name`` as a relative path with ``/``, or InputFileError if it could leave its folder.

    Windows' separators are understood, since workflows travel.
    """
    if not isinstance(name, str) or not name:
        raise InputFileError(f"file name {name!r}: expected the name of a file in {folder}")

    def refuse(reason: str) -> InputFileError:
        shown = name if len(name) <= 80 else name[:77] + "…"
        return InputFileError(f"file name {shown!r}: {reason}; expected a name inside the {folder} folder")

    if "\0" in name:
        raise refuse("holds a NUL character")
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]
    if name[0] in "/\\" or _DRIVE.match(name):
        raise refuse("is an absolute path")
    if ".." in parts:
        raise refuse("leads out of its folder ('..')")
    if not parts:
        raise refuse("names no file")
    try:
        too_long = any(len(part.encode()) > _LONGEST_COMPONENT for part in parts)
    except UnicodeEncodeError:
        raise refuse("is not valid Unicode") from None
    if too_long or len(name) > _LONGEST_NAME:
        raise refuse(f"is longer than {_LONGEST_COMPONENT} bytes")
    if any(_RESERVED.match(part) for part in parts):
        raise refuse("is a device name on Windows")
    return "/".join(parts)


def check_inside(path: Path, directory: Path, name: str, folder: str) -> None:
    """Raise InputFileError if ``path``, its links followed, lies outside ``directory``."""
    if not path.resolve().is_relative_to(directory.resolve()):
        raise InputFileError(f"file name {name!r}: is a link that leads out of the {folder} folder")


def _substitute(prefix: str, width: int, height: int) -> str:
    if "%" not in prefix:
        return prefix
    now = time.localtime()
    values = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    return re.sub(f"%({'|'.join(values)})%", lambda match: values[match[1]], prefix)


def _counters(directory: Path, stem: str) -> Iterator[int]:
    # What follows the number may have been written by hand: cat_00007_best.png has taken 7 all the same.
    pattern = re.compile(re.escape(stem) + r"_(\d+)([_.]|$)", re.IGNORECASE)
    with os.scandir(directory) as entries:
        for entry in entries:
            match = pattern.match(entry.name)
            if match:
                yield int(match[1])


def _files_at(directory: Path) -> Iterator[str]:
    try:
        with os.scandir(directory) as entries:
            yield from (entry.name for entry in entries if entry.is_file() and not entry.name.startswith("."))
    except FileNotFoundError:
        return


def _files_below(directory: Path) -> Iterator[str]:
    seen: set[str] = set()
    for parent, subdirectories, files in os.walk(directory, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # links that form a loop
            subdirectories.clear()
            continue
        seen.add(real)
        subdirectories[:] = [name for name in subdirectories if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(parent, name), directory).replace(os.sep, "/")
