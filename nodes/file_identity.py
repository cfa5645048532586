"""The identity of a file, independent of its name and place: a hash of all its bytes.

A hash is computed once for each path, size and modification time, and stored in a folder that any number of
processes share. A large file is hashed in the background. Until that is done, its identity is its place on this
machine; results stored under that identity are moved to the hash later.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import queue
import secrets
import threading
import uuid
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from graph.content import content_hash
from graph.errors import InputFileError
from graph.fingerprints import FileMark
from graph.folders import Folders
from graph.operating_system import replace_file

log = logging.getLogger(__name__)

HASHED_AT_ONCE: Final = 128 << 20
"""Bytes of the largest file that is hashed while the caller waits: about 0.2 s."""


class _State(NamedTuple):
    """One state of a file. Its hash is valid while these values are the same."""

    path: str
    size: int
    mtime_ns: int


class FileIdentities:
    """Hashes of files, stored in ``folder``.

    ``at_once``: bytes of the largest file that is hashed while the caller waits. Thread-safe.
    """

    def __init__(self, folder: Path, at_once: int = HASHED_AT_ONCE):
        self._folder = folder
        self._at_once = at_once
        self._known: dict[_State, str] = {}
        self._waiting: set[_State] = set()
        self._queue: queue.SimpleQueue[_State] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._idle = threading.Condition()

    def of(self, path: Path) -> FileMark:
        """Return a mark of the file's current state, for use in a fingerprint.

        Raises InputFileError if the file cannot be read.
        """
        state = _state_of(path)
        content = self._known.get(state) or self._recall(state)
        if content is None and state.size <= self._at_once:
            content = self._learn(state)
        elif content is None:
            self._hash_later(state)
        return FileMark(_place(state), content)

    def wait(self) -> None:
        """Wait until no file is being hashed in the background."""
        with self._idle:
            self._idle.wait_for(lambda: not self._waiting)

    def _learn(self, state: _State) -> str:
        """Hash the file and store the hash, unless the file changes in the meantime."""
        content = content_hash(Path(state.path))
        if _state_of(Path(state.path)) == state:
            self._known[state] = content
            self._remember(state, content)
        return content

    def _hash_later(self, state: _State) -> None:
        with self._idle:
            if state in self._waiting:
                return
            self._waiting.add(state)
            if self._thread is None:
                self._thread = threading.Thread(target=self._hash_all, name="file identities", daemon=True)
                self._thread.start()
        self._queue.put(state)

    def _hash_all(self) -> None:
        while True:
            state = self._queue.get()
            try:
                if self._recall(state) is None:
                    self._learn(state)
            except (InputFileError, OSError) as error:
                log.warning("cannot hash %s: %s", state.path, error)
            finally:
                with self._idle:
                    self._waiting.discard(state)
                    self._idle.notify_all()

    def _file(self, state: _State) -> Path:
        return self._folder / f"{hashlib.blake2b(os.fsencode(state.path), digest_size=16).hexdigest()}.json"

    def _recall(self, state: _State) -> str | None:
        """Return the hash that a process has stored, or None."""
        try:
            size, mtime_ns, content = json.loads(self._file(state).read_bytes())
        except (OSError, ValueError, TypeError):  # missing or damaged
            return None
        if (size, mtime_ns) != (state.size, state.mtime_ns) or not isinstance(content, str):
            return None
        self._known[state] = content
        return content

    def _remember(self, state: _State, content: str) -> None:
        file = self._file(state)
        temporary = file.with_name(f".{file.stem}-{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps([state.size, state.mtime_ns, content]), encoding="utf-8")
            replace_file(temporary, file)
        except OSError as error:
            log.warning("%s: cannot store the hash of %s: %s", self._folder, state.path, error)


def identity(path: Path, folders: Folders) -> FileMark:
    """Return a mark of the file's current state, for use in a fingerprint. Its hash is stored in the user folder.

    Raises InputFileError if the file cannot be read.
    """
    return _identities(folders.user / "identities").of(path)


@cache
def _identities(folder: Path) -> FileIdentities:
    return FileIdentities(folder)


def _state_of(path: Path) -> _State:
    try:
        status = path.stat()
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror}") from error
    return _State(os.path.abspath(path), status.st_size, status.st_mtime_ns)


def _place(state: _State) -> str:
    return f"{_machine()} {state.path} {state.size} {state.mtime_ns}"


@cache
def _machine() -> str:
    """Return an identifier of this machine."""
    return f"{platform.node()}-{uuid.getnode():x}"
