"""The scheduler: takes jobs from the store in order and gives them to free workers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from graph.events import RunFailed, RunInterrupted, RunSucceeded
from graph.schema import Registry
from graph.sweep.sweep import Sweep
from server.http.hub import EVERYONE, Hub
from server.queue.catalogue import Catalogue
from server.queue.messages import RunMessages
from server.queue.placement import Needs
from server.queue.sweep_messages import SweepMessages
from server.queue.sweep_run import Part, SweepRun, sweep_of
from server.queue.waiting_needs import WaitingNeeds
from server.queue.worker_questions import WorkerQuestions
from server.queue.worker_slots import WorkerSlot, WorkerSlots
from server.store.job_store import JobStore
from server.store.jobs import MAX_WORKER_DEATHS, MAX_WORKERS_LOST, PREVIEW_METHODS, Job, may_see
from server.workers.interface import (
    Death,
    OnEvent,
    Outcome,
    RunRequest,
    Stats,
    Worker,
    WorkerDied,
    WorkerFactory,
    refuse_question,
)
from server.workers.plan import WorkerPlan

log = logging.getLogger(__name__)

_STORE_WAIT: Final = 1.0
_GIGABYTE: Final = 1024**3
_MOMENT: Final = 0.01


@dataclass
class Running:
    """A job that runs now."""

    job: Job
    worker: str
    messages: RunMessages
    sweep: SweepRun | None = None

    @property
    def progress(self) -> float:
        """The estimated share that is done, 0..1."""
        return self.messages.progress

    @property
    def node(self) -> str | None:
        """The placed node that runs now."""
        return self.messages.node


class Scheduler:
    """Keeps the workers of ``plan`` and gives them jobs. A mapping of factories stands for workers that always run.

    ``on_node_finished(class, seconds)`` and ``on_job_ended(job)`` are for metrics. ``questions`` asks any running
    worker. ``on_pack_question(what, about, user)`` answers questions of node packs in a worker that runs a job of
    ``user``.
    """

    def __init__(self, store: JobStore, hub: Hub, catalogue: Catalogue, plan: WorkerPlan | Mapping[str, WorkerFactory]):
        plan = plan if isinstance(plan, WorkerPlan) else WorkerPlan(plan)
        self.store, self.hub, self.catalogue = store, hub, catalogue
        self.running: dict[str, Running] = {}
        self.on_node_finished: list[Callable[[str, float], None]] = []
        self.on_job_ended: list[Callable[[Job], None]] = []
        self._slots = WorkerSlots(plan, catalogue, self._connect, self._run, self._changed, self._waiting)
        self._dispatching: asyncio.Task[None] | None = None
        self._to_stop: set[str] = set()
        self._lost: Counter[str] = Counter()
        self._ending: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._needs = WaitingNeeds(store, catalogue, self._slots)
        self.on_pack_question: Callable[[str, Mapping[str, Any], str | None], Awaitable[Any]] = _refuse_question
        self.questions = WorkerQuestions(self._slots.workers)
        catalogue.ask = self.questions.redeclare
        catalogue.list_files = self._slots.list_files
        catalogue.awaits_workers = bool(plan.factories)
        store.on_change = self._changed
        hub.queue_remaining = store.queue_remaining
        hub.greeting = self._greeting

    async def start(self) -> None:
        """Start the workers. Returns at once, before they are ready."""
        self._slots.start()
        self._dispatching = asyncio.create_task(self._dispatch(), name="dispatch")

    async def close(self) -> None:
        """End the workers. Their running jobs stay in the queue for the next start."""
        if self._dispatching is not None:
            self._dispatching.cancel()
            await asyncio.gather(self._dispatching, return_exceptions=True)
        await self._slots.close()
        await asyncio.gather(*self._ending, return_exceptions=True)
        for running in list(self.running.values()):
            running.messages.abandon()
            running.job.start_over()
            await self.store.put_back(running.job)

    @property
    def ready(self) -> bool:
        """Whether a worker runs and knows of no reason why it could not compute, or none runs for lack of jobs."""
        return self._slots.rest or any(not stats.trouble for _, stats in self.stats())

    def stats(self) -> list[tuple[str, Stats]]:
        """Return the stats of every running worker."""
        return self._slots.stats()

    def troubles(self) -> dict[str, str]:
        """Return, by worker, why it cannot compute or has not started; without workers of which nothing is known."""
        return self._slots.troubles()

    @property
    def worker_deaths(self) -> int:
        """The number of workers that have died."""
        return self._slots.deaths

    async def interrupt(self, prompt_id: str | None = None, user: str | None = None) -> bool:
        """Stop one job of a user, or all running ones for None. Returns whether there was a job to stop.

        The operator, None, can stop everyone's. A waiting job ends as interrupted without running. An ended job does
        not change.
        """
        if prompt_id is None:
            return any([await self._stop(running) for running in self.store.running(user)])
        if prompt_id in self.store.running(user):
            return await self._stop(prompt_id)
        job = await self.store.end_pending(prompt_id, _interrupted_before, user)
        if job is None:
            return False
        self.hub.send(job.client_id, "execution_interrupted", job.messages[-1][1], job.user)
        self._job_ended(job)
        return True

    async def free(self, unload_models: bool, free_memory: bool) -> None:
        """Free models or results in every worker."""
        await self._slots.free_memory(unload_models, free_memory)

    def _connect(self, worker: Worker) -> None:
        worker.on_pack_message = partial(self._relay, worker)
        worker.on_pack_question = partial(self._answer_pack, worker)

    def _relay(self, worker: Worker, event: str, data: Any, client_id: str | None) -> None:
        """Send a node pack's message to its client or to everyone, while a job runs only to clients of its user.

        A message to another client than the job's answers that client's request, so it goes there.
        """
        job = self._slots.job_of(worker)
        concerned = EVERYONE if job is None or client_id not in (None, job.client_id) else job.user
        if isinstance(data, bytes):
            if event.isdecimal():
                self.hub.send_binary(client_id, int(event).to_bytes(4, "big") + data, concerned)
        else:
            self.hub.send(client_id, event, data, concerned)

    async def _answer_pack(self, worker: Worker, what: str, about: Mapping[str, Any]) -> Any:
        job = self._slots.job_of(worker)
        return await self.on_pack_question(what, about, None if job is None else job.user)

    # -- jobs ----------------------------------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        """Give the first job of the queue to a free worker whenever both exist."""
        while True:
            self._news.clear()
            try:
                while self._slots.free() and await self._give_something():
                    pass
                self._slots.grow(none_suits=not self.catalogue.placement.is_uniform)
            except Exception:
                log.exception("cannot take a job from the queue; next attempt in %g s", _STORE_WAIT)
                await asyncio.sleep(_STORE_WAIT)
                continue
            await self._news_or_loss()

    async def _give_something(self) -> bool:
        """Give the job or part that comes next to a free worker. Returns False if none can start now."""
        if await self._give_part() or await self._give_next():
            return True
        # The jobs that come before the parts of a sweep may wait for workers that are busy.
        return not self.catalogue.placement.is_uniform and await self._give_part(in_turn=False)

    async def _news_or_loss(self) -> None:
        """Wait until a job or worker may have come, or a worker that jobs wait for may count as gone."""
        placement = self.catalogue.placement
        seconds = None if placement.is_uniform else placement.seconds_to_next()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds is None else seconds + _MOMENT):
                await self._news.wait()

    def _waiting(self) -> int:
        """Return how many more workers would have a job at once."""
        parts = sum(running.sweep.ready() for running in self.running.values() if running.sweep is not None)
        return self.store.pending_now() + parts

    async def _give_next(self) -> bool:
        """Give the first job of the queue to a free worker. Returns False if no job waits."""
        job = await self.store.claim_next(None if self.catalogue.placement.is_uniform else self._needs.must_wait_now())
        if job is None:
            return False
        try:
            registry = await self.catalogue.registry()
            sweep = sweep_of(job)
            stored = await self.store.parts(job.prompt_id) if sweep is not None else {}
        except Exception:
            await self.store.put_back(job)
            raise
        needs = self._needs.of_started(job, registry)
        if not self._slots.free():  # the worker died in the meantime
            await self.store.put_back(job)
        elif sweep is not None:
            await self._begin_sweep(job, sweep, registry, stored)
        elif able := self._slots.able(needs):
            slot = _given(able, job, needs)
            self.running[job.prompt_id] = Running(job, slot.name, RunMessages(job, self.hub, self._node_finished))
        elif self.catalogue.placement.is_awaited(needs):  # its worker died in the meantime
            await self.store.put_back(job)
        else:
            running = Running(job, "", RunMessages(job, self.hub, self._node_finished))
            self.running[job.prompt_id] = running
            await self._end(running, _no_worker(job, self.catalogue.placement.why_nowhere(needs)))
        return True

    async def _run(self, slot: WorkerSlot, worker: Worker, job: Job) -> None:
        """Make one attempt at ``job``. Raises WorkerDied, after the job has been queued again or ended."""
        running = self.running[job.prompt_id]
        if running.sweep is not None:
            await self._run_part(slot, worker, running, running.sweep)
            return
        log.info("starts on %s", slot.name, extra=job.log_facts)
        try:
            outcome = await self._outcome(worker, job, _request(job), running.messages.handle)
        except WorkerDied as death:
            await self._handle_death(running, death.death)
            raise
        await self._end(running, outcome)

    async def _outcome(
        self, worker: Worker, job: Job, request: RunRequest | Callable[[], RunRequest], on_event: OnEvent
    ) -> Outcome:
        """Run the request and return how it ended. A function makes it on a thread. Raises WorkerDied."""
        try:
            if job.prompt_id in self._to_stop:
                return RunInterrupted(job.prompt_id, None, None)
            if not isinstance(request, RunRequest):
                request = await asyncio.to_thread(request)
                if job.prompt_id in self._to_stop:  # too early for the worker
                    return RunInterrupted(job.prompt_id, None, None)
            return await worker.run(request, on_event)
        except WorkerDied:
            raise
        except Exception as error:
            log.exception("the server failed while the job ran", extra=job.log_facts)
            return RunFailed(job.prompt_id, "", "", "", type(error).__name__, str(error))

    async def _end(self, running: Running, outcome: Outcome) -> None:
        """Store how the job ended, then send the messages. The server waits for this when it closes."""
        ending = asyncio.create_task(self._store_and_report(running, outcome))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)

    async def _store_and_report(self, running: Running, outcome: Outcome) -> None:
        job = running.job
        said = running.messages.ended(outcome)
        await self.store.finish(job)
        del self.running[job.prompt_id]
        self._to_stop.discard(job.prompt_id)
        del self._lost[job.prompt_id]
        running.messages.send_end(said)
        took = (job.ended or 0.0) - (job.started or 0.0)
        log.info("%s after %.2f s", job.status, took, extra=job.log_facts)
        self._job_ended(job)

    async def _handle_death(self, running: Running, death: Death) -> None:
        """Put the job of a worker that died back into the queue; if that has happened too often, end it as an error."""
        job = running.job
        node = running.node
        running.messages.abandon()
        verdict = self._count_death(job, death)
        if job.prompt_id in self._to_stop:
            await self._end(running, RunInterrupted(job.prompt_id, node, None))
            return
        if verdict:
            await self._end(running, _worker_died(job, node, f"{verdict} this prompt: {death.reason}"))
            return
        del self.running[job.prompt_id]
        job.start_over()
        self._report_death(job, node, death)
        await self.store.put_back(job)

    def _count_death(self, job: Job, death: Death) -> str:
        """Count the death against the job; "" if it may be retried, else the beginning of the error's message."""
        if death.lost:
            self._lost[job.prompt_id] += 1
        else:
            job.worker_deaths += 1
        return _too_many(job.worker_deaths, self._lost[job.prompt_id])

    def _report_death(self, job: Job, node: str | None, death: Death) -> None:
        """Report in the log, in the job's messages and to its client that the job runs again."""
        what = "was lost" if death.lost else "died"
        log.warning("its worker %s (%s); it runs again", what, death.reason, extra=job.log_facts)
        said = {"prompt_id": job.prompt_id, "node_id": node, "reason": death.reason}
        message = {**said, "timestamp": int(time.time() * 1000)}
        job.messages.append(["worker_died", message])
        if job.client_id is not None:
            self.hub.send(job.client_id, "worker_died", message, job.user)

    # -- sweeps --------------------------------------------------------------------------------------------------

    async def _begin_sweep(self, job: Job, sweep: Sweep, registry: Registry, stored: Mapping[int, Any]) -> None:
        """Let the parts of a sweep be given to workers, without those that an earlier attempt has finished."""
        messages = SweepMessages(job, self.hub, self._node_finished, len(sweep))
        run = SweepRun(job, sweep, _request(job), messages, registry, self.catalogue.folders)
        self.running[job.prompt_id] = Running(job, "", messages, run)
        run.restore(stored)
        self.store.begin_sweep(job.prompt_id, run.parts_left)
        await self._end_sweep(self.running[job.prompt_id], run)

    async def _give_part(self, in_turn: bool = True) -> bool:
        """Give the next part of a running sweep to a free worker. Returns False if none can, or a job comes first.

        Without ``in_turn`` no job comes first. A sweep with a part that no worker can run ends as an error.
        """
        for prompt_id, running in self._sweeps_in_turn() if in_turn else list(self.running.items()):
            if running.sweep is not None and (taken := running.sweep.take(self._slots.able)) is not None:
                self.store.begin_part(prompt_id, running.sweep.parts_left)
                slot = _given(self._slots.able(taken[1]), running.job, taken[1])
                slot.part = taken[0]
                running.worker = slot.name
                return True
            await self._end_if_unable(running)
        return False

    def _sweeps_in_turn(self) -> list[tuple[str, Running]]:
        """Return the running sweeps that come before the first waiting job, the one with the earliest turn first."""
        sweeps = [prompt_id for prompt_id, running in self.running.items() if running.sweep is not None]
        return [(prompt_id, self.running[prompt_id]) for prompt_id in self.store.sweeps_in_turn(sweeps)]

    async def _end_if_unable(self, running: Running) -> None:
        placement = self.catalogue.placement
        if running.sweep is None or placement.is_uniform:
            return
        needs = running.sweep.unable(placement.is_awaited)
        if needs is not None:
            running.sweep.stop(_no_worker(running.job, placement.why_nowhere(needs)))
            await self._stop(running.job.prompt_id)

    async def _run_part(self, slot: WorkerSlot, worker: Worker, running: Running, sweep: SweepRun) -> None:
        """Run one part of a sweep. Raises WorkerDied, after the part has been put back or the job has ended."""
        job, part = running.job, slot.part
        log.info("%s starts on %s", sweep.name_of(part), slot.name, extra=job.log_facts)
        try:
            outcome = await self._outcome(
                worker, job, lambda: sweep.request_for(part), lambda event: sweep.messages.handle_part(part, event)
            )
        except WorkerDied as death:
            await self._handle_part_death(running, sweep, part, death.death)
            raise
        if isinstance(outcome, RunSucceeded):
            sweep.finished(part)
            if part is not None:
                await self.store.save_part(job.prompt_id, part, sweep.shown_by(part))
            if job.prompt_id in self._to_stop:
                sweep.stop(RunInterrupted(job.prompt_id, None, None))
        else:
            sweep.failed(part, outcome)
            await self._stop(job.prompt_id)
        await self._end_sweep(running, sweep)

    async def _handle_part_death(self, running: Running, sweep: SweepRun, part: Part, death: Death) -> None:
        job = running.job
        node = running.node
        died, lost = sweep.died(part, death.lost)
        job.worker_deaths += not death.lost
        verdict = _too_many(died, lost)
        if verdict:
            message = f"{verdict} {sweep.name_of(part)}: {death.reason}"
            sweep.stop(_worker_died(job, node, message))
            await self._stop(job.prompt_id)
        elif job.prompt_id in self._to_stop:
            sweep.stop(RunInterrupted(job.prompt_id, node, None))
        else:
            self._report_death(job, node, death)
        await self._end_sweep(running, sweep)

    async def _end_sweep(self, running: Running, sweep: SweepRun) -> None:
        """End the job if no part of it runs or waits any more."""
        outcome = sweep.take_outcome()
        if outcome is not None:
            await self._end(running, outcome)

    async def _stop(self, prompt_id: str) -> bool:
        self._to_stop.add(prompt_id)
        for worker in self._slots.running(prompt_id):
            try:
                await worker.interrupt(prompt_id)
            except WorkerDied:
                log.info("its worker died before it was interrupted", extra={"prompt_id": prompt_id})
        running = self.running.get(prompt_id)
        if running is not None and running.sweep is not None:
            running.sweep.stop(RunInterrupted(prompt_id, None, None))
            await self._end_sweep(running, running.sweep)  # at once if none of its parts runs
        return True

    def _job_ended(self, job: Job) -> None:
        for callback in self.on_job_ended:
            callback(job)

    def _node_finished(self, class_type: str, seconds: float) -> None:
        for callback in self.on_node_finished:
            callback(class_type, seconds)

    def _changed(self) -> None:
        self.hub.queue_changed()
        self._news.set()

    def _greeting(self, client_id: str, user: str | None) -> list[tuple[str, dict[str, Any]]]:
        return [
            message
            for running in self.running.values()
            if running.job.client_id == client_id and may_see(user, running.job.user)
            for message in running.messages.greeting()
        ]


