"""The workers that a server keeps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from server.workers.interface import WorkerFactory

IDLE_SECONDS: Final = 60.0
"""Seconds after which a worker without a job is ended, if there are more than the least."""


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class WorkerPlan:
    """A factory for each worker, by name, and how many of them always run.

    A factory makes a new worker without starting it; it is called again after a worker has died. ``least`` workers
    always run (None: all); the others are started when jobs wait and no worker is free, and ended after
    ``idle_seconds`` without a job. ``close`` is called after the last worker was closed.
    """

    factories: Mapping[str, WorkerFactory]
    least: int | None = None
    idle_seconds: float = IDLE_SECONDS
    close: Callable[[], Awaitable[None]] = _nothing
