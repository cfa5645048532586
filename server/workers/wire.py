"""Messages between server and worker: a JSON header and bytes. No pickle, so neither can run code in the other.

A frame is ``>I`` the header's length, ``>Q`` the body's, the header as UTF-8 JSON, the body.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from graph import events
from graph.errors import Problem, SumiError

_LENGTHS: Final = struct.Struct(">IQ")
_LARGEST_HEADER: Final = 512 * 1024 * 1024
_LARGEST_BODY: Final = 4 * 1024**3

Frame = tuple[dict[str, Any], bytes]


class WireError(SumiError):
    """What came is no frame: the other side is no worker, or something else wrote into the stream."""


def encode(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """One frame. What JSON cannot hold is written as its repr."""
    text = json.dumps(header, separators=(",", ":"), default=repr).encode()
    return _LENGTHS.pack(len(text), len(body)) + text + body


async def receive(stream: asyncio.StreamReader) -> Frame | None:
    """The next frame; None at the end of the stream. Raises WireError."""
    try:
        header_length, body_length = _lengths(await stream.readexactly(_LENGTHS.size))
        header = await stream.readexactly(header_length)
        return _header(header), await stream.readexactly(body_length) if body_length else b""
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def read(file: BinaryIO) -> Frame | None:
    """The next frame, waiting for it; None at the end of the file. Raises WireError."""
    start = _read_exactly(file, _LENGTHS.size)
    if start is None:
        return None
    header_length, body_length = _lengths(start)
    header, body = _read_exactly(file, header_length), _read_exactly(file, body_length)
    return None if header is None or body is None else (_header(header), body)


def _read_exactly(file: BinaryIO, count: int) -> bytes | None:
    data = file.read(count)
    return data if len(data) == count else None


def _lengths(data: bytes) -> tuple[int, int]:
    header_length, body_length = _LENGTHS.unpack(data)
    if header_length > _LARGEST_HEADER or body_length > _LARGEST_BODY:
        raise WireError("a frame of absurd size: something else has written into the stream")
    return header_length, body_length


def _header(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except ValueError as error:
        raise WireError(f"a frame's header is no JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise WireError("a frame's header has no type")
    return header


def event_to_frame(event: events.Event) -> Frame:
    """``event`` as a header of type ``event``; a preview's picture is the body."""
    fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    body = fields.pop("data") if isinstance(event, events.NodePreview) else b""
    return {"type": "event", "event": type(event).__name__, "fields": fields}, body


def event_from_frame(frame: Frame) -> events.Event:
    """The event that :func:`event_to_frame` was given; tuples come back as tuples."""
    header, body = frame
    kind = _EVENTS[header["event"]]
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in header["fields"].items()}
    if kind is events.NodePreview:
        fields["data"] = body
    event: events.Event = kind(**fields)
    return event


_EVENTS: Final[Mapping[str, Any]] = {
    kind.__name__: kind
    for kind in vars(events).values()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == events.__name__
}


def problem_to_data(problem: Problem) -> dict[str, Any]:
    """``problem`` as plain data."""
    return dataclasses.asdict(problem)


def problem_from_data(data: Mapping[str, Any]) -> Problem:
    """The problem that :func:`problem_to_data` was given."""
    return Problem(**{**data, "suggestions": tuple(data["suggestions"])})
