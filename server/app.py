"""The web application: every route, with and without /api, behind the checks of http/safety.py."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import hdrs, web

from server.config import ServerConfig
from server.files.settings import Settings
from server.http.answer_errors import answer_errors
from server.http.endpoint import Endpoint, Endpoints, Handler
from server.http.gate import Gate
from server.http.hub import Hub
from server.http.safety import Guard
from server.monitoring.log_buffer import LogBuffer
from server.monitoring.metrics import Metrics
from server.queue.prompts import Prompts
from server.queue.scheduler import Scheduler
from server.routes import (
    editor,
    history,
    internal,
    jobs,
    models,
    nodes,
    packs,
    prompt,
    queue,
    settings,
    status,
    templates,
    upload,
    user_data,
    view,
    websocket,
)
from server.routes.packs import ask_packs
from server.services import SERVICES, Services
from server.store.job_store import JobStore

log = logging.getLogger(__name__)

THEMES: Final[tuple[Endpoints, ...]] = (
    prompt.endpoints,
    queue.endpoints,
    history.endpoints,
    jobs.endpoints,
    nodes.endpoints,
    packs.endpoints,
    models.endpoints,
    view.endpoints,
    upload.endpoints,
    settings.endpoints,
    user_data.endpoints,
    status.endpoints,
    internal.endpoints,
    websocket.endpoints,
    templates.endpoints,
    editor.endpoints,
)
"""The order matters in the last: the editor's files answer to every path that nothing else does."""


def make_app(
    config: ServerConfig, store: JobStore, scheduler: Scheduler, hub: Hub, prompts: Prompts | None = None
) -> web.Application:
    """The application over these parts, whose life is their owner's business."""
    endpoints = tuple(endpoint for theme in THEMES for endpoint in theme)
    gate = Gate(config.limits)
    guard = Guard(config)
    hub.features.update({"supports_preview_metadata": True, "max_upload_size": config.max_upload_size})
    app = web.Application(
        client_max_size=config.max_upload_size,
        middlewares=[
            _measured,
            answer_errors,
            guard.check_host,
            _admitted,
            guard.answer_preflight,
            guard.check_origin,
            guard.check_token,
            ask_packs,
        ],
    )
    app[SERVICES] = Services(
        config=config,
        store=store,
        scheduler=scheduler,
        hub=hub,
        prompts=prompts or Prompts(store, scheduler),
        gate=gate,
        settings=Settings(config.user_data / "comfy.settings.json"),
        logs=LogBuffer(hub),
        metrics=Metrics(scheduler, hub, gate),
        endpoints={endpoint.handler: endpoint for endpoint in endpoints},
        started=time.time(),
    )
    app.on_response_prepare.append(guard.mark)
    app.cleanup_ctx.append(_collecting_logs)
    for prefix in ("", "/api"):
        for endpoint in endpoints:
            _add(app, prefix, endpoint)
    return app


def _add(app: web.Application, prefix: str, endpoint: Endpoint) -> None:
    if endpoint.method == hdrs.METH_GET:
        app.router.add_get(prefix + endpoint.path, endpoint.handler)
    else:
        app.router.add_route(endpoint.method, prefix + endpoint.path, endpoint.handler)


async def _collecting_logs(app: web.Application) -> AsyncIterator[None]:
    logs = app[SERVICES].logs
    logs.attach()
    yield
    logs.detach()


def _endpoint(request: web.Request) -> Endpoint | None:
    """Return the endpoint of a request; None if no route matches."""
    return request.app[SERVICES].endpoints.get(request.match_info.handler)


@web.middleware
async def _admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """429 or 503 when too much is going on."""
    endpoint = _endpoint(request)
    kind = endpoint.kind if endpoint is not None else "request"
    if kind == "long poll" and "wait" not in request.query:
        kind = "request"
    with request.app[SERVICES].gate.admit(kind):
        return await handler(request)


@web.middleware
async def _measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the metrics of it, by route and not by path: paths and methods are the client's to invent."""
    began = time.perf_counter()
    response = await handler(request)
    endpoint = _endpoint(request)
    waits = endpoint is not None and (endpoint.kind == "websocket" or "wait" in request.query)
    method, route = (endpoint.method, endpoint.path) if endpoint is not None else ("other", "none")
    seconds = time.perf_counter() - began
    request.app[SERVICES].metrics.answered(method, route, response.status, None if waits else seconds)
    # The raw path: decoded ones may hold line ends. No query: it may hold the token.
    log.debug("%s %s %d in %.1f ms", request.method, request.rel_url.raw_path, response.status, 1000 * seconds)
    return response
