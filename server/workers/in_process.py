"""A worker in the server's own process: nodes run on a thread.

Use it to debug nodes (breakpoints work) and in programs that embed the server. Unlike in a worker process, a node
that crashes the interpreter ends the server, too.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from graph.errors import Problem
from graph.events import Event, NodeOutput, RunInterrupted
from server.workers.engine_host import EngineHost, PackConnection
from server.workers.input_files import Courier, InputFile
from server.workers.interface import (
    Death,
    Description,
    ModelFiles,
    OnEvent,
    OnPackMessage,
    OnPackQuestion,
    Outcome,
    PackAnswer,
    PackRequest,
    RunRequest,
    Stats,
    UnansweredError,
    WorkerDied,
    refuse_question,
)
from server.workers.own_folders import OwnFolders
from server.workers.travelling_files import ServerFiles, contents_of_files

log = logging.getLogger(__name__)


class InProcessWorker:
    """Runs nodes on a thread.

    ``make`` builds the engine on a thread. Then ``warm_up`` is called on another thread; it returns the reason why
    nodes cannot compute, or "". ``files``: the server's files, if the engine has separate folders.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], EngineHost],
        files: ServerFiles | None = None,
        warm_up: Callable[[], str] = str,
    ):
        self.name = name
        self.waits_for = ""
        self._make = make
        self._warm_up = warm_up
        self._files = files
        self._courier: Courier | None = None
        self._host: EngineHost | None = None
        self._ended: asyncio.Future[Death] | None = None
        self._running: str | None = None
        self.on_pack_message: OnPackMessage = lambda event, data, client_id: None
        self.on_pack_question: OnPackQuestion = refuse_question

    async def start(self) -> Description:
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._host = await asyncio.to_thread(self._make)

        def ask(what: str, about: Mapping[str, Any]) -> Any:
            return asyncio.run_coroutine_threadsafe(_answered(self.on_pack_question, what, about), loop).result()

        self._host.connect_packs(
            PackConnection(
                lambda event, data, client_id: _call_on(loop, self.on_pack_message, event, data, client_id),
                ask,
                self._host.interrupt,
            )
        )
        description = await asyncio.to_thread(self._host.describe)
        if self._files is not None and self._host.own_folders is not None:
            self._courier = Courier(self._files.inputs, _ThreadReceiver(self._host.own_folders))
            self._courier.learn(description)
        threading.Thread(target=self._prepare, args=(self._host,), name="warm-up", daemon=True).start()
        return description

    def _prepare(self, host: EngineHost) -> None:
        host.trouble = self._warm_up()
        if host.trouble:
            log.error("%s", host.trouble)

    async def validate(self, prompt: Mapping[str, Any], targets: list[str]) -> list[Problem]:
        host = self._alive()
        if self._courier is not None:
            await self._courier.bring(prompt)
        return await self._unless_closed(_on_own_thread(lambda: host.validate(prompt, targets)))

    async def redeclare(self, names: Sequence[str] | None) -> list[dict[str, Any]]:
        host = self._alive()
        nodes: list[dict[str, Any]] = await self._unless_closed(_on_own_thread(lambda: host.redeclare(names)))
        return nodes

    async def model_files(self) -> ModelFiles | None:
        host = self._alive()
        files: ModelFiles | None = await self._unless_closed(_on_own_thread(host.model_files))
        return files

    async def handle_prompt(self, body: Mapping[str, Any]) -> Any:
        host = self._alive()
        try:
            return await self._unless_closed(_on_own_thread(lambda: host.handle_prompt(body)))
        except WorkerDied:
            raise
        except Exception as error:  # a pack's own code
            raise UnansweredError(f"{type(error).__name__}: {error}") from error

    async def run(self, request: RunRequest, on_event: OnEvent) -> Outcome:
        host, loop = self._alive(), asyncio.get_running_loop()
        if self._courier is not None and not await self._courier.bring_for(request):
            return RunInterrupted(request.prompt_id, None, None)
        arrivals = self._files.arrivals(request) if self._files is not None else None

        def listen(event: Event) -> None:
            if arrivals is not None and isinstance(event, NodeOutput):
                for file, data in contents_of_files(event, host.folders):
                    arrivals.take(file, data)
                event = arrivals.renamed(event)
            _call_on(loop, on_event, event)

        host.expect(request.prompt_id)
        self._running = request.prompt_id
        try:
            outcome: Outcome = await self._unless_closed(_on_own_thread(lambda: host.run(request, listen)))
        finally:
            self._running = None
        if self._files is not None:
            self._files.run_ended(request)
        return outcome

    async def ask_packs(self, request: PackRequest) -> PackAnswer:
        host = self._alive()
        answer: PackAnswer = await self._unless_closed(_on_own_thread(lambda: host.answer_packs(request)))
        return answer

    async def interrupt(self, prompt_id: str) -> None:
        if self._courier is not None and self._courier.stop(prompt_id):
            return
        self._alive().interrupt(prompt_id)

    async def free(self, unload_models: bool, free_memory: bool) -> None:
        await asyncio.to_thread(self._alive().free, unload_models, free_memory)

    def stats(self) -> Stats:
        return self._alive().stats()

    async def died(self) -> Death:
        assert self._ended is not None
        return await asyncio.shield(self._ended)

    async def close(self) -> None:
        host, self._host = self._host, None
        if host is None:
            return
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(Death("it was closed"))
        if self._running is not None:
            host.interrupt(self._running)
        await asyncio.to_thread(host.engine.close)

    def _alive(self) -> EngineHost:
        if self._host is None:
            raise WorkerDied("it was closed")
        return self._host

    async def _unless_closed(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return the result of ``work``. Raises WorkerDied as soon as the worker is closed."""
        assert self._ended is not None
        task = asyncio.ensure_future(work)
        await asyncio.wait([task, self._ended], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        raise WorkerDied(self._ended.result())


class _ThreadReceiver:
    """Brings files to folders of this machine, on threads."""

    def __init__(self, own: OwnFolders):
        self._own = own

    async def lacking(self, contents: Sequence[str]) -> list[str]:
        return await asyncio.to_thread(self._own.lacking, contents)

    async def take(self, transfer: int, content: str, data: bytes, last: bool) -> None:
        await asyncio.to_thread(self._own.take, transfer, content, data, last)

    async def abandon(self, transfer: int) -> None:
        self._own.abandon(transfer)

    async def place(self, files: Sequence[InputFile], for_run: bool) -> list[str]:
        listed = [(file.folder, file.name, file.content, file.size) for file in files]
        return await asyncio.to_thread(self._own.place, listed, for_run)


async def _answered(answer: OnPackQuestion, what: str, about: Mapping[str, Any]) -> Any:
    return await answer(what, about)


async def _on_own_thread(work: Callable[[], Any]) -> Any:
    """Run ``work`` on a daemon thread, because it may never end, and return its result."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)

    def target() -> None:
        try:
            result, error = work(), None
        except Exception as raised:  # passed on to the waiting task
            result, error = None, raised
        _call_on(loop, settle, result, error)

    threading.Thread(target=target, name="worker", daemon=True).start()
    return await answer


def _call_on(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    """Call a function on the loop's thread. Does nothing after the loop has ended."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        log.debug("a thread of the worker outlived its event loop")
