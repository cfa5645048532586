"""Reads and checks request data within limits. Invalid data raises RequestError."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from graph.errors import FormatError
from graph.formats.json_text import parse_json
from server.http.request_error import RequestError
from server.services import services

LONGEST_WAIT: Final = 3600.0
"""The longest ``?wait=SECONDS``."""
_LARGE_JSON: Final = 64 * 1024
"""Bytes from which a body is parsed on a thread, so that it does not block the event loop."""


async def chunks(request: web.Request, most: int) -> AsyncIterator[bytes]:
    """Yield the body in pieces. Raises RequestError for more than ``most`` bytes (413) and a stalled client (408)."""
    if request.content_length is not None and request.content_length > most:
        raise too_large(most)
    seconds = services(request).config.limits.body_seconds
    size = 0
    while True:
        try:
            async with asyncio.timeout(seconds):
                chunk = await request.content.readany()
        except TimeoutError as error:
            raise RequestError(408, "body_timeout", f"no data arrived for {seconds:g} s") from error
        except (web.RequestPayloadError, ValueError) as error:
            raise RequestError(400, "invalid_body", "the body cannot be read", str(error)[:200]) from error
        if not chunk:
            return
        size += len(chunk)
        if size > most:
            raise too_large(most)
        yield chunk


def too_large(most: int) -> RequestError:
    """Return the error (413) for a body that is too large."""
    return RequestError(413, "body_too_large", f"the body is larger than {most} bytes")


@asynccontextmanager
async def whole_body(request: web.Request, most: int) -> AsyncIterator[bytes]:
    """Read the body; its bytes are counted until the caller is done with it. Raises RequestError like :func:`chunks`,
    and (503) if too many bytes are in memory already."""
    gate = services(request).gate
    parts: list[bytes] = []
    received = 0
    try:
        async for chunk in chunks(request, most):
            gate.reserve(len(chunk))
            received += len(chunk)
            parts.append(chunk)
        yield b"".join(parts)
    finally:
        gate.release(received)


async def read_json(request: web.Request, *, empty: Any = None) -> Any:
    """Read the JSON body; its Content-Type is ignored. If the body may be left out, ``empty`` is its value then.

    Raises RequestError for text that is not JSON, too large or too deeply nested.
    """
    try:
        async with whole_body(request, services(request).config.limits.json_bytes) as body:
            if not body.strip() and empty is not None:
                return empty
            if len(body) > _LARGE_JSON:
                return await asyncio.to_thread(parse_json, body, "the body")
            return parse_json(body, "the body")
    except FormatError as error:
        raise RequestError(400, "invalid_json", "the body cannot be read as JSON", str(error)) from error


async def read_object(request: web.Request, *, optional: bool = False) -> dict[str, Any]:
    """Read the JSON body, which must be an object. If it is ``optional``, no body means ``{}``."""
    body = await read_json(request, empty={} if optional else None)
    if not isinstance(body, dict):
        raise RequestError(400, "invalid_body", "the body must be a JSON object")
    return body


def identifiers(body: dict[str, Any], name: str) -> list[str] | None:
    """Return the list of ids under ``name``; None if it is missing."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RequestError(400, "invalid_body", f"{name} must be a list of ids")
    return value


def flag(body: dict[str, Any], name: str) -> bool | None:
    """Return the boolean under ``name``; None if it is missing."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise RequestError(400, "invalid_body", f"{name} must be true or false")
    return value


def lenient_flag(body: dict[str, Any], name: str) -> bool:
    """Return the boolean under ``name``, which clients also write as 1 or 0; False if it is missing."""
    value = body.get(name)
    return bool(value) if isinstance(value, int) and value in (0, 1) else bool(flag(body, name))


def query_flag(request: web.Request, name: str, default: bool = False) -> bool:
    """Read ``?name=true`` or ``1``, ``yes``, ``on``; false in the same way. Other words mean the default."""
    value = request.query.get(name, "").lower()
    if default:
        return value not in ("false", "0", "no", "off")
    return value in ("true", "1", "yes", "on")


def query_integer(request: web.Request, name: str) -> int | None:
    """Read ``?name=N``; None if it is missing or negative, which clients send for "no limit"."""
    value = request.query.get(name, "")
    if not value:
        return None
    try:
        number = int(value) if len(value) < 20 else None
    except ValueError:
        number = None
    if number is None:
        raise RequestError(400, "invalid_query", f"{name} must be a whole number")
    return number if number >= 0 else None


def query_wait(request: web.Request, default: float = 0.0) -> float:
    """Read ``?wait=SECONDS``."""
    try:
        seconds = float(request.query.get("wait") or default)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_WAIT:
        raise RequestError(400, "invalid_query", f"wait must be seconds, from 0 to {LONGEST_WAIT:g}")
    return seconds


def query_choice(request: web.Request, name: str, choices: tuple[str, ...], default: str) -> Any:
    """Read ``?name=…``, which must be one of ``choices``."""
    value = request.query.get(name) or default
    if value not in choices:
        raise RequestError(400, "invalid_query", f"{name} must be one of {', '.join(choices)}")
    return value
