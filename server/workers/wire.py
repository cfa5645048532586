"""Messages between server and worker: a JSON header and bytes. Without pickle, neither can run code in the other.

A frame consists of the header's length (``>I``), the body's length (``>Q``), the header as UTF-8 JSON, and the body.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, BinaryIO, Final, Protocol

from graph import events
from graph.errors import Problem, SumiError

_LENGTHS: Final = struct.Struct(">IQ")
_LARGEST_HEADER: Final = 512 * 1024 * 1024
_LARGEST_BODY: Final = 4 * 1024**3
_CHUNK: Final = 65536

Frame = tuple[dict[str, Any], bytes]


class WireError(SumiError):
    """The received data is not a valid frame: the other side is not a worker, or other output got into the stream."""


def encode(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Encode one frame. Values that JSON cannot hold are written as their repr."""
    text = _json(header).encode()
    return _LENGTHS.pack(len(text), len(body)) + text + body


_json: Final = json.JSONEncoder(separators=(",", ":"), default=repr).encode


class _Bytes(Protocol):
    async def read(self, n: int) -> bytes:
        """Return the next bytes, at least one; none at the end."""


class FrameStream:
    """Reads frames from a stream of bytes, as many at a time as have arrived."""

    def __init__(self, stream: _Bytes):
        self._stream = stream
        self._bytes = bytearray()

    async def next(self) -> list[Frame]:
        """Wait for frames and return all that have arrived; none at the end of the stream. Raises WireError."""
        while True:
            try:
                chunk = await self._stream.read(_CHUNK)
            except ConnectionError:
                return []
            if not chunk:
                return []
            self._bytes += chunk
            frames, used = [], 0
            while (found := self._frame_at(used)) is not None:
                frame, used = found
                frames.append(frame)
            del self._bytes[:used]
            if frames:
                return frames

    def _frame_at(self, start: int) -> tuple[Frame, int] | None:
        data = self._bytes
        if len(data) - start < _LENGTHS.size:
            return None
        header_length, body_length = _lengths(data[start : start + _LENGTHS.size])
        header = start + _LENGTHS.size
        body = header + header_length
        end = body + body_length
        if len(data) < end:
            return None
        return (_header(data[header:body]), bytes(data[body:end])), end


def read(file: BinaryIO) -> Frame | None:
    """Wait for the next frame and return it; None at the end of the file. Raises WireError."""
    start = _read_exactly(file, _LENGTHS.size)
    if start is None:
        return None
    header_length, body_length = _lengths(start)
    header, body = _read_exactly(file, header_length), _read_exactly(file, body_length)
    return None if header is None or body is None else (_header(header), body)


def _read_exactly(file: BinaryIO, count: int) -> bytes | None:
    data = file.read(count)
    return data if len(data) == count else None


def _lengths(data: bytes | bytearray) -> tuple[int, int]:
    header_length, body_length = _LENGTHS.unpack(data)
    if header_length > _LARGEST_HEADER or body_length > _LARGEST_BODY:
        raise WireError("a frame's size is invalid: something else has written into the stream")
    return header_length, body_length


def _header(data: bytes | bytearray) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except ValueError as error:
        raise WireError(f"a frame's header is not JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise WireError("a frame's header has no type")
    return header


def events_to_frame(batch: Sequence[events.Event]) -> Frame:
    """Return the events as one header of type ``events``. Only the last may be a preview; its picture is the body."""
    body = batch[-1].data if batch and isinstance(batch[-1], events.NodePreview) else b""
    return {"type": "events", "events": list(map(event_to_data, batch))}, body


def events_from_frame(frame: Frame) -> list[events.Event]:
    """Return the events that :func:`events_to_frame` was given."""
    header, body = frame
    return [event_from_data(data, body) for data in header["events"]]


def event_to_data(event: events.Event) -> list[Any]:
    """Return the event as its class's name and its fields in order. A preview's picture is left out."""
    kind = type(event)
    return [kind.__name__, *_FIELDS[kind](event)]


def event_from_data(data: Sequence[Any], body: bytes = b"") -> events.Event:
    """Return the event that :func:`event_to_data` was given, with lists turned into tuples again.

    ``body`` is a preview's picture.
    """
    name, *fields = data
    kind = _EVENTS[name]
    if kind not in _PLAIN:
        fields = [tuple(value) if isinstance(value, list) else value for value in fields]
    if kind is events.NodePreview:
        fields.insert(_PICTURE, body)
    event: events.Event = kind(*fields)
    return event


_EVENTS: Final[Mapping[str, Any]] = {
    kind.__name__: kind
    for kind in vars(events).values()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == events.__name__
}

_PLAIN: Final = frozenset({events.NodeStarted, events.NodeProgress, events.NodeFinished})
"""The events of which a run has very many. None of their fields is a tuple."""

_PICTURE: Final = [field.name for field in dataclasses.fields(events.NodePreview)].index("data")


def _getter(kind: Any) -> Callable[[Any], Sequence[Any]]:
    """Return a function that returns the fields of an event of that class, but a preview's picture."""
    names = [field.name for field in dataclasses.fields(kind)]
    if kind is events.NodePreview:
        names.remove("data")
    return (lambda event: (getattr(event, names[0]),)) if len(names) == 1 else attrgetter(*names)


_FIELDS: Final[Mapping[type, Callable[[Any], Sequence[Any]]]] = {kind: _getter(kind) for kind in _EVENTS.values()}


def problem_to_data(problem: Problem) -> dict[str, Any]:
    """Return ``problem`` as plain data."""
    return dataclasses.asdict(problem)


def problem_from_data(data: Mapping[str, Any]) -> Problem:
    """Return the problem that :func:`problem_to_data` was given."""
    return Problem(**{**data, "suggestions": tuple(data["suggestions"])})
