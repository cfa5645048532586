"""Where what packs send to clients goes: the worker sets it, before or after a pack asks for the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Outbox = Callable[[str, Any, str | None], None]
"""Takes event, data (JSON, or bytes) and the client's id, None for everyone."""

deliver: Outbox | None = None
