"""The worker's side of the wire: one thread reads and always answers, another runs.

The server may vanish at any moment: at the end of the stream the process ends, whatever it is doing.
What its nodes have finished is in the disk cache.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final

from graph.events import Event, NodeOutput, NodePreview
from server.workers import wire
from server.workers.engine_host import EngineHost
from server.workers.interface import HEARTBEAT_SECONDS, PackRequest, RunRequest, Stats
from server.workers.travelling_files import files_in

log = logging.getLogger(__name__)

_PREVIEWS_WAITING: Final = 2


class WorkerLoop:
    """Serves one :class:`EngineHost` over ``incoming`` and ``outgoing``.

    ``make`` builds the host (importing node packs takes a while; heartbeats go out meanwhile);
    ``warm_up`` is called once the server knows the nodes, on a thread of its own. With ``send_files`` the
    files that outputs name travel to the server, whose folders are others.
    """

    def __init__(
        self,
        incoming: BinaryIO,
        outgoing: BinaryIO,
        make: Callable[[], EngineHost],
        warm_up: Callable[[], None] = lambda: None,
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

    def serve(self) -> None:
        """Until the server says so or is gone."""
        _thread("heartbeat", self._beat)
        host = self._host = self._make()
        # Ahead of the nodes: clients ask for the devices as soon as there is a worker.
        self._stats = dataclasses.asdict(Stats(devices=host.devices()))
        self._out.put({"type": "heartbeat", "stats": self._stats})
        self._out.put({"type": "description", **dataclasses.asdict(host.describe())})
        host.listen_to_packs(self._pass_on)
        _thread("compute", self._compute)
        _thread("measure", self._measure)
        _thread("warm-up", self._warm_up)
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
                )
                host.expect(request.prompt_id)
                self._idle.clear()
                self._runs.put(request)
            case "interrupt":
                host.interrupt(header["prompt_id"])
            case "free":
                # Neither may wait for a model that is being loaded.
                _thread("free", lambda: host.free(header["unload_models"], header["free_memory"]))
            case "validate":
                # A thread each: code that never returns must not keep the next one waiting.
                _thread("validate", lambda: self._validate(host, header))
            case "pack request":
                request_of_pack = PackRequest(header["method"], header["path"], header["headers"], bytes(body))
                _thread("pack request", lambda: self._ask_packs(host, header["id"], request_of_pack))
            case other:
                log.warning("a message of unknown type %r was ignored", other)

    def _validate(self, host: EngineHost, header: Mapping[str, Any]) -> None:
        problems = host.validate(header["prompt"], header["targets"])
        self._out.put({"type": "problems", "id": header["id"], "problems": list(map(wire.problem_to_data, problems))})

    def _ask_packs(self, host: EngineHost, number: int, request: PackRequest) -> None:
        status, headers, body = host.answer_packs(request)
        self._out.put({"type": "pack answer", "id": number, "status": status, "headers": list(headers)}, body)

    def _pass_on(self, event: str, data: Any, client_id: str | None) -> None:
        binary = isinstance(data, (bytes, bytearray, memoryview))
        header = {"type": "pack message", "event": event, "client_id": client_id, "binary": binary}
        self._out.put({**header, "data": None if binary else data}, bytes(data) if binary else b"")

    def _compute(self) -> None:
        host = self._host
        assert host is not None
        while (request := self._runs.get()) is not None:
            outcome = host.run(request, self._say)
            frame, _ = wire.event_to_frame(outcome)
            self._out.put({**frame, "type": "outcome"})
            self._idle.set()

    def _say(self, event: Event) -> None:
        if self._send_files and isinstance(event, NodeOutput) and self._host is not None:
            for name, data in files_in(event, self._host.folders):
                self._out.put({"type": "file", "name": dataclasses.asdict(name)}, data)
        header, body = wire.event_to_frame(event)
        self._out.put(header, body, droppable=isinstance(event, NodePreview))

    def _beat(self) -> None:
        self._out.put({"type": "heartbeat", "stats": {}})
        while not self._over.wait(HEARTBEAT_SECONDS):
            self._out.put({"type": "heartbeat", "stats": self._stats})

    def _measure(self) -> None:
        """Apart from the heartbeat, since it may wait for a model that is being loaded."""
        host = self._host
        assert host is not None
        while True:
            self._stats = dataclasses.asdict(host.stats())
            if self._over.wait(HEARTBEAT_SECONDS):
                return

    def _close(self, host: EngineHost) -> None:
        self._over.set()
        self._runs.put(None)
        if self._idle.wait(0):
            host.engine.close()
        # A run that goes on is left behind: it will be run again, and its files were never half-named.
        os._exit(0)


class _Outgoing:
    """Writes frames on a thread of its own, so that a run never waits for the server to read."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._waiting: deque[tuple[bytes, bool]] = deque()
        self._previews = 0
        self._news = threading.Condition()
        _thread("wire", self._write)

    def put(self, header: Mapping[str, Any], body: bytes = b"", droppable: bool = False) -> None:
        frame = wire.encode(header, body)
        with self._news:
            if droppable:
                if self._previews >= _PREVIEWS_WAITING:
                    return
                self._previews += 1
            self._waiting.append((frame, droppable))
            self._news.notify()

    def _write(self) -> None:
        while True:
            with self._news:
                while not self._waiting:
                    self._news.wait()
                frames = [frame for frame, _ in self._waiting]
                self._waiting.clear()
                self._previews = 0
            try:
                self._file.write(b"".join(frames))
                self._file.flush()
            except OSError:  # the server is gone; the reading thread ends the process
                return


def _thread(name: str, target: Callable[[], None]) -> None:
    threading.Thread(target=target, name=name, daemon=True).start()
