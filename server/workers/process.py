"""A worker in a separate process on this machine, connected by pipes."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Final

from graph.machine_memory import out_of_memory_kills
from server.workers.interface import HEARTBEAT_SECONDS, WorkerDied
from server.workers.transport import Ending, OnLogLine
from server.workers.travelling_files import ServerFiles
from server.workers.wire_worker import SILENT_SECONDS, WireWorker

_LAST_LINES_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.2
_LONGEST_LINE: Final = 65536
_BUFFER_BYTES: Final = 1024 * 1024


class ProcessWorker(WireWorker):
    """A worker process. ``command`` starts it; it runs a WorkerLoop on its standard input and output."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        silent_seconds: float = SILENT_SECONDS,
        files: ServerFiles | None = None,
    ):
        self._pipes = Pipes(command, environment)
        super().__init__(name, self._pipes, silent_seconds, files)

    @property
    def pid(self) -> int | None:
        """The id of the process, once it is started."""
        return self._pipes.pid


class Pipes:
    """The standard streams of a process that ``command`` starts: a :class:`~server.workers.transport.Transport`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None):
        self.on_log_line: OnLogLine = lambda line: None
        self.waits_for = ""
        self._command = list(command)
        self._environment = environment
        self._process: Process | None = None
        self._log: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._memory_kills: int | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process, once it is started."""
        return self._process.pid if self._process is not None else None

    async def open(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self._environment, limit=_BUFFER_BYTES
            )
        except OSError as error:
            raise WorkerDied(f"cannot start {self._command[0]}: {error}") from error
        self._log = asyncio.create_task(self._relay_log(self._process))
        self._watch = asyncio.create_task(self._watch_memory())

    async def send(self, data: bytes) -> None:
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            raise ConnectionError("the process has ended")
        process.stdin.write(data)
        await process.stdin.drain()

    async def read(self, n: int) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        try:
            return await self._process.stdout.read(n)
        except ConnectionError:
            return b""

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def ended(self) -> Ending:
        assert self._process is not None and self._log is not None
        await _exited(self._process)
        # Processes that its nodes have forked may hold the streams open for longer.
        await asyncio.wait([self._log], timeout=_LAST_LINES_SECONDS)
        before, now = self._memory_kills, out_of_memory_kills()
        return Ending(self._process.returncode, memory_ran_out=None if before is None or now is None else now > before)

    async def close(self) -> None:
        tasks = [task for task in (self._log, self._watch) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._process is not None:
            self.kill()
            await _exited(self._process)
            # Its child processes may hold the pipes open, and asyncio has no public way to close them on this side.
            self._process._transport.close()  # type: ignore[attr-defined]

    async def _relay_log(self, process: Process) -> None:
        assert process.stderr is not None
        rest = b""
        while chunk := await process.stderr.read(_LONGEST_LINE):
            *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
            for line in lines:
                self._log_line(line)
            if len(rest) > _LONGEST_LINE:
                self._log_line(rest)
                rest = b""
        self._log_line(rest)

    def _log_line(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            self.on_log_line(text)

    async def _watch_memory(self) -> None:
        """Keep count of the system's kills for lack of memory, to tell whether one of them ended the process."""
        while True:
            self._memory_kills = out_of_memory_kills()
            await asyncio.sleep(HEARTBEAT_SECONDS)


async def _exited(process: Process) -> None:
    """Wait for the process only: ``process.wait()`` also waits for its streams, which child processes may hold open."""
    while process.returncode is None:
        waiting = asyncio.ensure_future(process.wait())
        await asyncio.wait([waiting], timeout=_POLL_SECONDS)
        waiting.cancel()
