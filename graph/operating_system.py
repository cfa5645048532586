"""The differences between Linux, macOS and Windows: names of files, flushing, limits, how processes end.

Each function takes ``windows``, so that tests can try both sides on any machine.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Final, TextIO

WINDOWS: Final = os.name == "nt"

SIGKILL: Final = 9
"""The signal that ends a process at once; Windows' signal module lacks it."""

_TRIES: Final = 40
_PAUSE: Final = 0.05
"""Seconds between tries."""

_NO_HARD_LINKS: Final = frozenset(
    # Windows reports EINVAL for FAT ("incorrect function"); macOS reports ENOTSUP for exFAT.
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
)
_CRASHES: Final = {
    0xC0000005: "an access violation",
    0xC0000017: "running out of memory",
    0xC000001D: "an illegal instruction",
    0xC00000FD: "a stack overflow",
    0xC0000374: "a damaged heap",
    0xC0000409: "a damaged stack",
}
"""Statuses with which Windows ends a process that crashed (ntstatus.h)."""


def replace_file(source: str | Path, target: str | Path, windows: bool = WINDOWS) -> None:
    """Rename ``source`` to ``target`` and replace a file there, in one step. Raises OSError.

    Windows refuses while another process has one of the files open, often a virus scanner: then try again for 2 s.
    """
    for _ in range(_TRIES if windows else 0):
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(_PAUSE)
        else:
            return
    os.replace(source, target)


def name_new_file(part: Path, path: Path) -> bool:
    """Give the finished file ``part`` the name ``path`` as well, unless that name is taken. Returns whether it did.

    Without hard links (FAT, some network folders) ``part`` is renamed; an empty file reserves the name before that.
    Raises OSError.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_HARD_LINKS:
            raise
        return _reserve_and_replace(part, path)
    return True


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links. Raises OSError."""
    try:
        os.link(source, target)
    except (OSError, NotImplementedError):
        shutil.copyfile(source, target)


def _reserve_and_replace(part: Path, path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    try:
        replace_file(part, path)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def lock_file(path: Path) -> BinaryIO | None:
    """Lock ``path``, which is created, for this process alone. Returns None if another process has locked it.

    The lock ends when the returned file is closed or the process ends, in whatever way. Raises OSError.
    """
    file = open(path, "ab")  # noqa: SIM115 - the caller keeps it
    try:
        _lock(file)
    except (BlockingIOError, PermissionError):
        file.close()
        return None
    return file


def _lock(file: BinaryIO) -> None:
    if WINDOWS:
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def flush_file(path: Path) -> None:
    """Flush the content of a closed file to disk. Windows flushes only files that are open for writing."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path, windows: bool = WINDOWS) -> None:
    """Flush a folder, so that the names in it are on disk. Windows cannot open folders and does not need this."""
    if windows:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def allow_many_open_files() -> None:
    """Raise this process's limit of open files as far as the system allows."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def widen_pipe(end: BinaryIO, size: int = 1024 * 1024) -> None:
    """Let a pipe hold ``size`` bytes, where the system allows that, so that a picture passes in few steps."""
    try:
        import fcntl

        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, size)
    except (ImportError, AttributeError, OSError):  # not Linux, not a pipe, or more than the user may have
        return


def print_any_text(*streams: TextIO) -> None:
    """Let the streams take every character, wherever the system's encoding lacks some (Windows, LANG=C).

    Files and pipes get UTF-8. A terminal keeps its encoding and shows ``?`` for what it lacks. An encoding that the
    user chose with PYTHONIOENCODING stays.
    """
    for stream in streams:
        if not isinstance(stream, TextIOWrapper) or "PYTHONIOENCODING" in os.environ:
            continue
        if stream.isatty():
            stream.reconfigure(errors="replace")
        elif stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(encoding="utf-8")


def violent_end(status: int, windows: bool = WINDOWS) -> str | None:
    """Return how a process with this exit status was ended from outside or crashed; None if it ended by itself."""
    if windows:
        crash = _CRASHES.get(status & 0xFFFFFFFF)
        return f"it crashed with {crash} (0x{status & 0xFFFFFFFF:X})" if crash is not None else None
    if status >= 0:
        return None
    if status == -signal.SIGTERM:
        return "it was stopped by SIGTERM"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"it was killed by {name}"


def kill_session(leader: int, proc: Path = Path("/proc")) -> int:
    """Kill the processes that are left of the session that process ``leader`` led; the leader itself has ended.

    Returns how many. Does nothing where there is no /proc (macOS, Windows).
    """
    killed = 0
    for stat in proc.glob("[0-9]*/stat"):
        try:
            # pid (name) state ppid pgrp session …; the name may contain anything
            session = int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[3])
            if session == leader:
                os.kill(int(stat.parent.name), SIGKILL)
                killed += 1
        except (OSError, IndexError, ValueError):  # it has ended in the meantime
            continue
    return killed
