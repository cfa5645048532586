"""The folders that a workflow's file names refer to, and the only way from a name to a path.

A name in a workflow is a relative path below one folder (``input``, ``checkpoints``). It never
leaves that folder: absolute names, drive letters, ``..``, NUL and, below the folders that clients
write to, symbolic links that point elsewhere are refused. Model folders may hold links, since only
the machine's owner can create them.
"""

from __future__ import annotations

import difflib
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from graph.errors import InputFileError, OutputFileError
from graph.operating_system import WINDOWS

WORK_FOLDERS: Final = ("input", "output", "temp")
INPUT_FOLDERS: Final = "input folders"
"""Name for the folders at the top level of the input folder; used by nodes whose choices are folders."""

_ANNOTATION = re.compile(r"\[(input|output|temp)\]$")
_DRIVE = re.compile(r"^[A-Za-z]:")
_RESERVED = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$", re.IGNORECASE)
_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\x00-\x1f]')
_LONGEST_COMPONENT = 255  # bytes, on every file system in common use
_LONGEST_NAME = 1024


class SaveTarget(NamedTuple):
    """Where the next file with a prefix goes: ``{directory}/{stem}_{counter:05}_.png``, then the next counter."""

    directory: Path
    stem: str
    counter: int
    subfolder: str


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One kind of model file: the directories to search, in order, and the accepted file endings (empty: any file).

    With ``marker`` its entries are not files but the folders that hold a file of that name. ``sets`` are further names
    that stand for several files of another folder: name → (folder, beginnings of the file names). A set is listed while
    each of its files is there.
    """

    directories: tuple[Path, ...]
    endings: frozenset[str] = frozenset()
    marker: str = ""
    sets: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Folders:
    """The work folders and the model folders of one installation.

    ``aliases`` are other names of model folders (``unet`` for ``diffusion_models``). ``of_workers(folder,
    names)`` returns the names of the model files that workers have, given those on this machine; lists have these.
    """

    input: Path
    output: Path
    temp: Path
    user: Path
    models: Mapping[str, ModelFolder] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    of_workers: Callable[[str, set[str]], Collection[str]] | None = field(default=None, compare=False)

    def model_folders(self) -> dict[str, list[Path]]:
        """Name → directories searched, in order."""
        return {name: list(folder.directories) for name, folder in self.models.items()}

    def names(self, folder: str, endings: tuple[str, ...] = ()) -> list[str]:
        """List the files of ``folder`` as sorted relative names with ``/``; ``endings`` limits them.

        Subfolders are searched in model folders, but not in work folders.
        """
        if endings:
            return [name for name in self.names(folder) if name.lower().endswith(endings)]
        if folder in WORK_FOLDERS:
            return sorted(_files_at(self.place(folder)))
        if folder == INPUT_FOLDERS:
            return sorted(path.name for path in self.place("input").glob("*") if path.is_dir())
        known = self.aliases.get(folder, folder)
        if self.of_workers is None:
            found: Collection[str] = self._names_here(self._model_folder(folder))
        else:  # a worker may have a folder that this machine does not have
            found = self.of_workers(known, self._names_here(self.models[known]) if known in self.models else set())
        return sorted(found, key=lambda name: (name.lower(), name))

    def _names_here(self, model_folder: ModelFolder) -> set[str]:
        if model_folder.marker:
            return self._marked(model_folder)
        found = {
            name
            for directory in model_folder.directories
            for name in _files_below(directory)
            if not model_folder.endings or Path(name).suffix.lower() in model_folder.endings
        }
        for name, (other, beginnings) in model_folder.sets.items():
            there = [Path(file).name for file in self.names(other)]
            if all(any(file.startswith(beginning) for file in there) for beginning in beginnings):
                found.add(name)
        return found

    def with_work_folders(self, input: Path, output: Path, temp: Path) -> Folders:
        """Return these folders with other work folders. Model folders below the output folder are searched in both."""

        def both(directory: Path) -> tuple[Path, ...]:
            if not directory.is_relative_to(self.output):
                return (directory,)
            return (output / directory.relative_to(self.output), directory)

        models = {
            name: replace(folder, directories=tuple(path for one in folder.directories for path in both(one)))
            for name, folder in self.models.items()
        }
        return replace(self, input=input, output=output, temp=temp, models=models)

    def place(self, folder: str) -> Path:
        """Return the directory of a work folder. Raises InputFileError for any other name."""
        if folder not in WORK_FOLDERS:
            raise InputFileError(f"folder '{folder}' does not exist; expected one of {', '.join(WORK_FOLDERS)}")
        return Path(getattr(self, folder))

    def find(self, folder: str, name: str) -> Path:
        """Return the path of file ``name`` in ``folder`` (a model folder, or input, output or temp).

        Raises InputFileError if the name leaves the folder or the file does not exist; the message suggests the
        most similar names.
        """
        relative = relative_name(name, folder)
        directories = (self.place(folder),) if folder in WORK_FOLDERS else self._model_folder(folder).directories
        marker = "" if folder in WORK_FOLDERS else self._model_folder(folder).marker
        for directory in directories:
            path = directory / relative
            if (path / marker).is_file():
                if folder in WORK_FOLDERS:
                    check_inside(path, directory, name, folder)
                return path
        raise InputFileError(self._not_found(folder, name))

    def is_here(self, folder: str, name: str) -> bool:
        """Whether a model folder of this machine has ``name``, a file or a name that stands for several."""
        try:
            self.find(folder, name)
        except InputFileError:
            known = self.models.get(self.aliases.get(folder, folder))
            return known is not None and name in self._names_here(known)
        return True

    def expected(self, folder: str, name: str) -> Path:
        """Return the path of a model file; for a file on other machines, the path that it would have here.

        Raises InputFileError as :meth:`find` does.
        """
        try:
            return self.find(folder, name)
        except InputFileError:
            if self.of_workers is None or name not in self.of_workers(self.aliases.get(folder, folder), set()):
                raise
            return self._model_folder(folder).directories[0] / relative_name(name, folder)

    def annotated(self, name: str, default: str = "input") -> Path:
        """Return the path of a name that may end in ``[input]``, ``[output]`` or ``[temp]``."""
        bare, folder = split_annotation(name, default)
        return self.find(folder, bare)

    def save_target(self, prefix: str, folder: str = "output", width: int = 0, height: int = 0) -> SaveTarget:
        """Return where the next file of ``prefix`` goes, and create the subfolder.

        ``%width% %height% %year% %month% %day% %hour% %minute% %second%`` are substituted. The counter is one
        above the largest with that prefix in the folder; it starts at 1.
        Raises InputFileError for a prefix that leaves the folder, OutputFileError if the folder cannot be created.
        """
        relative = relative_name(_substitute(prefix, width, height).strip() or "_", folder)
        subfolder, stem = os.path.split(relative)
        root = self.place(folder)
        directory = root / subfolder
        try:
            directory.mkdir(parents=True, exist_ok=True)
            check_inside(directory, root, prefix, folder)
            counter = next_counter(directory, stem)
        except OSError as error:
            raise OutputFileError(
                f"{folder} folder {directory}: cannot be written to ({error.strerror or error}); "
                "choose another with --output-directory or make it writable"
            ) from error
        return SaveTarget(directory, stem, counter, subfolder)

    def _marked(self, folder: ModelFolder) -> set[str]:
        """The folders below ``folder`` that hold its marker, as relative names."""
        found = {
            Path(name).parent.as_posix()
            for directory in folder.directories
            for name in _files_below(directory)
            if Path(name).name == folder.marker
        }
        return found - {"."}

    def _model_folder(self, name: str) -> ModelFolder:
        try:
            return self.models[self.aliases.get(name, name)]
        except KeyError:
            near = difflib.get_close_matches(name, [*self.models, *self.aliases, *WORK_FOLDERS])
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise InputFileError(f"there is no model folder '{name}'{hint}") from None

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
    """Split ``"a.png [output]"`` into ``("a.png", "output")``; a name without an annotation gets the default folder."""
    stripped = name.rstrip()
    match = _ANNOTATION.search(stripped, max(0, len(stripped) - len("[output]")))
    return (stripped[: match.start()].rstrip(), match[1]) if match else (name, default)


def relative_name(name: str, folder: str, windows: bool = WINDOWS) -> str:
    """Return ``name`` as a relative path with ``/``. Raises InputFileError if it could leave its folder.

    Backslashes count as separators, since workflows made on Windows contain them. On Windows, characters that its file
    names cannot contain are refused, too: a colon would hide the file in another one's alternate stream.
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
        raise refuse("is not the name of a file")
    try:
        too_long = any(len(part.encode()) > _LONGEST_COMPONENT for part in parts)
    except UnicodeEncodeError:
        raise refuse("is not valid Unicode") from None
    if too_long or len(name) > _LONGEST_NAME:
        raise refuse(f"is longer than {_LONGEST_COMPONENT} bytes")
    if any(_RESERVED.match(part) for part in parts):
        raise refuse("is a device name on Windows")
    if windows and _NOT_ON_WINDOWS.search("".join(parts)):
        raise refuse('holds one of the characters <>:"|?*, which Windows does not allow')
    return "/".join(parts)


def check_inside(path: Path, directory: Path, name: str, folder: str) -> None:
    """Raise InputFileError if ``path``, with its symbolic links resolved, lies outside ``directory``."""
    if not path.resolve().is_relative_to(directory.resolve()):
        raise InputFileError(f"file name {name!r}: is a link that leads out of the {folder} folder")


def next_counter(directory: Path, stem: str) -> int:
    """Return one above the largest counter of the files ``{stem}_{counter}…``; 1 without any. Raises OSError."""
    return 1 + max(_counters(directory, stem), default=0)


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
    # People rename files: cat_00007_best.png also takes the number 7.
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
