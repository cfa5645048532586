"""Brings the input files that a run names to a worker with separate folders.

Files travel by content: the server hashes them, and the worker asks only for contents that it lacks. Names and contents
are sent apart, so a file that was renamed or uploaded twice travels once, and a file that has changed under its name
travels again. A worker on the same machine reads the server's folders, and nothing is sent.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from graph.content import content_hash
from graph.errors import InputFileError
from graph.folders import INPUT_FOLDERS, WORK_FOLDERS, Folders, check_inside, relative_name, split_annotation
from graph.results import SavedFile
from server.workers.interface import Description, RunRequest

CHUNK: Final = 1 << 20
"""Bytes of a file in one message."""

_LONGEST_NAME: Final = 1024
_HASHED_EACH_TIME: Final = 1 << 20
"""Files up to this many bytes are hashed for every run, which takes a millisecond."""
_SETTLED_SECONDS: Final = 2.0
"""Age of a file's last change from which its hash is kept. A younger file may change again within one clock tick."""
_TRIES: Final = 3

FolderInputs = Collection[tuple[str, str]]
"""(class, input name) of inputs that name a folder in the input folder."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a run names: ``name`` below work folder ``folder``; ``content`` is its hash, ``size`` its bytes."""

    folder: str
    name: str
    content: str
    size: int


class Receiver(Protocol):
    """The side of the worker. Every method raises WorkerDied."""

    async def lacking(self, contents: Sequence[str]) -> list[str]:
        """Return the ``contents`` that the worker does not have."""

    async def take(self, transfer: int, content: str, data: bytes, last: bool) -> None:
        """Take the next bytes of ``content``. The worker keeps the content only if ``last`` comes and the hash fits."""

    async def abandon(self, transfer: int) -> None:
        """Drop the bytes of an unfinished transfer."""

    async def place(self, files: Sequence[InputFile], for_run: bool) -> list[str]:
        """Give contents their names. Returns the contents that the worker lacks; their names are not given.

        ``for_run``: the names must stand for these contents now. Otherwise names that exist are left alone, since
        another run may be reading them.
        """


