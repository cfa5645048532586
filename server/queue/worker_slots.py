"""Keeps the workers running: one in each slot, and a new one whenever one dies; more slots while jobs wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from server.queue.catalogue import Catalogue
from server.queue.placement import Needs
from server.queue.sweep_run import GRID, Part
from server.store.jobs import Job
from server.workers.interface import Description, Stats, UnansweredError, Worker, WorkerDied, WorkerFactory
from server.workers.plan import WorkerPlan

log = logging.getLogger(__name__)

_FIRST_RESTART_WAIT: Final = 0.5
_LONGEST_RESTART_WAIT: Final = 30.0
_LISTING_SECONDS: Final = 5.0


@dataclass
class WorkerSlot:
    """A place for one worker. A worker that dies is replaced by a new one."""

    name: str
    make: WorkerFactory
    worker: Worker | None = None
    """The worker, once it is ready."""
    starting: Worker | None = None
    """The worker while it starts."""
    trouble: str = ""
    """Why the last worker did not start, or ""."""
    job: Job | None = None
    part: Part = GRID
    """The part of the job to run, if the job is a sweep."""
    files: frozenset[tuple[str, str]] = frozenset()
    """Model files of the last job; they are probably still in memory."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    """Keeps a worker here; None while the slot is not in use."""
    ends: bool = False
    """Whether the worker is being ended because it is superfluous."""


class WorkerSlots:
    """One slot for each worker of ``plan``.

    ``connect`` prepares a new worker. ``run(slot, worker, job)`` runs the job that was put into a slot, and raises
    WorkerDied if the worker dies. ``changed`` is called when a slot has become free. ``waiting`` returns how many more
    workers would have a job at once.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        catalogue: Catalogue,
        connect: Callable[[Worker], None],
        run: Callable[[WorkerSlot, Worker, Job], Awaitable[None]],
        changed: Callable[[], None],
        waiting: Callable[[], int],
    ):
        self.deaths = 0
        self._plan = plan
        self._least = len(plan.factories) if plan.least is None else plan.least
        self._slots = [WorkerSlot(name, make) for name, make in plan.factories.items()]
        self._catalogue = catalogue
        self._connect = connect
        self._run = run
        self._changed = changed
        self._waiting = waiting

    def start(self) -> None:
        """Start the workers that always run, at least one for now, to learn of its nodes. Returns at once."""
        for slot in self._slots[: max(self._least, 1)]:
            self._use(slot)

    async def close(self) -> None:
        """End all workers, even during a run."""
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def grow(self, none_suits: bool = False) -> None:
        """Start as many more workers as jobs wait, beyond those that are free or start already.

        ``none_suits``: the free workers cannot run the waiting jobs, so they do not count.
        """
        if self._least == len(self._slots):
            return
        soon_free = sum(
            slot.task is not None and not slot.ends and slot.job is None and (slot.worker is None or not none_suits)
            for slot in self._slots
        )
        unused = [slot for slot in self._slots if slot.task is None]
        for slot in unused[: max(0, self._waiting() - soon_free)]:
            log.info("%s is started for waiting jobs", slot.name)
            self._use(slot)

    @property
    def rest(self) -> bool:
        """Whether no worker runs because no job needs one."""
        return self._least == 0 and bool(self._slots) and all(slot.task is None or slot.ends for slot in self._slots)

    def free(self) -> list[WorkerSlot]:
        """Return the slots whose worker is ready and has no job."""
        return [slot for slot in self._slots if slot.worker is not None and slot.job is None]

    def able(self, needs: Needs) -> list[WorkerSlot]:
        """Return the free slots whose worker can run a prompt with these needs."""
        return [slot for slot in self.free() if self._catalogue.placement.can_run(slot.name, needs)]

    def workers(self, idle_first: bool = False, needs: Needs | None = None) -> list[Worker]:
        """Return the running workers; with ``needs``, those that can run such a prompt."""
        can_run = self._catalogue.placement.can_run
        slots = sorted(self._slots, key=lambda slot: slot.job is not None) if idle_first else self._slots
        return [
            slot.worker for slot in slots if slot.worker is not None and (needs is None or can_run(slot.name, needs))
        ]

    async def list_files(self) -> None:
        """Have the workers with separate folders list their model files again. Slow ones keep their former lists."""
        placement = self._catalogue.placement
        separate = placement.with_separate_folders()
        await asyncio.gather(
            *(
                self._list_files(slot.name, slot.worker)
                for slot in self._slots
                if slot.name in separate and slot.worker is not None
            )
        )

    async def _list_files(self, name: str, worker: Worker) -> None:
        try:
            async with asyncio.timeout(_LISTING_SECONDS):
                self._catalogue.placement.update_files(name, await worker.model_files())
        except (TimeoutError, UnansweredError, WorkerDied) as error:
            log.info("%s has not listed its model files: %s", name, error or "it takes too long")

    def running(self, prompt_id: str) -> list[Worker]:
        """Return the workers that run the job or a part of it."""
        return [
            slot.worker
            for slot in self._slots
            if slot.worker is not None and slot.job is not None and slot.job.prompt_id == prompt_id
        ]

    def job_of(self, worker: Worker) -> Job | None:
        """Return the job that the worker runs now."""
        return next((slot.job for slot in self._slots if slot.worker is worker), None)

    def stats(self) -> list[tuple[str, Stats]]:
        """Return the stats of every running worker, with its name."""
        return [(slot.name, slot.worker.stats()) for slot in self._slots if slot.worker is not None]

    def troubles(self) -> dict[str, str]:
        """Return, by name, why a worker cannot compute or has not started, for all slots of which that is known."""
        found = {}
        for slot in self._slots:
            if slot.worker is not None:
                found[slot.name] = slot.worker.stats().trouble
            elif slot.task is not None:
                found[slot.name] = (slot.starting.waits_for if slot.starting is not None else "") or slot.trouble
        return {name: trouble for name, trouble in found.items() if trouble}

    async def free_memory(self, unload_models: bool, free_memory: bool) -> None:
        """Free models or results in every worker."""
        for slot in self._slots:
            if slot.worker is not None:
                slot.files = frozenset()
                try:
                    await slot.worker.free(unload_models, free_memory)
                except WorkerDied:
                    log.info("%s died, so there is nothing to free", slot.name)

    def _use(self, slot: WorkerSlot) -> None:
        slot.task = asyncio.create_task(self._keep(slot), name=slot.name)

    def _is_superfluous(self) -> bool:
        """Whether more workers run than always must, and none of the waiting jobs needs another."""
        used = sum(slot.task is not None and not slot.ends for slot in self._slots)
        return used > self._least and self._waiting() == 0

    async def _keep(self, slot: WorkerSlot) -> None:
        """Keep a worker running in ``slot``: start one, and a new one whenever it dies. End when it is superfluous."""
        wait = _FIRST_RESTART_WAIT
        while True:
            self._catalogue.placement.expect(slot.name)
            worker = slot.starting = slot.make()
            self._connect(worker)
            try:
                description = await self._started(worker)
                if description is None:
                    slot.ends = True
                    break
                await self._catalogue.update(description, slot.name)
                log.info("%s is ready: %d nodes", slot.name, len(description.nodes))
                slot.worker, slot.starting, slot.trouble, wait = worker, None, "", _FIRST_RESTART_WAIT
                self._changed()
                await self._serve(slot, worker)
                log.info("%s had no job for %g s and is ended", slot.name, self._plan.idle_seconds)
                break
            except Exception as error:
                if not isinstance(error, WorkerDied):
                    log.exception("%s: the server failed to use it", slot.name)
                if slot.worker is None:
                    slot.trouble = f"it did not start: {error}"
                    log.error("%s did not start: %s; next attempt in %g s", slot.name, error, wait)
                else:
                    self.deaths += 1
                    log.error("%s died: %s; starting a new one", slot.name, error)
            finally:
                slot.worker, slot.starting, slot.files = None, None, frozenset()
                await worker.close()
            self._catalogue.placement.lost(slot.name)
            self._changed()  # jobs that only this worker can run wait for it, but not forever
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_RESTART_WAIT)
        slot.task, slot.ends = None, False
        self.grow()

    async def _started(self, worker: Worker) -> Description | None:
        """Start the worker and return its description; None if it became superfluous before it was ready."""
        starting = asyncio.ensure_future(worker.start())
        try:
            while True:
                await asyncio.wait([starting], timeout=self._plan.idle_seconds)
                if starting.done():
                    return starting.result()
                if self._is_superfluous():
                    return None
        finally:
            starting.cancel()

    async def _serve(self, slot: WorkerSlot, worker: Worker) -> None:
        """Run the jobs given to ``slot`` until the worker is superfluous. Raises WorkerDied if it dies."""
        death = asyncio.ensure_future(worker.died())
        try:
            while True:
                given = asyncio.ensure_future(slot.wake.wait())
                done, _ = await asyncio.wait(
                    [given, death], timeout=self._plan.idle_seconds, return_when=asyncio.FIRST_COMPLETED
                )
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
                if not done and self._is_superfluous():
                    slot.worker, slot.ends = None, True  # nothing is given to it from now on
                    return
        finally:
            death.cancel()