def _too_many(died: int, lost: int) -> str:
    """Return the beginning of the error's message if a job may not be retried after so many deaths, else ""."""
    if died >= MAX_WORKER_DEATHS:
        return f"the worker died {died} times while running"
    if lost >= MAX_WORKERS_LOST:
        return f"{lost} workers were lost while running"
    return ""


def _worker_died(job: Job, node: str | None, message: str) -> RunFailed:
    class_type = job.prompt.get(node or "", {}).get("class_type", "")
    return RunFailed(job.prompt_id, node or "", node or "", class_type, "WorkerDied", message)


async def _refuse_question(what: str, about: Mapping[str, Any], user: str | None) -> Any:
    return await refuse_question(what, about)


def _request(job: Job) -> RunRequest:
    return RunRequest(
        job.prompt_id,
        job.prompt,
        tuple(job.outputs_to_execute),
        _extra_pnginfo(job),
        previews=_previews(job),
        client_id=job.client_id,
    )


def _given(able: Sequence[WorkerSlot], job: Job, needs: Needs) -> WorkerSlot:
    """Give ``job`` to the worker of ``able`` that probably holds most of its models, or has the most room for them."""
    slot = max(able, key=lambda slot: _suitability(slot, needs))
    slot.job, slot.files = job, needs.files
    slot.wake.set()
    return slot


