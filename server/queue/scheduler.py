"""The scheduler: takes jobs from the store in order and gives them to free workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graph.events import RunFailed, RunInterrupted
from graph.schema import Registry
from server.http.hub import Hub
from server.queue.catalogue import Catalogue
from server.queue.messages import RunMessages
from server.queue.worker_questions import WorkerQuestions
from server.store.job_store import JobStore
from server.store.jobs import MAX_WORKER_DEATHS, PREVIEW_METHODS, Job
from server.workers.interface import (
    OnPackQuestion,
    Outcome,
    RunRequest,
    Stats,
    Worker,
    WorkerDied,
    WorkerFactory,
    nobody_answers,
)

log = logging.getLogger(__name__)

_FIRST_RESTART_WAIT: Final = 0.5
_LONGEST_RESTART_WAIT: Final = 30.0
_STORE_WAIT: Final = 1.0


@dataclass
class Running:
    """A job that runs now."""

    job: Job
    worker: str
    messages: RunMessages

    @property
    def progress(self) -> float:
        """0..1, as far as one can know."""
        return self.messages.progress

    @property
    def node(self) -> str | None:
        """The placed node at work."""
        return self.messages.node


@dataclass
class _WorkerSlot:
    """A place for one worker. A worker that dies is replaced by a new one."""

    name: str
    make: WorkerFactory
    worker: Worker | None = None
    job: Job | None = None
    files: frozenset[tuple[str, str]] = frozenset()
    """Model files of the last job: what is most likely in memory."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Scheduler:
    """Keeps one worker for each of ``factories`` and gives them jobs.

    A factory makes a new worker that is not started; it is called again after a worker has died.
    ``on_node_finished(class, seconds)`` and ``on_job_ended(job)`` are for metrics. ``questions`` asks any worker
    that is up. ``on_pack_question`` answers questions of node packs in the workers.
    """

    def __init__(self, store: JobStore, hub: Hub, catalogue: Catalogue, factories: Mapping[str, WorkerFactory]):
        self.store, self.hub, self.catalogue = store, hub, catalogue
        self.running: dict[str, Running] = {}
        self.worker_deaths = 0
        self.on_node_finished: list[Callable[[str, float], None]] = []
        self.on_job_ended: list[Callable[[Job], None]] = []
        self._slots = [_WorkerSlot(name, make) for name, make in factories.items()]
        self._tasks: list[asyncio.Task[None]] = []
        self._next: tuple[_WorkerSlot, Job] | None = None
        self._to_stop: set[str] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self.on_pack_question: OnPackQuestion = nobody_answers
        self.questions = WorkerQuestions(self._workers)
        catalogue.ask = self.questions.redeclare
        catalogue.awaits_workers = bool(factories)
        store.on_change = self._changed
        hub.queue_remaining = store.queue_remaining
        hub.greeting = self._greeting

    async def start(self) -> None:
        """Start the workers; returns at once, before they are up."""
        self._tasks = [asyncio.create_task(self._keep(slot), name=slot.name) for slot in self._slots]
        self._tasks.append(asyncio.create_task(self._dispatch(), name="dispatch"))

    async def close(self) -> None:
        """End the workers. What they were running waits in the queue for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._ending, return_exceptions=True)
        await asyncio.gather(*(slot.worker.close() for slot in self._slots if slot.worker is not None))
        for running in list(self.running.values()):
            running.messages.abandon()
            running.job.start_over()
            await self.store.put_back(running.job)

    @property
    def ready(self) -> bool:
        """Whether some worker is up, and able to compute as far as it has found out."""
        return any(not stats.trouble for _, stats in self.stats())

    def stats(self) -> list[tuple[str, Stats]]:
        """Of every worker that is up."""
        return [(slot.name, slot.worker.stats()) for slot in self._slots if slot.worker is not None]

    async def interrupt(self, prompt_id: str | None = None) -> bool:
        """Stop one job, or all that run for None; whether there was anything to stop.

        One that still waits ends as interrupted without having run. One that has ended stays as it is.
        """
        if prompt_id is None:
            return any([await self._stop(running) for running in self.store.running()])
        if prompt_id in self.store.running():
            return await self._stop(prompt_id)
        job = await self.store.end_pending(prompt_id, _interrupted_before)
        if job is None:
            return False
        self.hub.send(job.client_id, "execution_interrupted", job.messages[-1][1])
        self._job_ended(job)
        return True

    async def free(self, unload_models: bool, free_memory: bool) -> None:
        """Pass it on to every worker."""
        for slot in self._slots:
            if slot.worker is not None:
                slot.files = frozenset()
                try:
                    await slot.worker.free(unload_models, free_memory)
                except WorkerDied:
                    log.info("%s died and needs no freeing", slot.name)

    def _workers(self, idle_first: bool) -> list[Worker]:
        """The workers that are up."""
        posts = sorted(self._slots, key=lambda slot: slot.job is not None) if idle_first else self._slots
        return [slot.worker for slot in posts if slot.worker is not None]

    def _pass_on(self, event: str, data: Any, client_id: str | None) -> None:
        """A message of a node pack, to its client or to everyone."""
        if isinstance(data, bytes):
            if event.isdecimal():
                self.hub.send_binary(client_id, int(event).to_bytes(4, "big") + data)
        else:
            self.hub.send(client_id, event, data)

    async def _answer_pack(self, what: str, about: Mapping[str, Any]) -> Any:
        return await self.on_pack_question(what, about)

    # -- workers -------------------------------------------------------------------------------------------------

    async def _keep(self, slot: _WorkerSlot) -> None:
        """Keep a worker in ``slot``: start one, and another one whenever it dies."""
        wait = _FIRST_RESTART_WAIT
        while True:
            worker = slot.make()
            worker.on_pack_message, worker.on_pack_question = self._pass_on, self._answer_pack
            try:
                description = await worker.start()
                await self.catalogue.update(description)
                log.info("%s is up: %d nodes", slot.name, len(description.nodes))
                slot.worker, wait = worker, _FIRST_RESTART_WAIT
                self._changed()
                await self._serve(slot, worker)
            except Exception as error:
                if not isinstance(error, WorkerDied):
                    log.exception("%s: the server failed to use it", slot.name)
                if slot.worker is None:
                    log.error("%s did not start: %s; trying again in %g s", slot.name, error, wait)
                else:
                    self.worker_deaths += 1
                    log.error("%s died: %s; starting another", slot.name, error)
            finally:
                slot.worker, slot.files = None, frozenset()
                await worker.close()
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_RESTART_WAIT)

    async def _serve(self, slot: _WorkerSlot, worker: Worker) -> None:
        """Run what is given to ``slot`` until the worker dies; raises WorkerDied."""
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

    # -- jobs ----------------------------------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        """Give the first job of the queue to a free worker, whenever there are both."""
        while True:
            self._news.clear()
            try:
                while any(self._free()) and (job := await self.store.claim_next()) is not None:
                    await self._give(job)
            except Exception:
                log.exception("a job could not be taken from the queue; trying again in %g s", _STORE_WAIT)
                await asyncio.sleep(_STORE_WAIT)
                continue
            await self._news.wait()

    async def _give(self, job: Job) -> None:
        files = model_files(job, await self.catalogue.registry())
        free = list(self._free())
        if not free:  # the worker died in the meantime
            await self.store.put_back(job)
            return
        slot = max(free, key=lambda slot: len(slot.files & files))
        slot.job, slot.files = job, files
        slot.wake.set()
        messages = RunMessages(job, self.hub, self._node_finished)
        self.running[job.prompt_id] = Running(job, slot.name, messages)

    def _free(self) -> list[_WorkerSlot]:
        return [slot for slot in self._slots if slot.worker is not None and slot.job is None]

    async def _run(self, slot: _WorkerSlot, worker: Worker, job: Job) -> None:
        """One attempt at ``job``. Raises WorkerDied after the job has been seen to."""
        running = self.running[job.prompt_id]
        log.info("begins on %s", slot.name, extra={"prompt_id": job.prompt_id})
        request = RunRequest(
            job.prompt_id,
            job.prompt,
            tuple(job.outputs_to_execute),
            _extra_pnginfo(job),
            previews=_previews(job),
            client_id=job.client_id,
        )
        try:
            if job.prompt_id in self._to_stop:
                outcome: Outcome = RunInterrupted(job.prompt_id, None, None)
            else:
                outcome = await worker.run(request, running.messages.handle)
        except WorkerDied as death:
            await self._died_running(running, str(death))
            raise
        except Exception as error:
            log.exception("the server failed while the job ran", extra={"prompt_id": job.prompt_id})
            outcome = RunFailed(job.prompt_id, "", "", "", type(error).__name__, str(error))
        await self._end(running, outcome)

    async def _end(self, running: Running, outcome: Outcome) -> None:
        """Store the end, then tell it. Not cut short when the server closes."""
        ending = asyncio.create_task(self._store_and_tell(running, outcome))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)

    async def _store_and_tell(self, running: Running, outcome: Outcome) -> None:
        job = running.job
        said = running.messages.ended(outcome)
        await self.store.finish(job)
        del self.running[job.prompt_id]
        self._to_stop.discard(job.prompt_id)
        running.messages.send_end(said)
        took = (job.ended or 0.0) - (job.started or 0.0)
        log.info("%s after %.2f s", job.status, took, extra={"prompt_id": job.prompt_id})
        self._job_ended(job)

    async def _died_running(self, running: Running, reason: str) -> None:
        """The worker died under the job: once is bad luck, twice is the job's doing."""
        job = running.job
        job.worker_deaths += 1
        node = running.node
        running.messages.abandon()
        if job.prompt_id in self._to_stop:
            await self._end(running, RunInterrupted(job.prompt_id, node, None))
            return
        lost = {"prompt_id": job.prompt_id, "node_id": node, "reason": reason, "timestamp": int(time.time() * 1000)}
        if job.worker_deaths >= MAX_WORKER_DEATHS:
            class_type = job.prompt.get(node or "", {}).get("class_type", "")
            message = f"the worker died {job.worker_deaths} times while running this prompt: {reason}"
            await self._end(
                running, RunFailed(job.prompt_id, node or "", node or "", class_type, "WorkerDied", message)
            )
            return
        log.warning("its worker died (%s): it is tried once more", reason, extra={"prompt_id": job.prompt_id})
        del self.running[job.prompt_id]
        job.start_over()
        job.messages.append(["worker_died", lost])
        await self.store.put_back(job)
        if job.client_id is not None:
            self.hub.send(job.client_id, "worker_died", lost)

    async def _stop(self, prompt_id: str) -> bool:
        self._to_stop.add(prompt_id)
        for slot in self._slots:
            if slot.job is not None and slot.job.prompt_id == prompt_id and slot.worker is not None:
                try:
                    await slot.worker.interrupt(prompt_id)
                except WorkerDied:
                    log.info("its worker died before it could be interrupted", extra={"prompt_id": prompt_id})
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

    def _greeting(self, client_id: str) -> list[tuple[str, dict[str, Any]]]:
        return [
            message
            for running in self.running.values()
            if running.job.client_id == client_id
            for message in running.messages.greeting()
        ]


def model_files(job: Job, registry: Registry) -> frozenset[tuple[str, str]]:
    """The (folder, name) of every model file that the job's inputs name."""
    found = set()
    for node in job.prompt.values():
        node_type = registry.get(node.get("class_type"))
        for declared in node_type.inputs if node_type is not None else ():
            value = node.get("inputs", {}).get(declared.name)
            if declared.files not in (None, "input", "output", "temp") and isinstance(value, str):
                found.add((str(declared.files), value))
    return frozenset(found)


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
