"""The answer to ``?dry_run=1``: the workflow that would run, for people to look at."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from graph.schema import NodeType
from graph.workflow import Workflow
from graph.writing.editor_document import editor_document
from server.http.endpoint import FREE_OBJECT, STRING, Query, Schema, array, record
from server.routes.request_data import query_flag
from server.store.jobs import compact_json

DRY_RUN: Final = Query("dry_run", "1: answer with the workflow that would run, and run nothing")
ANSWER: Final[Schema] = record({"prompt": FREE_OBJECT, "workflow": FREE_OBJECT, "notes": array(STRING), "open": STRING})


def is_dry_run(request: web.Request) -> bool:
    """Whether the request has ``?dry_run=1``."""
    return query_flag(request, "dry_run")


def dry_run(workflow: Workflow, registry: Mapping[str, NodeType]) -> dict[str, Any]:
    """Return the workflow in both dialects (``prompt``: API, ``workflow``: editor), notes, and a link.

    The answer is itself a file that the editor opens. ``open`` is a path of this server that opens the editor with the
    workflow, which the link carries.
    """
    document: Any = workflow.editor or editor_document(workflow, registry).document
    return {
        "prompt": workflow.to_api(),
        "workflow": dict(document),
        "notes": list(workflow.notes),
        "open": f"/#workflow={packed(document)}",
    }


def dry_run_response(workflow: Workflow, registry: Mapping[str, NodeType]) -> web.Response:
    """Return :func:`dry_run` as a response."""
    return web.json_response(dry_run(workflow, registry), dumps=compact_json)


def packed(document: Mapping[str, Any]) -> str:
    """Return a document as JSON, deflated (zlib) and in base64 for addresses, without padding."""
    data = zlib.compress(json.dumps(document, separators=(",", ":")).encode("utf-8", "replace"), 9)
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
