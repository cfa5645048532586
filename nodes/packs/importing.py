"""Running a stranger's code at import time: what it prints is logged, what it raises is kept, and it has to end."""

from __future__ import annotations

import codecs
import contextlib
import importlib.metadata
import io
import logging
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

log = logging.getLogger(__name__)

LIMIT_SECONDS: Final = 120.0
"""A pack that takes longer to import is given up, where the system can interrupt it."""
_LINES: Final = 100
"""Lines that are kept of what a pack prints."""


class ImportTookTooLong(BaseException):
    """Not an Exception, so that a pack's own ``except Exception`` does not swallow it."""


class PackImport:
    """One import. ``failure`` is its traceback, ``printed`` the lines that it printed.

    ``missing_part(error)`` names the missing part of ComfyUI that made an import fail; None for other failures.
    """

    def __init__(self, name: str, missing_part: Callable[[BaseException], str | None]):
        self.name = name
        self._missing_part = missing_part
        self.failure: str | None = None
        self.hint: str | None = None
        self.printed: list[str] = []

    def run(self, load: Callable[[], None] | Callable[[], Any]) -> None:
        """Call ``load``. Only Ctrl+C gets out of it, where that is listened to."""
        stream = _Lines(self._said)
        try:
            with (
                contextlib.redirect_stdout(stream),
                contextlib.redirect_stderr(_KeptOpen(sys.stderr)),
                _logging_kept(),
                _limited(LIMIT_SECONDS),
            ):
                load()
        except BaseException as error:  # strangers' modules raise anything, SystemExit among it
            if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
                raise
            self.failure = traceback.format_exc()
            self.hint = self._missing_hint(error)
        finally:
            stream.end()

    def _missing_hint(self, error: BaseException) -> str | None:
        wanted = self._missing_part(error)
        if wanted is None:
            return None
        return f"it needs a part of ComfyUI that Sumi does not have ({wanted}: {error}); see docs/compatibility.md"

    def _said(self, line: str) -> None:
        log.info("custom node pack %s: %s", self.name, line)
        if len(self.printed) < _LINES:
            self.printed.append(line)


def requirements_hint(path: Path | None) -> str | None:
    """The line to run if distributions that the pack's requirements.txt names are not installed."""
    file = path / "requirements.txt" if path is not None else None
    if file is None or not file.is_file():
        return None
    missing = [name for name in _required(file.read_text(encoding="utf-8", errors="replace")) if not _installed(name)]
    if not missing:
        return None
    return f'{", ".join(missing)} not installed; to install what it requires, run: pip install -r "{file}"'


def _required(text: str) -> Iterator[str]:
    for line in text.splitlines():
        match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*([<>=!~;@#].*)?$", line)
        if match and ";" not in line:
            yield match[1]


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise ImportTookTooLong after ``seconds``, where signals can be had: on the main thread, not on Windows."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise ImportTookTooLong(f"the import was given up after {seconds:g} s; it was here")

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """Undo what a pack does to the log as a whole: what befalls the packs after it has to be told too."""
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable
    try:
        yield
    finally:
        if not set(handlers) <= set(root.handlers):  # replaced, as by basicConfig(force=True), not added to
            root.handlers[:] = handlers
        root.setLevel(level)
        logging.disable(disabled)


class _Stream(io.TextIOBase):
    """What packs find in the place of a standard stream. They may close it and set its encoding, for nothing."""

    encoding = "utf-8"

    @property
    def buffer(self) -> io.RawIOBase:
        """For packs that wrap it in a text stream of their own."""
        return _Bytes(self)

    def reconfigure(self, **settings: Any) -> None:
        """Everything is UTF-8 already."""

    def close(self) -> None:
        self.flush()

    def writable(self) -> bool:
        return True


class _KeptOpen(_Stream):
    """Passes on what is written to it to ``stream``, which others write to as well."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


class _Lines(_Stream):
    """Passes on what is written to it, line by line."""

    def __init__(self, take: Callable[[str], None]):
        self._take = take
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._take(line.rstrip())
        return len(text)

    def end(self) -> None:
        """Pass on what has no end of line."""
        if self._rest.strip():
            self._take(self._rest.rstrip())
        self._rest = ""


class _Bytes(io.RawIOBase):
    """The bytes under a text stream; characters cut in two by a write are put together."""

    def __init__(self, text: io.TextIOBase):
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._text.write(self._decoder.decode(bytes(data)))
        return len(data)

    def flush(self) -> None:
        self._text.flush()
