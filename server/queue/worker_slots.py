"""Keeps the workers running: one in each slot, and a new one whenever one dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from server.queue.catalogue import Catalogue
from server.queue.sweep_run import GRID, Part
from server.store.jobs import Job
from server.workers.interface import Stats, Worker, WorkerDied, WorkerFactory

log = logging.getLogger(__name__)

_FIRST_RESTART_WAIT: Final = 0.5
_LONGEST_RESTART_WAIT: Final = 30.0


@dataclass
class WorkerSlot:
    """A place for one worker. A worker that dies is replaced by a new one."""

    name: str
    make: WorkerFactory
    worker: Worker | None = None
    job: Job | None = None
    part: Part = GRID
    """The part of the job to run, if the job is a sweep."""
    files: frozenset[tuple[str, str]] = frozenset()
    """Model files of the last job; they are probably still in memory."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class WorkerSlots:
    """One slot for each of ``factories``.

    A factory makes a new worker without starting it; it is called again after a worker has died. ``connect`` prepares a
    new worker. ``run(slot, worker, job)`` runs the job that was put into a slot, and raises WorkerDied if the worker
    dies. ``changed`` is called when a slot has become free.
    """

    def __init__(
        self,
        factories: Mapping[str, WorkerFactory],
        catalogue: Catalogue,
        connect: Callable[[Worker], None],
        run: Callable[[WorkerSlot, Worker, Job], Awaitable[None]],
        changed: Callable[[], None],
    ):
        self.deaths = 0
        self._slots = [WorkerSlot(name, make) for name, make in factories.items()]
        self._catalogue = catalogue
        self._connect = connect
        self._run = run
        self._changed = changed

    def start(self) -> list[asyncio.Task[None]]:
        """Start the workers, and return the tasks that keep them."""
        return [asyncio.create_task(self._keep(slot), name=slot.name) for slot in self._slots]

    def free(self) -> list[WorkerSlot]:
        """Return the slots whose worker is ready and has no job."""
        return [slot for slot in self._slots if slot.worker is not None and slot.job is None]

    def workers(self, idle_first: bool = False) -> list[Worker]:
        """Return the running workers."""
        slots = sorted(self._slots, key=lambda slot: slot.job is not None) if idle_first else self._slots
        return [slot.worker for slot in slots if slot.worker is not None]

    def running(self, prompt_id: str) -> list[Worker]:
        """Return the workers that run the job or a part of it."""
        return [
            slot.worker
            for slot in self._slots
            if slot.worker is not None and slot.job is not None and slot.job.prompt_id == prompt_id
        ]

    def stats(self) -> list[tuple[str, Stats]]:
        """Return the stats of every running worker, with its name."""
        return [(slot.name, slot.worker.stats()) for slot in self._slots if slot.worker is not None]

    async def free_memory(self, unload_models: bool, free_memory: bool) -> None:
        """Free models or results in every worker."""
        for slot in self._slots:
            if slot.worker is not None:
                slot.files = frozenset()
                try:
                    await slot.worker.free(unload_models, free_memory)
                except WorkerDied:
                    log.info("%s died, so there is nothing to free", slot.name)

    async def _keep(self, slot: WorkerSlot) -> None:
        """Keep a worker running in ``slot``: start one, and a new one whenever it dies."""
        wait = _FIRST_RESTART_WAIT
        while True:
            worker = slot.make()
            self._connect(worker)
            try:
                description = await worker.start()
                await self._catalogue.update(description)
                log.info("%s is ready: %d nodes", slot.name, len(description.nodes))
                slot.worker, wait = worker, _FIRST_RESTART_WAIT
                self._changed()
                await self._serve(slot, worker)
            except Exception as error:
                if not isinstance(error, WorkerDied):
                    log.exception("%s: the server failed to use it", slot.name)
                if slot.worker is None:
                    log.error("%s did not start: %s; next attempt in %g s", slot.name, error, wait)
                else:
                    self.deaths += 1
                    log.error("%s died: %s; starting a new one", slot.name, error)
            finally:
                slot.worker, slot.files = None, frozenset()
                await worker.close()
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_RESTART_WAIT)

    async def _serve(self, slot: WorkerSlot, worker: Worker) -> None:
        """Run the jobs given to ``slot`` until the worker dies. Raises WorkerDied."""
        death = asyncio.ensure_future(worker.died())
        try:
            while True:
                given = asyncio.ensure_future(slot.wake.wait())
                await asyncio.wait([given, death], return_when=asyncio.FIRST_COMPLETED)
                given.cancel()
                if slot.job is not None:
                    slot.wake.clear()
                    try:
                        await self._run(slot, worker, slot.job)
                    finally:
                        slot.job = None
                        self._changed()
                if death.done():
                    raise WorkerDied(death.result())
        finally:
            death.cancel()
