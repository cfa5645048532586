"""The parts of the server that request handlers use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from server.config import ServerConfig
from server.files.settings import Settings
from server.http.endpoint import Endpoint, Handler
from server.http.gate import Gate
from server.http.hub import Hub
from server.monitoring.log_buffer import LogBuffer
from server.monitoring.metrics import Metrics
from server.queue.catalogue import Catalogue
from server.queue.prompts import Prompts
from server.queue.scheduler import Scheduler
from server.store.job_store import JobStore


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one server."""

    config: ServerConfig
    store: JobStore
    scheduler: Scheduler
    hub: Hub
    prompts: Prompts
    gate: Gate
    settings: Settings
    logs: LogBuffer
    metrics: Metrics
    endpoints: Mapping[Handler, Endpoint]
    started: float

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of nodes."""
        return self.scheduler.catalogue


SERVICES: Final = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """Return the services of the server that received ``request``."""
    return request.app[SERVICES]
