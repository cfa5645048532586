"""Routes for the state and the features of the server."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Final

from aiohttp import web

from graph.machine_memory import available_memory, memory_limit
from server.http.endpoint import ANYTHING, BOOLEAN, FREE_OBJECT, INTEGER, STRING, Endpoints, array, record
from server.http.openapi import document
from server.services import services
from server.store.jobs import compact_json
from server.workers.node_packs import problems_of

endpoints: Final = Endpoints("status")

COMFYUI_VERSION: Final = "0.3.76"
"""The version of ComfyUI whose interface the server has; clients read it to find out what is supported."""


@endpoints.get("/system_stats", answer=record({"system": FREE_OBJECT, "devices": array(FREE_OBJECT)}))
async def system_stats(request: web.Request) -> web.StreamResponse:
    """Describe the machine, the versions, and the memory of each device."""
    here = services(request)
    versions = here.catalogue.versions
    system = {
        "os": os.name,
        "ram_total": memory_limit(),
        "ram_free": available_memory() or 0,
        "comfyui_version": COMFYUI_VERSION,
        "sumi_version": versions.get("sumi", ""),
        "python_version": sys.version,
        "pytorch_version": versions.get("torch", ""),
        "embedded_python": False,
        "argv": list(here.config.argv),
    }
    devices: dict[tuple[Any, Any], dict[str, Any]] = {}
    for _, stats in here.scheduler.stats():
        for device in stats.devices:
            devices.setdefault((device.get("type"), device.get("index")), device)
    return web.json_response({"system": system, "devices": list(devices.values())}, dumps=compact_json)


@endpoints.get("/features", answer=record({"supports_preview_metadata": BOOLEAN, "max_upload_size": INTEGER}))
async def features(request: web.Request) -> web.StreamResponse:
    """List the features of this server; its WebSocket reports the same."""
    return web.json_response(services(request).hub.features)


@endpoints.get("/healthz", answer=record({"status": STRING}), kind="always")
async def healthz(request: web.Request) -> web.StreamResponse:
    """Report that the server's process is running."""
    return web.json_response({"status": "ok", "uptime": round(time.time() - services(request).started, 3)})


@endpoints.get(
    "/readyz",
    answer=record({"ready": BOOLEAN, "workers": FREE_OBJECT, "packs": FREE_OBJECT}),
    errors=(503,),
    kind="always",
)
async def readyz(request: web.Request) -> web.StreamResponse:
    """Report whether a worker can take a job, and the problems of workers and node packs by name."""
    here = services(request)
    ready = here.scheduler.ready
    answer = {
        "ready": ready,
        "workers": here.scheduler.troubles(),
        "packs": problems_of(here.catalogue.packs),
    }
    return web.json_response(answer, status=200 if ready else 503, headers=None if ready else {"Retry-After": "1"})


@endpoints.get("/metrics", answer=STRING, answer_type="text/plain", kind="always")
async def metrics(request: web.Request) -> web.StreamResponse:
    """Return counts and times for Prometheus."""
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=services(request).metrics.text(), headers=headers)


@endpoints.get("/openapi.json", answer=ANYTHING)
async def openapi(request: web.Request) -> web.StreamResponse:
    """Return the description of all routes."""
    return web.json_response(document(services(request).endpoints.values()), dumps=compact_json)
