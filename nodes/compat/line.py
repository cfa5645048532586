"""The connection to the server, which is another process. The worker sets it up, before or after a pack asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

deliver: Callable[[str, Any, str | None], None] | None = None
"""Takes what a pack sends to clients: event, data (JSON, or bytes) and the client's id, None for everyone."""

ask: Callable[[str, Mapping[str, Any]], Any] | None = None
"""Asks the server (``queue``, ``history`` …, with arguments) and waits for the answer."""

interrupt: Callable[[], Any] | None = None
"""Stops the current run at its next tick."""

client_id: str | None = None
"""The client that queued the current run, or the last one."""

prompt_id: str | None = None
"""The id of that run."""
