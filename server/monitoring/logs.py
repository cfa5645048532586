"""Formats the log: one line for each record, with its prompt id, as text or JSON."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from aiohttp.http import HttpProcessingError


def configure_logs(level: str, as_json: bool = False) -> None:
    """Log to standard error from ``level`` on. Records about a prompt carry ``extra={"prompt_id": …}``."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(max(logging.INFO, logging.getLogger().level))
    logging.getLogger("aiohttp.server").addFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether to log a record. Malformed HTTP is the client's fault; aiohttp logs it with a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


class TextLines(logging.Formatter):
    """``12:00:00 INFO server.queue.scheduler [prompt id] message``."""

    def format(self, record: logging.LogRecord) -> str:
        prompt_id = getattr(record, "prompt_id", None)
        about = f" [{prompt_id}]" if prompt_id is not None else ""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{clock} {record.levelname} {record.name}{about} {record.getMessage()}"
        return text + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and prompt_id and exception if there are any."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": record.created,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        prompt_id = getattr(record, "prompt_id", None)
        if prompt_id is not None:
            entry["prompt_id"] = prompt_id
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
