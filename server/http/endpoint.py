"""Declares a route and its description in ``GET /openapi.json`` at the handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import web

from server.http.request_error import RequestError, error_response

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Schema = Mapping[str, Any]
Kind = Literal["request", "long poll", "run", "websocket", "always"]
"""``long poll`` waits if its query has ``wait``; ``run`` waits for the end of a job. Both have separate limits."""

STRING: Final[Schema] = {"type": "string"}
INTEGER: Final[Schema] = {"type": "integer"}
NUMBER: Final[Schema] = {"type": "number"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
ANYTHING: Final[Schema] = {}
FREE_OBJECT: Final[Schema] = {"type": "object"}


def array(of: Schema) -> Schema:
    """Return the schema of a list of ``of``."""
    return {"type": "array", "items": of}


def mapping(to: Schema) -> Schema:
    """Return the schema of an object with any keys."""
    return {"type": "object", "additionalProperties": to}


def record(required: Mapping[str, Schema] | None = None, **optional: Schema) -> Schema:
    """Return the schema of an object with at least these properties."""
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
    """One method on one path. The path also exists below /api.

    ``body`` is the schema of a request body of type ``body_type``. ``answer`` is the schema of a 200 response of type
    ``answer_type`` (None: no content). ``errors`` are the other possible statuses. ``error_form`` makes the response of
    an error, for interfaces that have their own format.
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
    error_form: Callable[[RequestError], web.Response] = error_response

    @property
    def summary(self) -> str:
        """Return the first sentence of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().split("\n")[0]


class Endpoints:
    """The endpoints of one theme, in the order in which they are declared. ``facts`` are the same for all."""

    def __init__(self, theme: str, **facts: Any):
        self.theme = theme
        self._facts = facts
        self._declared: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._declared)

    def declare(self, method: str, path: str, **facts: Any) -> Callable[[Handler], Handler]:
        """Return a decorator that declares an endpoint with this method and path."""

        def decorate(handler: Handler) -> Handler:
            self._declared.append(Endpoint(method, path, handler, **{**self._facts, **facts}))
            return handler

        return decorate

    def get(self, path: str, **facts: Any) -> Callable[[Handler], Handler]:
        """Declare a GET endpoint; it also answers HEAD."""
        return self.declare("GET", path, **facts)

    def post(self, path: str, **facts: Any) -> Callable[[Handler], Handler]:
        """Declare a POST endpoint, which changes something."""
        return self.declare("POST", path, **facts)
