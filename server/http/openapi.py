"""``GET /openapi.json``: an OpenAPI document made from the endpoints' declarations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from server.http.endpoint import STRING, Endpoint, Schema

_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?::[^}]*)?\}")

ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message", "details", "extra_info"],
            "properties": {
                "type": STRING,
                "message": STRING,
                "details": STRING,
                "extra_info": {"type": "object"},
            },
        }
    },
}
SECURITY: Final[list[dict[str, list[str]]]] = [{}, {"token": []}, {"query": []}]
SECURITY_SCHEMES: Final[Schema] = {
    "token": {"type": "http", "scheme": "bearer"},
    "query": {"type": "apiKey", "in": "query", "name": "token"},
}
_ALWAYS: Final = (401, 403, 429, 503)
"""Statuses that safety.py and gate.py may answer on any route."""


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of these endpoints. Each also exists below /api."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(plain_path(endpoint.path), {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sumi",
            "version": "1",
            "description": "ComfyUI's interface and some more routes. Every path also exists below /api.",
        },
        "servers": [{"url": "/"}, {"url": "/api"}],
        "security": SECURITY,
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def plain_path(path: str) -> str:
    """Turn ``/userdata/{file:.+}`` into ``/userdata/{file}``."""
    return _PLACEHOLDER.sub(r"{\1}", path)


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    handler = endpoint.handler
    operation: dict[str, Any] = {
        "operationId": f"{handler.__module__.rsplit('.', 1)[-1]}.{handler.__name__}",
        "tags": [handler.__module__.rsplit(".", 1)[-1]],
        "summary": endpoint.summary,
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint),
    }
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": endpoint.body_required,
            "content": {endpoint.body_type: {"schema": endpoint.body}},
        }
    return operation


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": STRING} for name in _PLACEHOLDER.findall(endpoint.path)
    ]
    in_query = [
        {
            "name": query.name,
            "in": "query",
            "required": query.required,
            "description": query.description,
            "schema": query.schema,
        }
        for query in endpoint.query
    ]
    return in_path + in_query


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(endpoint.status).phrase}
    if endpoint.answer is not None:
        good["content"] = {endpoint.answer_type: {"schema": endpoint.answer}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        str(endpoint.status): good,
        **{
            str(status): {"description": HTTPStatus(status).phrase, "content": error}
            for status in sorted({*endpoint.errors, *_ALWAYS} - {endpoint.status})
        },
    }
