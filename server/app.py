"""The web application: every route, with and without /api, behind the checks of http/safety.py."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiohttp import hdrs, web

from server.config import ServerConfig
from server.files.users import Users
from server.http.answer_errors import answer_errors
from server.http.endpoint import Endpoint, Endpoints, Handler
from server.http.gate import Gate
from server.http.hub import Hub
from server.http.identity import Identities
from server.http.request_error import RequestError
from server.http.safety import Guard
from server.interfaces.a1111.activity import ACTIVITIES, Activities
from server.monitoring.log_buffer import LogBuffer
from server.monitoring.metrics import Metrics
from server.queue.prompts import Prompts
from server.queue.scheduler import Scheduler
from server.routes import (
    a1111,
    app_runs,
    apps,
    convert,
    editor,
    favourites,
    history,
    internal,
    jobs,
    models,
    nodes,
    openai,
    packs,
    prompt,
    queue,
    saved_files,
    settings,
    status,
    templates,
    upload,
    user_data,
    users,
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
    favourites.endpoints,
    saved_files.endpoints,
    jobs.endpoints,
    nodes.endpoints,
    packs.endpoints,
    models.endpoints,
    view.endpoints,
    upload.endpoints,
    convert.endpoints,
    app_runs.endpoints,
    apps.endpoints,
    openai.endpoints,
    settings.endpoints,
    users.endpoints,
    user_data.endpoints,
    status.endpoints,
    internal.endpoints,
    websocket.endpoints,
    templates.endpoints,
    editor.endpoints,
)
"""The last one must stay last: the editor's files match every path that no other route matches."""

ON_DEMAND: Final[Mapping[str, Endpoints]] = {"a1111": a1111.endpoints}
"""The interfaces that are answered only with ``--api NAME``."""


def make_app(
    config: ServerConfig, store: JobStore, scheduler: Scheduler, hub: Hub, prompts: Prompts | None = None
) -> web.Application:
    """Return the application. The caller starts and closes the parts it is made of."""
    on_demand = [theme for name, theme in ON_DEMAND.items() if name in config.interfaces]
    endpoints = tuple(endpoint for theme in (*on_demand, *THEMES) for endpoint in theme)
    gate = Gate(config.limits)
    known_users = Users(config.folders.user, (user for user, _ in config.user_tokens), listed=config.trust_user_header)
    guard = Guard(config, Identities(config, known_users))
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
        users=known_users,
        logs=LogBuffer(hub),
        metrics=Metrics(scheduler, hub, gate),
        endpoints={endpoint.handler: endpoint for endpoint in endpoints},
        started=time.time(),
    )
    app[ACTIVITIES] = Activities()
    app.on_response_prepare.append(guard.mark)
    app.cleanup_ctx.append(_collecting_logs)
    for prefix in ("", "/api"):
        for name, theme in ON_DEMAND.items():
            if name not in config.interfaces:
                _add_refusals(app, prefix, name, theme)
        for endpoint in endpoints:
            _add(app, prefix, endpoint)
    return app


def _add(app: web.Application, prefix: str, endpoint: Endpoint) -> None:
    if endpoint.method == hdrs.METH_GET:
        app.router.add_get(prefix + endpoint.path, endpoint.handler)
    else:
        app.router.add_route(endpoint.method, prefix + endpoint.path, endpoint.handler)


def _add_refusals(app: web.Application, prefix: str, name: str, theme: Endpoints) -> None:
    """Answer addresses below those of an interface that is off with 404 and the option that switches it on."""

    async def refuse(request: web.Request) -> web.StreamResponse:
        error = RequestError(404, "interface_off", f"the interface {name} is off", f"start it with serve --api {name}")
        return error_form(error)

    error_form = next(iter(theme)).error_form
    for root in sorted({endpoint.path.split("/")[1] for endpoint in theme}):
        app.router.add_route(hdrs.METH_ANY, f"{prefix}/{root}{{rest:(/.*)?}}", refuse)


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
    """Answer 429 or 503 if too many requests are being handled."""
    endpoint = _endpoint(request)
    kind = endpoint.kind if endpoint is not None else "request"
    if kind == "run":
        kind = "long poll"
    elif kind == "long poll" and "wait" not in request.query:
        kind = "request"
    with request.app[SERVICES].gate.admit(kind):
        return await handler(request)


@web.middleware
async def _measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Record the request in the metrics by its route: clients can make up any number of paths and methods."""
    began = time.perf_counter()
    response = await handler(request)
    endpoint = _endpoint(request)
    waits = endpoint is not None and (endpoint.kind in ("websocket", "run") or "wait" in request.query)
    method, route = (endpoint.method, endpoint.path) if endpoint is not None else ("other", "none")
    seconds = time.perf_counter() - began
    request.app[SERVICES].metrics.answered(method, route, response.status, None if waits else seconds)
    # Log the raw path, since a decoded one may contain line ends. Leave out the query, which may contain the token.
    log.debug("%s %s %d in %.1f ms", request.method, request.rel_url.raw_path, response.status, 1000 * seconds)
    return response
