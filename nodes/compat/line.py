"""The line to the server, which is another process: the worker connects it, before or after a pack asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

deliver: Callable[[str, Any, str | None], None] | None = None
"""Takes what a pack sends to clients: event, data (JSON, or bytes) and the client's id, None for everyone."""

ask: Callable[[str, Mapping[str, Any]], Any] | None = None
"""Asks the server (``queue``, ``history`` …, with particulars) and waits for the answer."""

interrupt: Callable[[], Any] | None = None
"""Stops the run that is going on, at its next tick."""

client_id: str | None = None
"""Who queued the run that is going on, or the last one."""

prompt_id: str | None = None
"""Of that run."""
