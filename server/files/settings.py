"""Editors' settings: one JSON object in one file."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from server.files.client_files import write_whole
from server.http.request_error import RequestError
from server.store.jobs import compact_json

log = logging.getLogger(__name__)

_LARGEST: Final = 4 * 1024 * 1024


class Settings:
    """The settings file. It is read each time, since people also edit it by hand."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = asyncio.Lock()

    async def all(self) -> dict[str, Any]:
        """Return every setting."""
        return await asyncio.to_thread(self._read)

    async def merge(self, changes: dict[str, Any]) -> None:
        """Set these and leave the others. Raises RequestError (413) if the file would become too large."""
        async with self._lock:
            await self._write({**await self.all(), **changes})

    async def change(self, name: str, changed: Callable[[Any], Any]) -> Any:
        """Set one setting to what ``changed`` makes of its value (None if it is not set), and return the new value.

        No other change comes between reading and writing. Raises RequestError like :meth:`merge`.
        """
        async with self._lock:
            before = await self.all()
            after = changed(before.get(name))
            await self._write({**before, name: after})
            return after

    async def _write(self, merged: dict[str, Any]) -> None:
        text = compact_json(merged)
        if len(text) > _LARGEST:
            raise RequestError(413, "settings_too_large", f"the settings would exceed {_LARGEST} bytes")
        await asyncio.to_thread(write_whole, self.path, text.encode())

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        self.path.replace(aside)
        log.warning(
            "%s does not hold a JSON object: it was renamed to %s, and the settings start empty",
            self.path,
            aside.name,
        )
        return {}
