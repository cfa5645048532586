"""The requests that are being answered, for progress, interrupt and skip."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from server.interfaces.runs import Run
from server.store.jobs import may_see


@dataclass(eq=False)
class Activity:
    """One request. ``count``: its iterations (``n_iter``); ``samplers``: the nodes that sample, with the iteration of
    each, from 0."""

    kind: str
    run: Run
    count: int
    samplers: Mapping[str, int]
    began: float = field(default_factory=time.time)
    interrupted: bool = False
    skipped: bool = False
    _iteration: int = field(default=0, init=False)
    _steps: tuple[int, int] = field(default=(0, 0), init=False)

    def sampling(self) -> tuple[int, int, int]:
        """Return the present iteration, and the step and the number of steps of its sampler.

        While another node runs, they keep the values of the latest sampler.
        """
        progress = self.run.progress
        iteration = None if progress.node is None else self.samplers.get(progress.node)
        if iteration is not None:
            # A sampler that has not reported yet has the steps of the one before.
            self._iteration, self._steps = iteration, (int(progress.step), int(progress.steps) or self._steps[1])
        return self._iteration, *self._steps


class Activities:
    """The requests of A1111's interface that are being answered, oldest first."""

    def __init__(self) -> None:
        self._active: list[Activity] = []

    @contextmanager
    def of(self, kind: str, run: Run, count: int, samplers: Mapping[str, int] | None = None) -> Iterator[Activity]:
        """Count a request as active within the ``with``."""
        activity = Activity(kind, run, count, samplers or {})
        self._active.append(activity)
        try:
            yield activity
        finally:
            self._active.remove(activity)

    def current(self, user: str | None) -> Activity | None:
        """Return the user's request whose job runs, or else the first one that waits; for the operator anyone's."""
        active = [activity for activity in self._active if may_see(user, activity.run.user)]
        running = (activity for activity in active if activity.run.progress.node is not None)
        return next(running, active[0] if active else None)

    async def stop(self, user: str | None, *, skip: bool = False) -> None:
        """Stop the user's current request. It answers with the pictures that are finished."""
        activity = self.current(user)
        if activity is not None:
            activity.interrupted, activity.skipped = not skip, skip
            await activity.run.stop()

    def progress(self, user: str | None, *, with_picture: bool) -> dict[str, Any]:
        """Return the answer of ``GET /sdapi/v1/progress``."""
        activity = self.current(user)
        state: dict[str, Any] = {
            "skipped": False,
            "interrupted": False,
            "stopping_generation": False,
            "job": "",
            "job_count": 0,
            "job_timestamp": "0",
            "job_no": 0,
            "sampling_step": 0,
            "sampling_steps": 0,
        }
        if activity is None:
            return {"progress": 0.0, "eta_relative": 0.0, "state": state, "current_image": None, "textinfo": None}
        progress = activity.run.progress
        iteration, step, steps = activity.sampling()
        passed = time.time() - activity.began
        state |= {
            "skipped": activity.skipped,
            "interrupted": activity.interrupted,
            "job": activity.kind,
            "job_count": activity.count,
            "job_timestamp": time.strftime("%Y%m%d%H%M%S", time.localtime(activity.began)),
            "job_no": iteration,
            "sampling_step": step,
            "sampling_steps": steps,
        }
        preview = activity.run.preview if with_picture else None
        return {
            "progress": max(0.01, min(0.99, progress.done)),  # clients take 0 for the end
            "eta_relative": passed / progress.done - passed if progress.done > 0.01 else 0.0,
            "state": state,
            "current_image": None if preview is None else preview.base64,
            "textinfo": None if progress.node is not None else "Waiting in the queue",
        }


ACTIVITIES: Final = web.AppKey("a1111", Activities)


def activities(request: web.Request) -> Activities:
    """Return the activities of the server that received ``request``."""
    return request.app[ACTIVITIES]
