"""Runs a pack's code at import time: logs its output, keeps its error, and limits its time."""

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
"""The time after which a pack's import is stopped, where the system can interrupt it."""
_LINES: Final = 100
"""Lines of a pack's output that are kept."""


class ImportTookTooLong(BaseException):
    """A BaseException, so that a pack's ``except Exception`` does not catch it."""


class PackImport:
    """One import of a pack. ``failure`` is its traceback, ``printed`` the lines that it printed.

    ``missing_part(error)`` names the missing part of ComfyUI that made an import fail; None for other failures.
    """

    def __init__(self, name: str, missing_part: Callable[[BaseException], str | None]):
        self.name = name
        self._missing_part = missing_part
        self.failure: str | None = None
        self.hint: str | None = None
        self.printed: list[str] = []

    def run(self, load: Callable[[], None] | Callable[[], Any]) -> None:
        """Call ``load``. Only Ctrl+C raises from it, unless it is ignored."""
        stream = _Lines(self._said)
        try:
            with (
                contextlib.redirect_stdout(stream),
                contextlib.redirect_stderr(_KeptOpen(sys.stderr)),
                _logging_kept(),
                _limited(LIMIT_SECONDS),
            ):
                load()
        except BaseException as error:  # third-party modules may raise anything, even SystemExit
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
    """Return the command to run if a distribution in the pack's requirements.txt is not installed."""
    file = path / "requirements.txt" if path is not None else None
    if file is None or not file.is_file():
        return None
    missing = [name for name in _required(file.read_text(encoding="utf-8", errors="replace")) if not _installed(name)]
    if not missing:
        return None
    return f'{", ".join(missing)} not installed; run: pip install -r "{file}"'


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
    """Raise ImportTookTooLong after ``seconds``, where signals work: on the main thread, not on Windows."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise ImportTookTooLong(f"the import was stopped after {seconds:g} s; it was here")

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """Undo a pack's changes of the log's settings, so that messages about later packs are logged too."""
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable
    try:
        yield
    finally:
        if not set(handlers) <= set(root.handlers):  # the handlers were replaced, as by basicConfig(force=True)
            root.handlers[:] = handlers
        root.setLevel(level)
        logging.disable(disabled)


class _Stream(io.TextIOBase):
    """Replaces a standard stream for packs. Closing it or setting its encoding has no effect."""

    encoding = "utf-8"

    @property
    def buffer(self) -> io.RawIOBase:
        """The bytes below, for packs that wrap them in another text stream."""
        return _Bytes(self)

    def reconfigure(self, **settings: Any) -> None:
        """Do nothing, since everything is UTF-8 already."""

    def close(self) -> None:
        self.flush()

    def writable(self) -> bool:
        return True


class _KeptOpen(_Stream):
    """Writes to ``stream``, which other code uses too."""

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
    """Passes text on, line by line."""

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
        """Pass on the last line if it has no line end."""
        if self._rest.strip():
            self._take(self._rest.rstrip())
        self._rest = ""


class _Bytes(io.RawIOBase):
    """The binary stream under a text stream. Characters split between two writes are joined."""

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
