"""Which pack a process is importing, written down, so that the next one knows whose import it did not survive."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

ENDED = "the process ended while this pack was imported; it is left out until the server is started again"


class ImportRecord:
    """The packs whose import ended the process, among the workers that one server has started after one another.

    A library that crashes, or ``os._exit``, takes the process with it: no handler runs. ``file`` holds the pack
    that is being imported now and those left out so far. Of another server's run it says nothing.
    """

    def __init__(self, file: Path):
        self._file = file
        self._server = os.getppid()
        self.left_out = self._read()

    @contextlib.contextmanager
    def importing(self, pack: str) -> Iterator[None]:
        """Within this block the process may end."""
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
        except (OSError, ValueError, KeyError, TypeError):  # none yet, or half of one
            return []

    def _write(self, now: str | None) -> None:
        text = json.dumps({"server": self._server, "left_out": self.left_out, "now": now})
        with contextlib.suppress(OSError):  # a folder that cannot be written to stops no import
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(text, encoding="utf-8")
