"""The Ray actor that runs a worker process on its node and passes bytes between it and the server.

Ray sends this class to the node as code (pickled by value), so it imports nothing of Sumi before it has found Sumi
there.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import socket
import sys
from pathlib import Path
from typing import Any


class WorkerActor:
    """One worker process. All methods may be called while others wait."""

    _MOST_WAITING = 16 * 1024 * 1024
    _CHUNK = 1024 * 1024

    def __init__(self) -> None:
        self._pipes: Any = None
        self._pump: asyncio.Task[None] | None = None
        self._arrived: list[tuple[str, Any]] = []
        self._bytes = 0
        self._news = asyncio.Event()
        self._taken = asyncio.Event()

    async def start(self, home: str, base: str, arguments: list[str]) -> str:
        """Start ``main.py worker`` with ``arguments`` and return the node's name.

        Sumi is looked for in ``$SUMI_HOME``, in ``home`` (where the server has it) and among Python's packages. The
        worker's base directory is ``base`` if that exists here, else the folder of Sumi. Raises RuntimeError.
        """
        main = self._find_main(home)
        if str(main.parent) not in sys.path:
            sys.path.insert(0, str(main.parent))
        process = importlib.import_module("server.workers.process")
        folder = base if os.path.isdir(base) else str(main.parent)
        command = [sys.executable, str(main), "worker", *arguments, "--base-directory", folder]
        self._pipes = process.Pipes(command, {**os.environ, "PYTHONUNBUFFERED": "1"})
        self._pipes.on_log_line = lambda line: self._put("log", line)
        await self._pipes.open()
        self._pump = asyncio.ensure_future(self._read())
        return socket.gethostname()

    async def send(self, data: bytes) -> None:
        """Write bytes to the process. Bytes for a process that has ended are dropped; :meth:`receive` says so."""
        try:
            await self._pipes.send(data)
        except ConnectionError:
            return

    async def receive(self) -> list[tuple[str, Any]]:
        """Wait for news and return all in order: ("data", bytes), ("log", line), at the end ("ended", {…})."""
        await self._news.wait()
        self._news.clear()
        news, self._arrived, self._bytes = self._arrived, [], 0
        self._taken.set()
        return news

    async def _read(self) -> None:
        while data := await self._pipes.read(self._CHUNK):
            self._put("data", data)
            self._bytes += len(data)
            while self._bytes > self._MOST_WAITING:
                self._taken.clear()
                await self._taken.wait()
        ending = await self._pipes.ended()
        self._put("ended", {"status": ending.status, "memory_ran_out": ending.memory_ran_out})

    def _put(self, kind: str, value: Any) -> None:
        self._arrived.append((kind, value))
        self._news.set()

    def _find_main(self, home: str) -> Path:
        for folder in (os.environ.get("SUMI_HOME"), home):
            if folder and (Path(folder) / "server" / "workers" / "process.py").is_file():
                return Path(folder) / "main.py"
        found = importlib.util.find_spec("server.workers.process") if importlib.util.find_spec("server") else None
        if found is not None and found.origin is not None:
            return Path(found.origin).parents[2] / "main.py"
        raise RuntimeError(
            f"Sumi is not on the node {socket.gethostname()}: put it into {home}, or set SUMI_HOME there to the folder "
            "with Sumi's main.py before Ray starts"
        )
