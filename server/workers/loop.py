"""The worker's side of the connection: one thread reads messages and answers them at any time, another runs prompts.

The server may vanish at any moment. At the end of the stream the process ends, even during a run; results of finished
nodes are in the disk cache.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final

from graph.events import Event, NodeOutput, NodePreview
from server.workers import wire
from server.workers.engine_host import EngineHost, PackConnection
from server.workers.interface import HEARTBEAT_SECONDS, PackRequest, RunRequest, Stats, UnansweredError
from server.workers.own_folders import OwnFolders
from server.workers.travelling_files import contents_of_files

log = logging.getLogger(__name__)

_PREVIEWS_WAITING: Final = 2
_SERVER_SECONDS: Final = 30.0
"""Seconds that a node pack waits for the server's answer."""


class WorkerLoop:
    """Serves one :class:`EngineHost` over ``incoming`` and ``outgoing``.

    ``make`` builds the host. It imports node packs, which may take a while; heartbeats are sent during that time.
    ``warm_up`` is called on a separate thread once the server knows the nodes; it returns the reason why nodes cannot
    compute, or "". With ``send_files`` output files are sent to a server with other folders.
    """

    def __init__(
        self,
        incoming: BinaryIO,
        outgoing: BinaryIO,
        make: Callable[[], EngineHost],
        warm_up: Callable[[], str] = str,
        send_files: bool = False,
    ):
        self._incoming = incoming
        self._out = _Outgoing(outgoing)
        self._make = make
        self._warm_up = warm_up
        self._send_files = send_files
        self._host: EngineHost | None = None
        self._stats: dict[str, Any] = {}
        self._runs: queue.SimpleQueue[RunRequest | None] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._over = threading.Event()
        self._questions: dict[int, concurrent.futures.Future[Any]] = {}
        self._numbers = itertools.count()

    def serve(self) -> None:
        """Handle messages until the server asks to stop or is gone."""
        _thread("heartbeat", self._beat)
        host = self._host = self._make()
        # Before the nodes: clients ask for the devices as soon as there is a worker.
        self._stats = dataclasses.asdict(Stats(devices=host.devices()))
        self._out.put({"type": "heartbeat", "stats": self._stats})
        host.connect_packs(PackConnection(self._send_pack_message, self._ask_server, host.interrupt))
        self._out.put({"type": "description", **dataclasses.asdict(host.describe())})
        _thread("compute", self._compute)
        _thread("measure", self._measure)
        _thread("warm-up", self._prepare)
        while (frame := wire.read(self._incoming)) is not None:
            header, body = frame
            if header["type"] == "close":
                break
            self._answer(host, header, body)
        self._close(host)

    def _answer(self, host: EngineHost, header: Mapping[str, Any], body: bytes) -> None:
        match header["type"]:
            case "run":
                request = RunRequest(
                    header["prompt_id"],
                    header["prompt"],
                    tuple(header["targets"]),
                    header["extra_pnginfo"],
                    header["previews"],
                    header["client_id"],
                    header["part"],
                )
                host.expect(request.prompt_id)
                self._idle.clear()
                self._runs.put(request)
            case "interrupt":
                host.interrupt(header["prompt_id"])
            case "free":
                # Neither message may wait for a model that is being loaded.
                _thread("free", lambda: host.free(header["unload_models"], header["free_memory"]))
            case "validate":
                self._reply(header, lambda: self._problems(host, header))
            case "redeclare":
                self._reply(header, lambda: (host.redeclare(header["names"]), b""))
            case "handle prompt":
                self._reply(header, lambda: (host.handle_prompt(header["prompt"]), b""))
            case "model files":
                self._reply(header, lambda: (host.model_files(), b""))
            case "lacking contents":
                self._reply(header, lambda: (_own(host).lacking(header["contents"]), b""))
            case "content":
                _own(host).take(header["transfer"], header["content"], body, header["last"])
            case "abandon content":
                _own(host).abandon(header["transfer"])
            case "place files":
                self._reply(header, lambda: (_own(host).place(header["files"], header["for_run"]), b""))
            case "pack request":
                wanted = PackRequest(header["method"], header["path"], header["headers"], bytes(body))
                self._reply(header, lambda: _answered(host, wanted))
            case "pack reply" if header["id"] in self._questions:
                question = self._questions[header["id"]]
                if "error" in header:
                    question.set_exception(UnansweredError(header["error"]))
                else:
                    question.set_result(header["value"])
            case other:
                log.warning("ignored a message of unknown type %r", other)

    def _reply(self, question: Mapping[str, Any], find: Callable[[], tuple[Any, bytes]]) -> None:
        """Send the value and bytes that ``find`` returns as the answer.

        Each answer has its own thread: node pack code that never returns must not block the next question.
        """

        def answer() -> None:
            header = {"type": "answer", "id": question["id"]}
            try:
                value, body = find()
            except Exception as error:
                log.exception("cannot answer a question of type %r", question["type"])
                self._out.put({**header, "error": f"{type(error).__name__}: {error}"})
            else:
                self._out.put({**header, "value": value}, body)

        _thread(question["type"], answer)

    def _problems(self, host: EngineHost, header: Mapping[str, Any]) -> tuple[Any, bytes]:
        problems = host.validate(header["prompt"], header["targets"])
        return list(map(wire.problem_to_data, problems)), b""

    def _ask_server(self, what: str, about: Mapping[str, Any]) -> Any:
        """Return the server's answer. Raises UnansweredError, TimeoutError."""
        number = next(self._numbers)
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._questions[number] = answer
        try:
            self._out.put({"type": "pack question", "id": number, "what": what, "about": about})
            return answer.result(_SERVER_SECONDS)
        finally:
            del self._questions[number]

    def _send_pack_message(self, event: str, data: Any, client_id: str | None) -> None:
        binary = isinstance(data, (bytes, bytearray, memoryview))
        header = {"type": "pack message", "event": event, "client_id": client_id, "binary": binary}
        self._out.put({**header, "data": None if binary else data}, bytes(data) if binary else b"")

    def _compute(self) -> None:
        host = self._host
        assert host is not None
        while (request := self._runs.get()) is not None:
            outcome = host.run(request, self._send_event)
            self._out.put({"type": "outcome", "event": wire.event_to_data(outcome)})
            self._idle.set()

    def _send_event(self, event: Event) -> None:
        if self._send_files and isinstance(event, NodeOutput) and self._host is not None:
            for file, data in contents_of_files(event, self._host.folders):
                self._out.put({"type": "file", "file": dataclasses.asdict(file)}, data)
        self._out.put_event(event)

    def _beat(self) -> None:
        self._out.put({"type": "heartbeat", "stats": {}})
        while not self._over.wait(HEARTBEAT_SECONDS):
            self._out.put({"type": "heartbeat", "stats": self._stats})

    def _measure(self) -> None:
        """Update the stats, on a separate thread from the heartbeat: this may wait for a model that is being loaded."""
        host = self._host
        assert host is not None
        while True:
            self._stats = dataclasses.asdict(host.stats())
            if self._over.wait(HEARTBEAT_SECONDS):
                return

    def _prepare(self) -> None:
        host = self._host
        assert host is not None
        host.trouble = self._warm_up()
        if host.trouble:
            log.error("%s", host.trouble)
            self._stats = dataclasses.asdict(host.stats())
            self._out.put({"type": "heartbeat", "stats": self._stats})

    def _close(self, host: EngineHost) -> None:
        self._over.set()
        self._runs.put(None)
        if self._idle.wait(0):
            host.engine.close()
        # A current run is abandoned: it will run again, and it leaves no partial files.
        os._exit(0)


