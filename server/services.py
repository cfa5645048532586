"""The parts of the server that request handlers use."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from server.config import ServerConfig
from server.files.settings import Settings
from server.files.users import Users
from server.http.endpoint import Endpoint, Handler
from server.http.gate import Gate
from server.http.hub import Hub
from server.http.identity import caller_of
from server.http.request_error import RequestError
from server.monitoring.log_buffer import LogBuffer
from server.monitoring.metrics import Metrics
from server.queue.catalogue import Catalogue
from server.queue.prompts import Prompts
from server.queue.scheduler import Scheduler
from server.store.job_store import JobStore


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one server, as used for ``user``; None is the operator, or everyone on a server without users."""

    config: ServerConfig
    store: JobStore
    scheduler: Scheduler
    hub: Hub
    prompts: Prompts
    gate: Gate
    users: Users
    logs: LogBuffer
    metrics: Metrics
    endpoints: Mapping[Handler, Endpoint]
    started: float
    user: str | None = None

    @property
    def settings(self) -> Settings:
        """The settings of the user's editor."""
        return self.users.settings(self.user)

    @property
    def user_data(self) -> Path:
        """The folder of the user's workflows and settings."""
        return self.users.data_folder(self.user)

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of nodes."""
        return self.scheduler.catalogue


SERVICES: Final = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """Return the services of the server that received ``request``, for its user."""
    shared = request.app[SERVICES]
    user = caller_of(request).user
    return shared if user is None else dataclasses.replace(shared, user=user)


def require_operator(here: Services, what: str) -> None:
    """Raise RequestError (403) unless the operator asks. ``what`` begins a sentence: what affects everyone."""
    if here.user is not None:
        details = "only the operator may, with the token that the server was given without a name"
        raise RequestError(403, "operator_only", f"{what} concerns all users", details)