def _suitability(slot: WorkerSlot, needs: Needs) -> tuple[int, int]:
    """Return how many of a job's models the worker holds and, if it must load others, its device's free gigabytes."""
    held = len(slot.files & needs.files)
    devices = slot.worker.stats().devices if slot.worker is not None and held < len(needs.files) else []
    return held, max((int(device.get("vram_free") or 0) // _GIGABYTE for device in devices), default=0)


def _no_worker(job: Job, message: str) -> RunFailed:
    return RunFailed(job.prompt_id, "", "", "", "NoWorkerError", message)


def _extra_pnginfo(job: Job) -> Mapping[str, Any] | None:
    extra = job.extra_data.get("extra_pnginfo")
    return extra if isinstance(extra, dict) else None


def _previews(job: Job) -> bool | None:
    """Return whether the client wants previews for this prompt; None to use ``--preview-method``."""
    wanted = job.extra_data.get("preview_method")
    return wanted != "none" if wanted in PREVIEW_METHODS else None


def _interrupted_before(job: Job) -> None:
    job.status = "interrupted"
    data: dict[str, Any] = {"prompt_id": job.prompt_id, "node_id": None, "node_type": None, "executed": []}
    job.messages.append(["execution_interrupted", {**data, "timestamp": int(time.time() * 1000)}])
