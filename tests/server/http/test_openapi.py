"""The description is of the routes that there are."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from server.app import ON_DEMAND, THEMES, make_app
from server.config import ServerConfig
from server.http.hub import Hub
from server.http.openapi import plain_path
from server.queue.catalogue import Catalogue
from server.queue.scheduler import Scheduler
from server.store.job_store import JobStore
from tests.server.served import folders_in, serving

PROTOCOL = """
POST /prompt          GET /prompt            GET /queue            POST /queue           GET /history
GET /history/{}       POST /history          POST /interrupt       POST /free            GET /object_info
GET /object_info/{}   GET /view              POST /upload/image    POST /upload/mask     GET /system_stats
GET /features         GET /embeddings        GET /models           GET /models/{}        GET /view_metadata/{}
GET /extensions       GET /settings          GET /settings/{}      POST /settings/{}     POST /settings
GET /users            GET /userdata          GET /v2/userdata      GET /userdata/{}      POST /userdata/{}
DELETE /userdata/{}   POST /userdata/{}/move/{}                    GET /i18n             GET /workflow_templates
GET /experiment/models                       GET /experiment/models/{}                   GET /internal/folder_paths
GET /internal/files/{}                       GET /internal/logs    GET /internal/logs/raw
PATCH /internal/logs/subscribe               GET /ws               GET /jobs/{}          GET /healthz
GET /readyz           GET /metrics           GET /openapi.json
"""


def routes(base: Path) -> set[tuple[str, str]]:
    """Method and path of all that the application really answers to."""
    config = ServerConfig(folders_in(base))
    hub, store = Hub(), JobStore(config.database)
    scheduler = Scheduler(store, hub, Catalogue(config.folders, config.saved_nodes), {})
    app = make_app(config, store, scheduler, hub)
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


def refusals() -> set[tuple[str, str]]:
    """Method and path of the answers that only name the option for an interface that is off."""
    roots = {endpoint.path.split("/")[1] for theme in ON_DEMAND.values() for endpoint in theme}
    return {("*", f"{prefix}/{root}{{rest}}") for root in roots for prefix in ("", "/api")}


def test_it_describes_exactly_the_routes_that_exist(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            document = await server.get("/openapi.json")
        described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
        real = routes(tmp_path)
        assert real == described | {(method, f"/api{path}") for method, path in described} | refusals()

    asyncio.run(check())


def test_every_route_of_the_protocol_is_there(tmp_path: Path) -> None:
    wanted = {tuple(entry.split(" ")) for entry in re.split(r"\s{2,}|\n", PROTOCOL) if entry}
    there = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in routes(tmp_path)}
    assert wanted - there == set()
    assert {(method, f"/api{path}") for method, path in wanted} - there == set()


def test_every_operation_says_what_it_does_and_is_named_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, workers=0) as server:
            document = await server.get("/api/openapi.json")
        operations = [operation for methods in document["paths"].values() for operation in methods.values()]
        assert all(operation["summary"].endswith(".") for operation in operations)
        ids = [operation["operationId"] for operation in operations]
        assert len(ids) == len(set(ids))
        for path, methods in document["paths"].items():
            for operation in methods.values():
                named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
                assert named == set(re.findall(r"\{(\w+)\}", path))

    asyncio.run(check())


def test_paths_in_it_are_plain() -> None:
    assert all("+" not in plain_path(endpoint.path) for theme in THEMES for endpoint in theme)
