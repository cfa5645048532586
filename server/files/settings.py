"""Editors' settings: one JSON object in one file."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any, Final

from server.files.client_files import write_whole
from server.http.request_error import RequestError
from server.store.jobs import compact_json

log = logging.getLogger(__name__)

_LARGEST: Final = 4 * 1024 * 1024


class Settings:
    """Read afresh each time, since people also edit the file by hand."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = asyncio.Lock()

    async def all(self) -> dict[str, Any]:
        """Every setting."""
        return await asyncio.to_thread(self._read)

    async def merge(self, changes: dict[str, Any]) -> None:
        """Set these and leave the others. Raises RequestError (413) when it becomes too much."""
        async with self._lock:
            merged = {**await self.all(), **changes}
            text = compact_json(merged)
            if len(text) > _LARGEST:
                raise RequestError(413, "settings_too_large", f"the settings would take more than {_LARGEST} bytes")
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
            "%s holds no JSON object: it is set aside as %s and the settings begin empty",
            self.path,
            aside.name,
        )
        return {}
