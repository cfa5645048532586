"""Formats the log: one line for each record, with its prompt id, as text or JSON."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from aiohttp.http import HttpProcessingError


def configure_logs(level: str, as_json: bool = False) -> None:
    """Log to standard error from ``level`` on. Records about a prompt carry ``extra=job.log_facts``."""
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
    """``12:00:00 INFO server.queue.scheduler [prompt id] message``; ``[user, prompt id]`` if the prompt has a user."""

    def format(self, record: logging.LogRecord) -> str:
        facts = _facts(record)
        about = f" [{', '.join(facts.values())}]" if facts else ""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{clock} {record.levelname} {record.name}{about} {record.getMessage()}"
        return text + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and prompt_id, user and exception if there are any."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": record.created,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= _facts(record)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def _facts(record: logging.LogRecord) -> dict[str, str]:
    """Return whose prompt a record is about, and its id."""
    found = {name: getattr(record, name, None) for name in ("user", "prompt_id")}
    return {name: value for name, value in found.items() if value is not None}
