"""The OpenAPI description of one app's call, from which clients are generated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from graph.app import Field, described_field
from server.http.endpoint import STRING, Schema, array, record
from server.http.openapi import ERROR, SECURITY, SECURITY_SCHEMES
from server.interfaces.apps import CallableApp

_TYPES: Final[Mapping[str, str]] = {"INT": "integer", "FLOAT": "number", "STRING": "string", "BOOLEAN": "boolean"}
_MOST_CHOICES: Final = 200
"""Longer lists of choices, usually of files, are not part of the type: they change."""
_FIELDS_ERROR: Final = record({"message": STRING, "expected": STRING, "suggestions": array(STRING)})


def app_document(app: CallableApp, names_of: Callable[[str], list[str]], answer: Schema) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of ``POST /apps/NAME``. ``answer`` is the schema of its answer."""
    fields = {name: _schema(name, field, names_of) for name, field in app.fields.items()}
    pictures = {name for name, field in app.fields.items() if field.kind == "picture"}
    form = {name: {**schema, **_file(name in pictures)} for name, schema in fields.items()}
    webhook = {"type": "string", "description": "Address to notify when the run ends."}
    call = {"type": "object", "properties": {"fields": _ref("Fields"), "webhook": webhook}}
    content = {"application/json": {"schema": _ref("Call")}}
    if pictures:
        content["multipart/form-data"] = {"schema": _ref("Form")}
    error = {"description": "Error", "content": {"application/json": {"schema": _ref("Error")}}}
    wait = {"name": "wait", "in": "query", "required": False, "schema": {"type": "number", "minimum": 0}}
    wait["description"] = "Answer when the run has ended, or after this many seconds."
    operation = {
        "operationId": "run",
        "summary": f"Run {app.saved.name}",
        "parameters": [wait],
        "requestBody": {"required": False, "content": content},
        "responses": {
            "200": {
                "description": "The run, ended or not",
                "content": {"application/json": {"schema": _ref("Run")}},
            },
            **{status: error for status in ("400", "401", "404", "413", "422", "429")},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": app.saved.name, "version": "1", "description": "An app of Sumi: a saved workflow."},
        "servers": [{"url": "/"}],
        "security": SECURITY,
        "paths": {f"/apps/{quote(app.saved.name)}": {"post": operation}},
        "components": {
            "schemas": {
                "Call": call,
                **({"Form": {"type": "object", "properties": {**form, "webhook": webhook}}} if pictures else {}),
                "Fields": {"type": "object", "properties": fields, "additionalProperties": False},
                "Run": {**answer, "title": "Run"},
                "Error": ERROR,
            },
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _schema(name: str, field: Field, names_of: Callable[[str], list[str]]) -> dict[str, Any]:
    described = described_field(name, field, names_of)
    schema: dict[str, Any] = {"description": _description(described)}
    kind = _TYPES.get(described["type"])
    choices = described.get("choices")
    if field.kind == "picture":
        schema["type"] = "string"
    elif isinstance(choices, list) and 0 < len(choices) <= _MOST_CHOICES and field.declared.files is None:
        schema["enum"] = list(dict.fromkeys([*choices, described["value"]]))
        if all(isinstance(choice, str) for choice in schema["enum"]):
            schema["type"] = "string"
    elif described["type"] == "COMBO":
        schema["type"] = "string"
    elif kind is not None:
        schema["type"] = kind
    if kind in ("integer", "number"):
        schema |= {
            key: described[given] for key, given in (("minimum", "min"), ("maximum", "max")) if given in described
        }
        if field.kind == "seed":
            schema["minimum"] = -1
    if described["value"] is not None:
        schema["default"] = described["value"]
    return schema


def _description(described: Mapping[str, Any]) -> str:
    text = f"{described['title']}: {described['label']}."
    if described["kind"] == "picture":
        text += " The name of a file in the input folder, or a picture in base64."
    if described["kind"] == "seed":
        text += " -1: a random one."
    return text


def _file(is_picture: bool) -> dict[str, str]:
    return {"type": "string", "format": "binary"} if is_picture else {}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
