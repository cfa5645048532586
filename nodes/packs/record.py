"""Records which pack a process is importing, so that the next process knows whose import ended the last one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

ENDED = "the process ended while this pack was imported; it is left out until the server restarts"


class ImportRecord:
    """The packs whose import ended a worker of one server.

    A library that crashes, or ``os._exit``, ends the process without running handlers. ``file`` holds the pack
    that is being imported now and those left out so far. The record of another server is ignored.
    """

    def __init__(self, file: Path):
        self._file = file
        self._server = os.getppid()
        self.left_out = self._read()

    @contextlib.contextmanager
    def importing(self, pack: str) -> Iterator[None]:
        """Record ``pack`` while this block runs."""
        self._write(pack)
        try:
            yield
        finally:
            self._write(None)

    def _read(self) -> list[str]:
        try:
            record = json.loads(self._file.read_text(encoding="utf-8"))
            if record["server"] != self._server:
                return []
            return [*record["left_out"], *([record["now"]] if record["now"] is not None else [])]
        except (OSError, ValueError, KeyError, TypeError):  # no record yet, or an incomplete one
            return []

    def _write(self, now: str | None) -> None:
        text = json.dumps({"server": self._server, "left_out": self.left_out, "now": now})
        with contextlib.suppress(OSError):  # a read-only folder must not stop imports
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(text, encoding="utf-8")
