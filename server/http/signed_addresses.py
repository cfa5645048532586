"""Addresses of files that work without the token for an hour, for clients that fetch them with a plain GET."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Final

from aiohttp import hdrs, web

SECONDS: Final = 3600
"""How long an address works. OpenAI's work for an hour, too."""
_PATHS: Final = ("/view", "/api/view")
_SIGNATURE: Final = "&signature="


def signed(address: str, token: str, seconds: int = SECONDS) -> str:
    """Return ``address``, a path of ``/view`` with a query, with a signature that stands for the token."""
    limited = f"{address}&until={int(time.time()) + seconds}"
    return f"{limited}{_SIGNATURE}{_signature(limited, token)}"


def is_signed(request: web.Request, token: str) -> bool:
    """Whether a request is a GET of an address that :func:`signed` has returned and that still works."""
    if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD) or request.path not in _PATHS:
        return False
    address, found, given = request.raw_path.removeprefix("/api").rpartition(_SIGNATURE)
    until = request.query.get("until", "")
    if not found or not until.isdecimal() or len(until) > 12 or int(until) < time.time():
        return False
    return hmac.compare_digest(given.encode(errors="replace"), _signature(address, token).encode())


def _signature(address: str, token: str) -> str:
    return hmac.new(token.encode(errors="replace"), f"GET {address}".encode(), hashlib.sha256).hexdigest()