class InputFiles:
    """Finds and hashes the files that runs name in the server's ``folders``. Thread-safe."""

    def __init__(self, folders: Folders):
        self._folders = folders
        self._hashes: dict[_State, str] = {}

    def named_in(
        self, prompt: Mapping[str, Any], more: Sequence[SavedFile] = (), folder_inputs: FolderInputs = ()
    ) -> list[InputFile]:
        """Return the files that ``prompt`` names, and the files of ``more``.

        Any text among the inputs may name a file: ``a.png``, ``a.png [output]``. A name without a folder may mean the
        input or the output folder. Files that do not exist are left out.
        """
        found: dict[tuple[str, str], InputFile] = {}
        names = itertools.chain(self._named(prompt, folder_inputs), ((file.folder, file.relative) for file in more))
        for folder, name in names:
            if (folder, name) not in found and (file := self._file(folder, name)) is not None:
                found[folder, name] = file
        return list(found.values())

    def path(self, file: InputFile) -> Path:
        """Return the place of a file on this machine."""
        return self._folders.place(file.folder) / file.name

    def _named(self, prompt: Mapping[str, Any], folder_inputs: FolderInputs) -> Iterator[tuple[str, str]]:
        for node in prompt.values():
            for input_name, value in (node.get("inputs") or {}).items():
                for text in _texts(value):
                    bare, folder = split_annotation(text, "")
                    for place in (folder,) if folder else ("input", "output"):
                        yield place, bare
                if isinstance(value, str) and (node.get("class_type"), input_name) in folder_inputs:
                    yield from self._files_below(value)

    def _files_below(self, name: str) -> Iterator[tuple[str, str]]:
        root = self._folders.input
        try:
            start = root / relative_name(name, "input")
        except InputFileError:
            return
        for parent, _, names in os.walk(start):
            for file in names:
                yield "input", Path(parent, file).relative_to(root).as_posix()

    def _file(self, folder: str, name: str) -> InputFile | None:
        if folder not in WORK_FOLDERS:
            return None
        root = self._folders.place(folder)
        try:
            relative = relative_name(name, folder)
            path = root / relative
            if not path.is_file():
                return None
            check_inside(path, root, name, folder)
            return InputFile(folder, relative, self._hash(path), path.stat().st_size)
        except (InputFileError, OSError):
            return None

    def _hash(self, path: Path) -> str:
        status = path.stat()
        if status.st_size <= _HASHED_EACH_TIME:
            return content_hash(path)
        state = _State(str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._hashes.get(state)
        if known is None:
            known = content_hash(path)
            if time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_SECONDS:
                self._hashes[state] = known
        return known


class Courier:
    """Brings files to one worker, each content once even if several runs ask for it at the same time."""

    def __init__(self, files: InputFiles, receiver: Receiver):
        self._files = files
        self._receiver = receiver
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._transfers = itertools.count()
        self._folder_inputs: FolderInputs = ()
        self._preparing: str | None = None
        self._stopped = False

    def learn(self, description: Description) -> None:
        """Learn which inputs name folders."""
        self._folder_inputs = frozenset(
            (node["name"], declared["name"])
            for node in description.nodes
            for declared in node["inputs"]
            if declared.get("files") == INPUT_FOLDERS or (declared.get("hints") or {}).get("input_folder")
        )

    async def bring_for(self, request: RunRequest) -> bool:
        """Bring the files for a run. Returns False if :meth:`stop` has stopped the run meanwhile. Raises as `bring`."""
        self._preparing, self._stopped = request.prompt_id, False
        try:
            await self.bring(request.prompt, request.files, for_run=True)
        finally:
            self._preparing = None
        return not self._stopped

    def stop(self, prompt_id: str) -> bool:
        """Let that run not start. Returns False if its files are not being brought now."""
        self._stopped = self._stopped or prompt_id == self._preparing
        return prompt_id == self._preparing

    async def bring(self, prompt: Mapping[str, Any], more: Sequence[SavedFile] = (), *, for_run: bool = False) -> None:
        """Bring the files that ``prompt`` names, and ``more``, and place them in the worker's folders.

        ``for_run`` as in :meth:`Receiver.place`. Raises InputFileError for a file that changes all the time or cannot
        be read, WorkerDied.
        """
        lacking: list[str] = []
        files: list[InputFile] = []
        for _ in range(_TRIES):
            files = await asyncio.to_thread(self._files.named_in, prompt, more, self._folder_inputs)
            if not files:
                return
            sources = {file.content: file for file in files}
            for content in await self._receiver.lacking(list(sources)):
                await self._sent(sources[content])
            lacking = await self._receiver.place(files, for_run)
            if not lacking:
                return
        names = ", ".join(sorted(file.name for file in files if file.content in lacking))
        raise InputFileError(f"cannot send {names} to the worker: the content changes while it is read; save it first")

    async def _sent(self, file: InputFile) -> None:
        """Send a content, or wait for the transfer that is already sending it. A waiting caller may give up."""
        task = self._sending.get(file.content)
        if task is None:
            task = self._sending[file.content] = asyncio.create_task(self._send(file))
            task.add_done_callback(lambda done: self._forget(file.content, done))
        await asyncio.shield(task)

    def _forget(self, content: str, task: asyncio.Task[None]) -> None:
        del self._sending[content]
        if not task.cancelled():
            task.exception()  # callers that wait get it; without one, nobody needs it

    async def _send(self, file: InputFile) -> None:
        transfer = next(self._transfers)
        try:
            with await asyncio.to_thread(open, self._files.path(file), "rb") as opened:
                left = file.size
                while True:
                    data = await asyncio.to_thread(opened.read, min(CHUNK, left))
                    left -= len(data)
                    last = left == 0 or not data
                    await self._receiver.take(transfer, file.content, data, last)
                    if last:
                        return
        except OSError:  # it was deleted or replaced; the next try finds out
            await self._receiver.abandon(transfer)


class _State(NamedTuple):
    """One state of a file. Its hash is valid while these values are the same."""

    path: str
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in an input's value that may be names of files."""
    if isinstance(value, str):
        if value and len(value) <= _LONGEST_NAME and "\n" not in value:
            yield value
    elif isinstance(value, Mapping):
        for inside in value.values():
            yield from _texts(inside)
    elif isinstance(value, (list, tuple)) and not _is_link(value):
        for inside in value:
            yield from _texts(inside)


def _is_link(value: Sequence[Any]) -> bool:
    return len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


Ask = Callable[[Mapping[str, Any]], Awaitable[Any]]
Send = Callable[[Mapping[str, Any], bytes], Awaitable[None]]


class WireReceiver:
    """Talks to a worker in messages: ``ask`` returns the answer to one, ``send`` sends one with bytes."""

    def __init__(self, ask: Ask, send: Send):
        self._ask = ask
        self._send = send

    async def lacking(self, contents: Sequence[str]) -> list[str]:
        return list(await self._ask({"type": "lacking contents", "contents": list(contents)}))

    async def take(self, transfer: int, content: str, data: bytes, last: bool) -> None:
        await self._send({"type": "content", "transfer": transfer, "content": content, "last": last}, data)

    async def abandon(self, transfer: int) -> None:
        await self._send({"type": "abandon content", "transfer": transfer}, b"")

    async def place(self, files: Sequence[InputFile], for_run: bool) -> list[str]:
        listed = [[file.folder, file.name, file.content, file.size] for file in files]
        return list(await self._ask({"type": "place files", "files": listed, "for_run": for_run}))
