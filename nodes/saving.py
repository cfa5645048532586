"""Saves files under numbered names: completely or not at all, and never over another file.

A file is written under a temporary name in its folder, flushed to disk, and only
then gets its name by a hard link, which fails if the name exists. So two processes
never get the same counter, and a crash or a full disk leaves no partial picture.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from graph.context import Context
from graph.errors import OutputFileError
from graph.folders import SaveTarget
from graph.operating_system import flush_folder, name_new_file
from graph.results import SavedFile

Writer = Callable[[BinaryIO], None]
"""Function that writes one file's bytes to an open file."""

BATCH_NUMBER = "%batch_num%"


def save_files(
    context: Context,
    writers: Iterable[Writer],
    *,
    prefix: str,
    suffix: str,
    folder: str = "output",
    width: int = 0,
    height: int = 0,
    first: int = 0,
) -> list[SavedFile]:
    """Save one file per writer as ``{prefix}_{counter:05}_{suffix}``. The counter increases by one for each file.

    ``prefix`` may hold subfolders and the substitutions of ``Folders.save_target``;
    ``%batch_num%`` becomes the file's number in this call, from 0. ``folder`` is ``output``
    or ``temp``; files in ``temp`` are neither flushed to disk nor recorded in the journal. A file that
    an earlier attempt at the same run has saved is not saved again. A node that
    calls this more than once passes the number of files that it has saved as ``first``. Raises OutputFileError.
    """
    root = Path(os.path.abspath(context.folders.place(folder)))
    kept = folder != "temp"
    saved: list[SavedFile] = []
    target: SaveTarget | None = None
    counter = 0
    for index, write in enumerate(writers, start=first):
        context.check_interrupted()
        earlier = context.journalled(index) if kept else None
        if earlier is not None and Path(earlier).is_relative_to(root):
            saved.append(_saved_file(Path(earlier), root, folder))
            continue
        if target is None or BATCH_NUMBER in prefix:
            named = prefix.replace(BATCH_NUMBER, str(index))
            target = context.folders.save_target(named, folder=folder, width=width, height=height)
            counter = max(counter, target.counter)
        note = partial(context.journal, index=index) if kept else None
        path, counter = _save(write, target, counter, suffix, note)
        saved.append(_saved_file(path, root, folder))
    return saved


def _save(
    write: Writer, target: SaveTarget, counter: int, suffix: str, note: Callable[[str], None] | None
) -> tuple[Path, int]:
    """Save under the first free counter from ``counter`` on. Returns the path and the next counter.

    ``note`` is called with each path before the file is created; if given, the file is flushed to disk.
    """

    def path() -> Path:
        return Path(os.path.abspath(target.directory / f"{target.stem}_{counter:05}_{suffix}"))

    with _explained(path()):
        with _written(write, target.directory, flush=note is not None) as part:
            while True:
                if note is not None:
                    note(str(path()))
                if name_new_file(part, path()):
                    break
                counter += 1
        if note is not None:
            flush_folder(target.directory)
    return path(), counter + 1


@contextmanager
def _written(write: Writer, directory: Path, flush: bool) -> Iterator[Path]:
    """Provide a temporary file in ``directory`` with the complete content; it is always deleted afterwards."""
    part = directory / f".sumi-{secrets.token_hex(8)}.part"
    try:
        with open(part, "xb") as file:
            write(file)
            file.flush()
            if flush:
                os.fsync(file.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)


def _saved_file(path: Path, root: Path, folder: str) -> SavedFile:
    subfolder = path.parent.relative_to(root).as_posix()
    return SavedFile(path.name, "" if subfolder == "." else subfolder, folder)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an OSError into an OutputFileError that names the file and says what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Nothing was written.")
        raise OutputFileError(f"cannot save {path}: {error.strerror or error}. {advice}") from error


_READ_ONLY = "The folder is not writable: change its permissions or choose another --output-directory."
_ADVICE = {
    errno.ENOSPC: "The disk is full: free some space or choose another --output-directory.",
    errno.EDQUOT: "The disk quota is used up: free some space or choose another --output-directory.",
    errno.EFBIG: "The file is larger than the system allows this process to write.",
    errno.EROFS: "The folder is on a read-only file system: choose another --output-directory.",
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.ENOTDIR: "Part of the path is a file, not a folder: choose another --output-directory or prefix.",
    errno.ENOENT: "The folder is gone: create it or choose another --output-directory.",
    errno.ENAMETOOLONG: "The name is too long: choose a shorter filename_prefix.",
}