class _Outgoing:
    """Writes frames on a separate thread, so that a run never waits for the server to read.

    The thread writes as soon as it can. While it is busy, or the run does not let it have the interpreter, events
    gather; those that follow each other become one frame.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self._waiting: deque[bytes | Event] = deque()
        self._previews = 0
        self._news = threading.Condition()
        _thread("wire", self._write)

    def put(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        self._append(wire.encode(header, body))

    def put_event(self, event: Event) -> None:
        """Send an event. A preview is dropped while others wait."""
        if isinstance(event, NodePreview):
            with self._news:
                if self._previews >= _PREVIEWS_WAITING:
                    return
                self._previews += 1
        # Data that a node shows may change later, so it is encoded now.
        self._append(wire.encode(*wire.events_to_frame([event])) if isinstance(event, _OWN_FRAME) else event)

    def _append(self, item: bytes | Event) -> None:
        with self._news:
            self._waiting.append(item)
            if len(self._waiting) == 1:
                self._news.notify()

    def _write(self) -> None:
        while True:
            with self._news:
                while not self._waiting:
                    self._news.wait()
                items = list(self._waiting)
                self._waiting.clear()
                self._previews = 0
            try:
                self._file.write(b"".join(_frames(items)))
                self._file.flush()
            except OSError:  # the server is gone, so the reading thread ends the process
                return


_OWN_FRAME: Final = (NodePreview, NodeOutput)


def _frames(items: Iterable[bytes | Event]) -> Iterator[bytes]:
    """Yield the frames, and one frame for all events that follow each other."""
    for is_frame, group in itertools.groupby(items, lambda item: isinstance(item, bytes)):
        if is_frame:
            yield from group  # type: ignore[misc]
        else:
            yield wire.encode(*wire.events_to_frame(list(group)))  # type: ignore[arg-type]


def _own(host: EngineHost) -> OwnFolders:
    assert host.own_folders is not None, "the server sent files to a worker that shares its folders"
    return host.own_folders


def _answered(host: EngineHost, request: PackRequest) -> tuple[Any, bytes]:
    status, headers, body = host.answer_packs(request)
    return {"status": status, "headers": list(headers)}, body


def _thread(name: str, target: Callable[[], None]) -> None:
    threading.Thread(target=target, name=name, daemon=True).start()
