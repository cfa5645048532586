"""Chooses the next waiting job where workers differ: a job that only a busy worker can run is passed over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from graph.schema import Registry
from server.queue.catalogue import Catalogue
from server.queue.placement import Needs, needs_of
from server.queue.worker_slots import WorkerSlots
from server.store.job_store import JobStore
from server.store.jobs import Job


class WaitingNeeds:
    """The needs of waiting jobs, each read once from the store."""

    def __init__(self, store: JobStore, catalogue: Catalogue, slots: WorkerSlots):
        self._store = store
        self._catalogue = catalogue
        self._slots = slots
        self._known: dict[str, Needs] = {}

    def of_started(self, job: Job, registry: Registry) -> Needs:
        """Return the needs of a job that waits no more, and forget them."""
        return self._known.pop(job.prompt_id, None) or needs_of(job.prompt, registry)

    def must_wait_now(self) -> Callable[[str], Awaitable[bool]]:
        """Return whether a waiting job needs a worker that is not free now, as a function of its id.

        It is false also if no such worker will come, and for sweeps, whose parts have separate needs.
        """
        answers: dict[Needs, bool] = {}

        async def must_wait(prompt_id: str) -> bool:
            needs = self._known.get(prompt_id)
            if needs is None:
                job = await self._store.get(prompt_id)
                if job is None or job.extra_data.get("sweep"):
                    return False
                needs = self._known[prompt_id] = needs_of(job.prompt, await self._catalogue.registry())
            if needs not in answers:
                answers[needs] = not self._slots.able(needs) and self._catalogue.placement.is_awaited(needs)
            return answers[needs]

        if len(self._known) > 2 * self._store.queue_remaining() + 100:  # jobs were deleted
            self._known = {waiting: needs for waiting, needs in self._known.items() if self._store.waits(waiting)}
        return must_wait
