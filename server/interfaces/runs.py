"""Queues workflows as jobs and follows them in this process: progress, previews, the end."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from graph.schema import Registry
from graph.workflow import Workflow
from server.http.request_error import RequestError
from server.services import Services
from server.store.jobs import Job

REGISTRY_SECONDS: Final = 60.0
"""How long a request waits for a worker's list of nodes."""
_CHECK_SECONDS: Final = 2.0
"""Seconds between two checks that the client is still connected."""
_RETRY_AFTER: Final = 1


async def current_registry(here: Services) -> Registry:
    """Return the node types, for building workflows. Raises RequestError (503) if no worker has started."""
    return await here.catalogue.current_registry(REGISTRY_SECONDS)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A workflow to run, and how.

    ``extra_data`` is stored with the job. ``texts`` are written into the saved pictures under their names, beside the
    workflow. ``previews``: make previews during sampling. ``webhook``: address to notify when the job ends.
    ``targets``: the output nodes to run; None means all. ``front``: run before all waiting jobs.
    """

    workflow: Workflow
    extra_data: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    previews: bool = False
    webhook: str | None = None
    targets: tuple[str, ...] | None = None
    front: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """``done``: the estimated share of the run that is done, 0..1. The ``node`` that runs is at ``step`` of ``steps``;
    both are 0 until it reports one."""

    done: float
    node: str | None
    step: float = 0
    steps: float = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of work in progress after ``step`` of ``steps``: ``data`` is a file of ``format`` JPEG or PNG."""

    format: str
    data: bytes
    node: str | None
    step: float = 0
    steps: float = 0

    @property
    def base64(self) -> str:
        """The bytes in base64."""
        return base64.b64encode(self.data).decode()


class Run:
    """A queued job that is followed until its end. Made by :func:`followed`."""

    def __init__(self, here: Services):
        self.prompt_id = ""
        self.preview: Preview | None = None
        """The latest preview."""
        self._here = here
        self._step: tuple[float, float] = (0, 0)
        self._node: str | None = None
        self._progressed = False
        self._previewed = False
        self._news = asyncio.Event()

    @property
    def user(self) -> str | None:
        """Who queued the job; None is the operator."""
        return self._here.user

    @property
    def progress(self) -> Progress:
        """The present progress; ``done`` is 0 while the job waits."""
        running = self._here.scheduler.running.get(self.prompt_id)
        if running is None:
            return Progress(0.0, None)
        return Progress(running.progress, running.node, *self._step)

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended or was removed from the queue."""
        return not self._here.store.is_queued(self.prompt_id)

    async def changes(self, idle: float | None = None) -> AsyncIterator[Progress | Preview]:
        """Yield progress and previews until the job has ended. A slow reader gets the latest ones only.

        If nothing has changed for ``idle`` seconds, yield the progress again.
        """
        ended = asyncio.create_task(self._until_ended())
        try:
            while not ended.done() or self._progressed or self._previewed:
                news = asyncio.create_task(self._news.wait())
                try:
                    done, _ = await asyncio.wait([news, ended], timeout=idle, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
                self._news.clear()
                progressed, previewed = self._progressed or not done, self._previewed
                self._progressed = self._previewed = False
                if progressed and not ended.done():
                    yield self.progress
                if previewed and self.preview is not None:
                    yield self.preview
        finally:
            ended.cancel()

    async def ended(
        self, request: web.Request | None = None, seconds: float | None = None, *, stop_if_gone: bool = False
    ) -> Job | None:
        """Wait until the job has ended. Returns None if it has not after ``seconds``.

        With ``request``, also stop waiting when its client disconnects; ``stop_if_gone`` then stops the job. Raises
        RequestError (404) if the job was removed from the queue or the history.
        """
        await wait_until_ended(self._here, self.prompt_id, request, seconds, stop_if_gone=stop_if_gone)
        return await self.job() if self.has_ended else None

    async def job(self) -> Job:
        """Return the job's present state. Raises RequestError (404) if it was removed."""
        return await find_job(self._here, self.prompt_id)

    async def stop(self) -> None:
        """Stop the job, whether it runs or waits."""
        await self._here.scheduler.interrupt(self.prompt_id, self._here.user)

    # -- what the hub calls --------------------------------------------------------------------------------------

    def receive(self, event: str, data: Mapping[str, Any]) -> None:
        """Take in a message about the job."""
        if event == "progress":
            self._step = (data["value"], data["max"])
        elif event == "executing" and data.get("node") != self._node:
            self._node, self._step = data.get("node"), (0, 0)
        elif event not in ("execution_start", "execution_cached", "executed"):
            return
        self._progressed = True
        self._news.set()

    def receive_preview(self, metadata: Mapping[str, Any], image_format: str, image: bytes) -> None:
        """Take in a preview, which replaces the one before."""
        self.preview = Preview(image_format, image, metadata.get("display_node_id"), *self._step)
        self._previewed = True
        self._news.set()

    async def _until_ended(self) -> None:
        while not self.has_ended:
            await self._here.store.wait_ended(self.prompt_id, _CHECK_SECONDS)


