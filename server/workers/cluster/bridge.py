"""The process between the server and Ray. It starts an actor for each worker and passes bytes on.

It is a separate process because Ray ends any process connected to a cluster whose head is gone for a minute, and
because of the threads and the memory that Ray needs. One such process serves all workers of a server. It talks to the
server in frames over its standard streams; when the server is gone it ends, and its actors with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from server.workers import wire
from server.workers.cluster import worker_actor

AUTO: Final = "auto"
"""Stands for a cluster of this machine alone, which starts and ends with the server."""

_RETRY_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = "15"
"""Seconds that Ray looks for this machine among the nodes, at each attempt to connect; Ray's default is 60."""

_PLACE_SECONDS: Final = 5.0
"""Seconds after which a worker that has found no node says that it waits."""

_STORE_BYTES: Final = 256 * 1024**2
"""Ray's shared memory for a cluster of this machine; only frames over 100 kB pass through it."""

_LONGEST_PATH: Final = 24
_LOW_MEMORY: Final = "low on memory"


@dataclass
class _Actor:
    """A worker's actor, and the bytes for it that wait."""

    handle: Any
    waiting: bytearray = field(default_factory=bytearray)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Bridge:
    """Serves the server at ``incoming`` and ``outgoing``. ``address`` is HOST:PORT of the head or ``auto``.

    ``cpus``: the number of CPUs that a cluster of this machine offers.
    """

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO, address: str, cpus: int | None = None):
        self._incoming = incoming
        self._outgoing = outgoing
        self._address = address
        self._cpus = cpus
        self._actors: dict[int, _Actor] = {}
        self._folder: str | None = None

    def serve(self) -> None:
        """Connect to the cluster, and serve until the server closes the stream."""
        # Read when Ray is imported. The last one keeps a cluster of this machine on 127.0.0.1; on Linux, Ray would
        # otherwise listen on every address.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_gcs_server_request_timeout_seconds", _CONNECT_SECONDS)
        if self._address == AUTO or _only_on_loopback(self._address):
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        try:
            self._connect()
            asyncio.run(self._serve())
        except Exception as error:  # for example a head that has forgotten this process; the server starts another
            print(_first_line(error), file=sys.stderr)
        finally:
            self._disconnect()

    # -- the cluster ---------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        import ray

        while True:
            try:
                if self._address == AUTO:
                    self._start_here(ray)
                else:
                    _check_port(self._address)
                    ray.init(address=self._address, log_to_driver=False, logging_level=logging.WARNING)
            except Exception as error:  # Ray raises errors of any class
                reason = _first_line(error)
                if isinstance(error, ConnectionError):
                    reason += f"; is this machine one of its nodes? (ray start --address={self._address} --num-cpus=0)"
                self._tell({"type": "waiting", "reason": reason})
                ray.shutdown()
                time.sleep(_RETRY_SECONDS)
            else:
                self._tell({"type": "connected"})
                return

    def _start_here(self, ray: Any) -> None:
        self._folder = self._folder or _new_folder()
        ray.init(
            address="local",
            num_cpus=self._cpus,
            include_dashboard=False,
            object_store_memory=_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.WARNING,
            _temp_dir=self._folder,
        )

    def _disconnect(self) -> None:
        import ray

        ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # -- the server ----------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), self._incoming)
        frames = wire.FrameStream(stream)
        while batch := await frames.next():
            for header, body in batch:
                self._handle(header, body)
        for actor in self._actors.values():
            _kill(actor.handle)

    def _handle(self, header: Mapping[str, Any], body: bytes) -> None:
        number = header["worker"]
        match header["type"]:
            case "start":
                import ray
                from ray import cloudpickle

                cloudpickle.register_pickle_by_value(worker_actor)
                made = ray.remote(worker_actor.WorkerActor)
                options = {"max_restarts": 0, "max_concurrency": 1000, "scheduling_strategy": "SPREAD"}
                actor = _Actor(made.options(**options, **header["resources"]).remote())
                self._actors[number] = actor
                actor.tasks.append(asyncio.create_task(self._run(number, actor, header)))
            case "send" if number in self._actors:
                self._actors[number].waiting += body
                self._actors[number].news.set()
            case "stop" if number in self._actors:
                actor = self._actors.pop(number)
                _kill(actor.handle)
                for task in actor.tasks:
                    task.cancel()

    def _tell(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        self._outgoing.write(wire.encode(header, body))
        self._outgoing.flush()

    # -- one actor -----------------------------------------------------------------------------------------------

    async def _run(self, number: int, actor: _Actor, header: Mapping[str, Any]) -> None:
        """Start the worker, and pass on what it says until it ends."""
        try:
            starting = actor.handle.start.remote(header["home"], header["base"], header["arguments"])
            node = await self._placed(number, starting, header["resources"])
            self._tell({"type": "started", "worker": number, "node": node})
            actor.tasks.append(asyncio.create_task(self._send(actor)))
            while True:
                for kind, value in await actor.handle.receive.remote():
                    match kind:
                        case "data":
                            self._tell({"type": "data", "worker": number}, value)
                        case "log":
                            self._tell({"type": "log", "worker": number, "line": value})
                        case "ended":
                            self._end(number, actor, **value)
                            return
        except Exception as error:  # Ray's errors have no common class; each means that the worker is lost
            reason = _first_line(error)
            self._end(number, actor, reason=reason, memory_ran_out=True if _LOW_MEMORY in str(error) else None)

    async def _placed(self, number: int, starting: Any, resources: Mapping[str, Any]) -> str:
        """Return the node on which the actor has started. Tells the server if that takes long."""
        answer = asyncio.ensure_future(_answer(starting))
        done, _ = await asyncio.wait([answer], timeout=_PLACE_SECONDS)
        if not done:
            wanted = ", ".join(f"{name} {amount}" for name, amount in resources.items())
            reason = f"no node of the cluster has room for a worker ({wanted}); waiting for one"
            self._tell({"type": "waiting", "worker": number, "reason": reason})
        return await answer

    async def _send(self, actor: _Actor) -> None:
        """Send what waits, one call after the other, since an actor may begin calls in any order."""
        while True:
            await actor.news.wait()
            actor.news.clear()
            data, actor.waiting = bytes(actor.waiting), bytearray()
            if data:
                await actor.handle.send.remote(data)

    def _end(self, number: int, actor: _Actor, **ending: Any) -> None:
        if self._actors.pop(number, None) is None:
            return
        _kill(actor.handle)
        for task in actor.tasks[1:]:
            task.cancel()
        self._tell({"type": "ended", "worker": number, **ending})


def _new_folder() -> str:
    """Make a folder for Ray's files. Its path is short, since the paths of sockets in it may have 107 characters."""
    usual = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="sumi-ray-", dir=usual if len(usual) <= _LONGEST_PATH else "/tmp")


async def _answer(reference: Any) -> Any:
    return await reference


def _kill(handle: Any) -> None:
    import ray

    try:
        ray.kill(handle)
    except Exception as error:  # it is gone already, or the cluster is
        print(f"cannot end an actor: {error}", file=sys.stderr)


def _check_port(address: str) -> None:
    """Raise OSError at once if nobody listens at ``address``; Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise OSError(f"the Ray cluster at {address} does not answer: {error.strerror or error}") from error


def _only_on_loopback(address: str) -> bool:
    """Whether a cluster at 127.0.0.1 listens on that address alone. Ray would look for it at another of the machine."""
    host, _, port = address.rpartition(":")
    if host.strip("[]") not in ("127.0.0.1", "localhost", "::1"):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing, but chooses this machine's address in the network
            socket.create_connection((probe.getsockname()[0], int(port)), timeout=2).close()
        except OSError:
            return True
    return False


def _first_line(error: BaseException) -> str:
    """Return the error's message without traces: the last line of Ray's errors about tasks, else the first."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return _first_line(cause)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
