"""A route and its description in ``GET /openapi.json``, both declared at the handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Schema = Mapping[str, Any]
Kind = Literal["request", "long poll", "websocket", "always"]

STRING: Final[Schema] = {"type": "string"}
INTEGER: Final[Schema] = {"type": "integer"}
NUMBER: Final[Schema] = {"type": "number"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
ANYTHING: Final[Schema] = {}
FREE_OBJECT: Final[Schema] = {"type": "object"}


def array(of: Schema) -> Schema:
    """A list of ``of``."""
    return {"type": "array", "items": of}


def mapping(to: Schema) -> Schema:
    """An object with any keys."""
    return {"type": "object", "additionalProperties": to}


def record(required: Mapping[str, Schema] | None = None, **optional: Schema) -> Schema:
    """An object with these properties, and perhaps others."""
    made: dict[str, Any] = {"type": "object", "properties": {**(required or {}), **optional}}
    if required:
        made["required"] = list(required)
    return made


@dataclass(frozen=True, slots=True)
class Query:
    """One query parameter."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: STRING)
    required: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path (which also answers below /api).

    ``body`` is the schema of a request body of type ``body_type``; ``answer`` that of a 200, of type
    ``answer_type`` (None: nothing). ``errors`` are the other statuses it may answer with.
    """

    method: str
    path: str
    handler: Handler
    query: tuple[Query, ...] = ()
    body: Schema | None = None
    body_type: str = "application/json"
    body_required: bool = True
    answer: Schema | None = None
    answer_type: str = "application/json"
    status: int = 200
    errors: tuple[int, ...] = ()
    kind: Kind = "request"

    @property
    def summary(self) -> str:
        """The first sentence of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().split("\n")[0]


class Endpoints:
    """The endpoints of one theme, in the order of their declaration."""

    def __init__(self, theme: str):
        self.theme = theme
        self._declared: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._declared)

    def declare(self, method: str, path: str, **facts: Any) -> Callable[[Handler], Handler]:
        """Decorate a handler."""

        def decorate(handler: Handler) -> Handler:
            self._declared.append(Endpoint(method, path, handler, **facts))
            return handler

        return decorate

    def get(self, path: str, **facts: Any) -> Callable[[Handler], Handler]:
        """Also answers HEAD."""
        return self.declare("GET", path, **facts)

    def post(self, path: str, **facts: Any) -> Callable[[Handler], Handler]:
        """Something is changed."""
        return self.declare("POST", path, **facts)