@asynccontextmanager
async def followed(here: Services, wanted: RunRequest) -> AsyncIterator[Run]:
    """Queue a job and follow it within the ``with``; the job continues if the block is left early.

    Raises RequestError: 400 for an invalid workflow, 413, 429 and 507 as ``POST /prompt`` does.
    """
    run = Run(here)
    client_id = f"interface-{uuid.uuid4().hex}"
    with here.hub.following(client_id, run):  # before it is queued: a run of cached results ends at once
        run.prompt_id = await submit(here, wanted, client_id)
        yield run


async def submit(here: Services, wanted: RunRequest, client_id: str | None = None) -> str:
    """Queue a job and return its id. Messages go to the WebSocket client ``client_id``, if any. Raises RequestError."""
    extra = {**wanted.extra_data}
    saved = {**extra.get("extra_pnginfo", {}), **wanted.texts}
    if wanted.workflow.editor is not None:
        saved["workflow"] = dict(wanted.workflow.editor)
    if saved:
        extra["extra_pnginfo"] = saved
    if wanted.webhook is not None:
        extra["webhook"] = wanted.webhook
    extra.setdefault("preview_method", "auto" if wanted.previews else "none")
    body: dict[str, Any] = {"prompt": wanted.workflow.to_api(), "extra_data": extra, "front": wanted.front}
    if client_id is not None:
        body["client_id"] = client_id
    if wanted.targets is not None:
        body["partial_execution_targets"] = list(wanted.targets)
    status, answer = await here.prompts.submit(body, here.user)
    if status == 200:
        return str(answer["prompt_id"])
    error = answer["error"]
    retry_after = _RETRY_AFTER if status == 429 else None
    extra = {"node_errors": answer["node_errors"]} if answer["node_errors"] else {}
    raise RequestError(status, error["type"], error["message"], error["details"], retry_after, extra)


async def wait_until_ended(
    here: Services,
    prompt_id: str,
    request: web.Request | None = None,
    seconds: float | None = None,
    *,
    stop_if_gone: bool = False,
) -> None:
    """Wait until the job has ended, ``seconds`` have passed, or the client of ``request`` has disconnected.

    ``stop_if_gone``: stop the job if the client has disconnected.
    """
    loop = asyncio.get_running_loop()
    late = None if seconds is None else loop.time() + seconds
    while here.store.is_queued(prompt_id, here.user):
        left = _CHECK_SECONDS if late is None else late - loop.time()
        if left <= 0:
            return
        if request is not None and request.transport is None:
            if stop_if_gone:
                await here.scheduler.interrupt(prompt_id, here.user)
            return
        await here.store.wait_ended(prompt_id, min(left, _CHECK_SECONDS))


async def find_job(here: Services, prompt_id: str) -> Job:
    """Return the job of that id. Raises RequestError (404) if there is none."""
    job = await here.store.get(prompt_id, here.user)
    if job is None:
        raise RequestError(404, "not_found", f"there is no job {prompt_id[:100]!r}")
    return job


def failure_of(job: Job) -> str | None:
    """Return why an ended job made nothing or not everything, as a sentence; None if it succeeded."""
    if job.status == "interrupted":
        return "the run was interrupted"
    if job.status != "error":
        return None
    error = job.error or {}
    node = f"node {error.get('node_id')} ({error.get('node_type')}): " if error.get("node_id") else ""
    return f"{node}{str(error.get('exception_message') or 'the run failed').strip()}"
