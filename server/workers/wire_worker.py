"""A worker in another process, on this machine or another: talks to its WorkerLoop in frames, watches and stops it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.errors import Problem, SumiError
from graph.events import NodeOutput, RunInterrupted
from graph.results import SavedFile
from server.workers import wire
from server.workers.input_files import Courier, WireReceiver
from server.workers.interface import (
    HEARTBEAT_SECONDS,
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
from server.workers.transport import Transport, death_of
from server.workers.travelling_files import Arrivals, ServerFiles

log = logging.getLogger(__name__)

SILENT_SECONDS: Final = 60.0
"""Seconds without a heartbeat after which a worker is killed. Loading a large model may delay heartbeats."""

_CLOSING_SECONDS: Final = 3.0
_LAST_FRAMES_SECONDS: Final = 1.0
_LAST_LINES: Final = 10


class WireWorker:
    """A worker at the other end of ``transport``, where a WorkerLoop runs.

    Lines of its standard error go to the log. ``files``: the server's files, if the worker has separate folders; its
    input files come from there, and the files that it sends are stored there. If nothing arrives for
    ``silent_seconds`` it is killed.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        silent_seconds: float = SILENT_SECONDS,
        files: ServerFiles | None = None,
    ):
        self.name = name
        self._transport = transport
        self._silent_seconds = silent_seconds
        self._files = files
        self._courier = Courier(files.inputs, WireReceiver(self._value, self._send)) if files is not None else None
        self._arrivals: Arrivals | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._ended: asyncio.Future[Death] | None = None
        self._description: asyncio.Future[Description] | None = None
        self._outcome: asyncio.Future[Outcome] | None = None
        self._prompt_id: str | None = None
        self._on_event: OnEvent = lambda event: None
        self.on_pack_message: OnPackMessage = lambda event, data, client_id: None
        self.on_pack_question: OnPackQuestion = refuse_question
        self._questions: dict[int, asyncio.Future[wire.Frame]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._asked = 0
        self._stats = Stats()
        self._last_frame_time = 0.0
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._failure = ""
        transport.on_log_line = self._log_line

    @property
    def waits_for(self) -> str:
        """The reason why the worker cannot start yet, or ""."""
        return self._transport.waits_for

    async def start(self) -> Description:
        loop = asyncio.get_running_loop()
        self._ended, self._description = loop.create_future(), loop.create_future()
        await self._transport.open()
        self._last_frame_time = loop.time()
        self._tasks = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._report_death()),
            asyncio.create_task(self._watch()),
        ]
        description: Description = await self._unless_dead(self._description)
        if self._courier is not None:
            self._courier.learn(description)
        return description

    async def validate(self, prompt: Mapping[str, Any], targets: list[str]) -> list[Problem]:
        if self._courier is not None:
            await self._courier.bring(prompt)
        problems, _ = await self._ask({"type": "validate", "prompt": prompt, "targets": targets})
        return [wire.problem_from_data(data) for data in problems]

    async def redeclare(self, names: Sequence[str] | None) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]]
        nodes, _ = await self._ask({"type": "redeclare", "names": names})
        return nodes

    async def model_files(self) -> ModelFiles | None:
        if self._files is None:
            return None
        files: ModelFiles | None = await self._value({"type": "model files"})
        return files

    async def handle_prompt(self, body: Mapping[str, Any]) -> Any:
        changed, _ = await self._ask({"type": "handle prompt", "prompt": body})
        return changed

    async def ask_packs(self, request: PackRequest) -> PackAnswer:
        header = {"type": "pack request", "method": request.method, "path": request.path}
        value, body = await self._ask({**header, "headers": dict(request.headers)}, request.body)
        return PackAnswer(value["status"], [(name, text) for name, text in value["headers"]], bytes(body))

    async def run(self, request: RunRequest, on_event: OnEvent) -> Outcome:
        if self._files is None or self._courier is None:
            return await self._run(request, on_event)
        if not await self._courier.bring_for(request):
            return RunInterrupted(request.prompt_id, None, None)
        self._arrivals = self._files.arrivals(request)
        outcome = await self._run(request, on_event)
        self._files.run_ended(request)
        return outcome

    async def _run(self, request: RunRequest, on_event: OnEvent) -> Outcome:
        self._outcome = asyncio.get_running_loop().create_future()
        self._on_event, self._prompt_id = on_event, request.prompt_id
        await self._send(
            {
                "type": "run",
                "prompt_id": request.prompt_id,
                "prompt": request.prompt,
                "targets": request.targets,
                "extra_pnginfo": request.extra_pnginfo,
                "previews": request.previews,
                "client_id": request.client_id,
                "part": request.part,
            }
        )
        try:
            outcome: Outcome = await self._unless_dead(self._outcome)
        finally:
            self._prompt_id = None
        return outcome

    async def interrupt(self, prompt_id: str) -> None:
        if self._courier is not None and self._courier.stop(prompt_id):
            return
        await self._send({"type": "interrupt", "prompt_id": prompt_id})

    async def free(self, unload_models: bool, free_memory: bool) -> None:
        await self._send({"type": "free", "unload_models": unload_models, "free_memory": free_memory})

    def stats(self) -> Stats:
        return self._stats

    async def died(self) -> Death:
        assert self._ended is not None
        return await asyncio.shield(self._ended)

    async def close(self) -> None:
        if self._tasks and self._ended is not None and not self._ended.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._request_end(), _CLOSING_SECONDS)
        await self._transport.close()
        for task in (*self._tasks, *self._answering):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._answering, return_exceptions=True)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(Death("it was closed"))

    async def _ask(self, header: Mapping[str, Any], body: bytes = b"") -> tuple[Any, bytes]:
        """Ask the process and return its answer: data and bytes. Raises UnansweredError."""
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[wire.Frame] = asyncio.get_running_loop().create_future()
        self._questions[number] = answer
        try:
            await self._send({**header, "id": number}, body)
            found, found_body = await self._unless_dead(answer)
        finally:
            del self._questions[number]
        if "error" in found:
            raise UnansweredError(found["error"])
        return found["value"], found_body

    async def _value(self, header: Mapping[str, Any]) -> Any:
        value, _ = await self._ask(header)
        return value

    async def _request_end(self) -> None:
        try:
            await self._send({"type": "close"})
        except WorkerDied:
            log.debug("%s had already ended", self.name)
        await self.died()

    async def _send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        if self._ended is None:
            raise WorkerDied("it is not running")
        if self._ended.done():  # before this message, so a run that it would begin is not to blame
            raise WorkerDied(Death(self._ended.result().reason, lost=True))
        try:
            await self._transport.send(wire.encode(header, body))
        except ConnectionError:
            raise WorkerDied(await self.died()) from None

    async def _unless_dead(self, answer: asyncio.Future[Any]) -> Any:
        assert self._ended is not None
        await asyncio.wait([answer, self._ended], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise WorkerDied(self._ended.result())

    # -- reading ------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Handle its messages until it ends. A worker that sends an invalid one is killed."""
        try:
            stream = wire.FrameStream(self._transport)
            while frames := await stream.next():
                self._last_frame_time = asyncio.get_running_loop().time()
                for frame in frames:
                    if frame[0]["type"] == "file" and self._arrivals is not None:
                        await self._keep_file(self._arrivals, frame)
                    else:
                        self._handle(frame)
        except wire.WireError as error:
            self._kill(str(error))
        except Exception as error:  # for example a frame of another version; without ending here, the job would hang
            log.exception("%s: cannot handle a message", self.name)
            self._kill(f"cannot handle its message ({type(error).__name__}: {error})")

    async def _report_death(self) -> None:
        """Report its death once it has ended, its last log lines are read and its last messages are handled."""
        assert self._ended is not None
        ending = await self._transport.ended()
        await asyncio.wait([self._tasks[0]], timeout=_LAST_FRAMES_SECONDS)
        last = self._last_lines[-1] if self._last_lines else ""
        if not self._ended.done():
            self._ended.set_result(Death(self._failure) if self._failure else death_of(ending, last))

    async def _keep_file(self, arrivals: Arrivals, frame: wire.Frame) -> None:
        file = SavedFile(**frame[0]["file"])
        try:
            await asyncio.to_thread(arrivals.take, file, frame[1])
        except (OSError, SumiError) as error:
            log.error("cannot store a file from %s (%s): %s", self.name, file.relative, error)

    def _handle(self, frame: wire.Frame) -> None:
        header, body = frame
        match header["type"]:
            case "events":
                for event in wire.events_from_frame(frame):
                    if isinstance(event, NodeOutput) and self._arrivals is not None:
                        event = self._arrivals.renamed(event)
                    self._on_event(event)
            case "outcome" if self._outcome is not None and not self._outcome.done():
                outcome = wire.event_from_data(header["event"])
                assert isinstance(outcome, Outcome), f"a run ended with {type(outcome).__name__}"
                self._outcome.set_result(outcome)
            case "heartbeat" if header["stats"]:
                self._stats = Stats(**header["stats"])
            case "description" if self._description is not None and not self._description.done():
                fields = {name: value for name, value in header.items() if name != "type"}
                self._description.set_result(Description(**fields))
            case "answer" if header["id"] in self._questions:
                answer = self._questions[header["id"]]
                if not answer.done():
                    answer.set_result(frame)
            case "pack message":
                data = bytes(body) if header["binary"] else header["data"]
                self.on_pack_message(header["event"], data, header["client_id"])
            case "pack question":
                answering = asyncio.create_task(self._answer_pack(header))
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)

    async def _answer_pack(self, question: Mapping[str, Any]) -> None:
        reply = {"type": "pack reply", "id": question["id"]}
        try:
            reply["value"] = await self.on_pack_question(question["what"], question["about"])
        except SumiError as error:
            reply["error"] = str(error)
        except Exception as error:  # the pack waits for an answer
            log.exception("cannot answer a node pack's question about %r", question["what"])
            reply["error"] = f"{type(error).__name__}: {error}"
        try:
            await self._send(reply)
        except WorkerDied:
            log.debug("%s ended before its question was answered", self.name)

    def _log_line(self, line: str) -> None:
        self._last_lines.append(line)
        log.info("%s: %s", self.name, line, extra={"prompt_id": self._prompt_id})

    async def _watch(self) -> None:
        """Kill the process if its heartbeats stop."""
        loop = asyncio.get_running_loop()
        assert self._ended is not None
        warned = False
        while not self._ended.done():
            await asyncio.sleep(HEARTBEAT_SECONDS)
            silent = loop.time() - self._last_frame_time
            if silent > self._silent_seconds:
                self._kill(f"it did not respond for {self._silent_seconds:g} s and was killed")
                return
            if silent > 5 * HEARTBEAT_SECONDS and not warned:
                log.warning("%s has sent nothing for %.0f s", self.name, silent)
            warned = silent > 5 * HEARTBEAT_SECONDS

    def _kill(self, reason: str) -> None:
        self._failure = reason
        self._transport.kill()
