"""The server's connection to a Ray cluster, and the transport of each worker there."""

from __future__ import annotations

import asyncio
import itertools
import logging
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.operating_system import kill_session
from server.workers import wire
from server.workers.interface import WorkerDied
from server.workers.transport import Ending, OnLogLine

log = logging.getLogger(__name__)

_CLOSING_SECONDS: Final = 10.0
_FIRST_RESTART_WAIT: Final = 1.0
_LONGEST_RESTART_WAIT: Final = 10.0
_LONGEST_LINE: Final = 1024 * 1024


class Cluster:
    """Keeps the process that speaks to Ray running, from the first worker on. ``command`` starts it.

    If it ends, for example because the head of the cluster is gone, all workers are lost and a new one is started. It
    waits until the cluster is back.
    """

    def __init__(self, command: Sequence[str]):
        self._command = list(command)
        self._process: Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._actors: dict[int, ActorTransport] = {}
        self._numbers = itertools.count()
        self._last_line = ""
        self.waits_for = "the connection to the Ray cluster is starting"
        """Why the cluster cannot be used now; "" if it can."""

    def transport(
        self, name: str, home: str, base: str, arguments: Sequence[str], resources: Mapping[str, Any]
    ) -> ActorTransport:
        """Return the transport of a new worker, which the log calls ``name``.

        ``home`` is the server's folder with Sumi's main.py, ``base`` its base directory; they are used on nodes that
        have them. ``arguments``: for ``main.py worker``. ``resources``: Ray's options of an actor (``num_gpus``…).
        """
        start = {"home": home, "base": base, "arguments": list(arguments), "resources": dict(resources)}
        return ActorTransport(self, name, next(self._numbers), start)

    async def close(self) -> None:
        """End the process and with it all workers."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def add(self, actor: ActorTransport, start: Mapping[str, Any]) -> None:
        """Wait for the cluster and start the worker there. Raises WorkerDied."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep(), name="cluster")
        await self._connected.wait()
        self._actors[actor.number] = actor
        try:
            await self.send({"type": "start", "worker": actor.number, **start})
        except ConnectionError as error:
            raise WorkerDied(str(error)) from error

    async def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Send a frame to the process. Raises ConnectionError."""
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            raise ConnectionError("the connection to the Ray cluster was lost")
        process.stdin.write(wire.encode(header, body))
        await process.stdin.drain()

    async def remove(self, actor: ActorTransport) -> None:
        """End a worker that still runs."""
        if self._actors.pop(actor.number, None) is not None:
            try:
                await self.send({"type": "stop", "worker": actor.number})
            except ConnectionError:
                log.debug("the cluster was lost before its worker was ended")

    # -- the process ---------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        wait = _FIRST_RESTART_WAIT
        while True:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LONGEST_LINE, start_new_session=True
                )
                relaying = asyncio.create_task(self._relay_log(self._process))
                try:
                    await self._listen(self._process)
                finally:
                    was_connected = self._connected.is_set()
                    self._connected.clear()
                    await _end(self._process)
                    left = await asyncio.to_thread(kill_session, self._process.pid)
                    log.debug("%d processes of Ray were left and have been ended", left)
                    relaying.cancel()
                    self._lose_all()
                if was_connected:
                    wait = _FIRST_RESTART_WAIT
            except (OSError, wire.WireError) as error:
                self._last_line = str(error)
            log.error("%s; next attempt in %g s", self.waits_for, wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_RESTART_WAIT)

    def _lose_all(self) -> None:
        about = f": {self._last_line}" if self._last_line else ""
        self.waits_for = f"the connection to the Ray cluster was lost{about}"
        actors, self._actors = self._actors, {}
        for actor in actors.values():
            actor.finish(Ending(reason=self.waits_for))

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None
        stream = wire.FrameStream(process.stdout)
        while frames := await stream.next():
            for header, body in frames:
                self._handle(header, body)

    def _handle(self, header: Mapping[str, Any], body: bytes) -> None:
        actor = self._actors.get(header["worker"]) if "worker" in header else None
        match header["type"]:
            case "connected":
                log.info("connected to the Ray cluster")
                self.waits_for = ""
                self._connected.set()
            case "waiting" if actor is not None:
                actor.waits_for = header["reason"]
                log.warning("%s: %s", actor.name, header["reason"])
            case "waiting" if "worker" not in header:
                if self.waits_for != header["reason"]:
                    log.warning("waiting for the Ray cluster: %s", header["reason"])
                self.waits_for = header["reason"]
            case "started" if actor is not None:
                actor.begin(header["node"])
            case "data" if actor is not None:
                actor.feed(body)
            case "log" if actor is not None:
                actor.on_log_line(header["line"])
            case "ended" if actor is not None:
                del self._actors[actor.number]
                reason = header.get("reason", "")
                actor.finish(Ending(header.get("status"), reason, header.get("memory_ran_out")))

    async def _relay_log(self, process: Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            text = line.decode(errors="replace").rstrip()
            if text:
                self._last_line = text
                log.info("cluster: %s", text)


class ActorTransport:
    """The stream of one worker of the cluster: a :class:`~server.workers.transport.Transport`."""

    def __init__(self, cluster: Cluster, name: str, number: int, start: Mapping[str, Any]):
        self.on_log_line: OnLogLine = lambda line: None
        self.name = name
        self.number = number
        self.node = ""
        """The name of the node where it runs."""
        self._cluster = cluster
        self._start = start
        self._waits_for = ""
        self._arrived: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._begun = asyncio.Event()
        self._ending: asyncio.Future[Ending] | None = None

    @property
    def waits_for(self) -> str:
        return self._cluster.waits_for or self._waits_for

    @waits_for.setter
    def waits_for(self, reason: str) -> None:
        self._waits_for = reason

    async def open(self) -> None:
        self._ending = asyncio.get_running_loop().create_future()
        await self._cluster.add(self, self._start)
        begun = asyncio.ensure_future(self._begun.wait())
        either: list[asyncio.Future[Any]] = [begun, self._ending]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if self._ending.done():
            raise WorkerDied(self._ending.result().reason)

    async def send(self, data: bytes) -> None:
        if self._ending is None or self._ending.done():
            raise ConnectionError("the worker has ended")
        await self._cluster.send({"type": "send", "worker": self.number}, data)

    async def read(self, n: int) -> bytes:
        assert self._ending is not None
        while not self._arrived:
            if self._ending.done():
                return b""
            self._news.clear()
            await self._news.wait()
        return self._arrived.popleft()

    def kill(self) -> None:
        removing = asyncio.ensure_future(self._cluster.remove(self))
        removing.add_done_callback(lambda done: self.finish(Ending(reason="it was ended")))

    async def ended(self) -> Ending:
        assert self._ending is not None
        return await asyncio.shield(self._ending)

    async def close(self) -> None:
        await self._cluster.remove(self)
        self.finish(Ending(reason="it was closed"))

    # -- called by the cluster -----------------------------------------------------------------------------------

    def begin(self, node: str) -> None:
        """The worker has started on the node of that name."""
        self.node, self._waits_for = node, ""
        log.info("%s starts on node %s", self.name, node)
        self._begun.set()

    def feed(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._arrived.append(data)
        self._news.set()

    def finish(self, ending: Ending) -> None:
        """The worker has ended."""
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(ending)
        self._news.set()


async def _end(process: Process) -> None:
    """Let the process end its workers and itself; kill it if that takes too long."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(asyncio.shield(process.wait()), _CLOSING_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
