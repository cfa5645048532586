"""The users of a server, and where each one's workflows and settings are."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from graph.errors import InputFileError, SumiError
from graph.folders import relative_name
from server.files.settings import Settings

log = logging.getLogger(__name__)

DEFAULT: Final = "default"
"""The folder of whoever has no name; in ComfyUI it is also the only user of a server without ``--multi-user``."""
LONGEST_NAME: Final = 100
MOST_USERS: Final = 10_000

_FILE: Final = "users.json"
_NAME: Final = re.compile(r"[\w@+.-]*[\w@+-]")
_TAKEN: Final = frozenset({"cache", "compiled", "identities", "openvino", "work"})
"""Folders in the user folder that are not a user's."""
_TAKEN_ENDINGS: Final = (".json", ".db", ".db-wal", ".db-shm", ".lock", ".csv")
_SYSTEM: Final = "__"
"""Names with this beginning are ComfyUI's and its node packs' own."""


class UserError(SumiError):
    """A user's name that cannot be used."""


def check_name(name: str) -> str:
    """Return the name if a user may have it: it is also the name of a folder. Raises UserError."""
    if not 0 < len(name) <= LONGEST_NAME or not _NAME.fullmatch(name) or name.startswith((".", _SYSTEM)):
        raise UserError(
            f"user name {name[:LONGEST_NAME]!r}: expected 1 to {LONGEST_NAME} letters, digits and @ + . _ -; it may "
            f"not begin with a full stop or {_SYSTEM}, or end with a full stop"
        )
    if name.lower() in _TAKEN or name.lower().endswith(_TAKEN_ENDINGS):
        raise UserError(f"user name {name!r}: the server has a file or folder of that name; choose another")
    try:
        return relative_name(name, "user")
    except InputFileError as error:
        raise UserError(f"user name {name!r}: {error}") from error


class Users:
    """The users of one server. ``folder`` holds a folder for each.

    ``named``: the users that have tokens. ``listed``: further users are in ``users.json``, as in ComfyUI with
    ``--multi-user``; people edit that file by hand, too.
    """

    def __init__(self, folder: Path, named: Iterable[str] = (), *, listed: bool = False):
        self.listed = listed
        self._folder = folder
        self._named = tuple(dict.fromkeys(named))
        self._file = Settings(folder / _FILE)
        self._state: tuple[int, int] | None = None
        self._of_file: dict[str, str] = {}
        self._settings: dict[Path, Settings] = {}
        self._lock = asyncio.Lock()

    def data_folder(self, user: str | None) -> Path:
        """Return the folder of a user's workflows and settings; ComfyUI uses the same ones."""
        return self._folder / (DEFAULT if user is None else user)

    def settings(self, user: str | None) -> Settings:
        """Return the settings of a user's editor."""
        return self._settings_in(self.data_folder(user) / "comfy.settings.json")

    def options(self, user: str | None, name: str) -> Settings:
        """Return a user's settings in the file ``name``. The operator's are in the user folder itself."""
        return self._settings_in((self._folder if user is None else self.data_folder(user)) / name)

    def _settings_in(self, path: Path) -> Settings:
        if path not in self._settings:
            self._settings[path] = Settings(path)
        return self._settings[path]

    async def names(self) -> Mapping[str, str]:
        """Return the name to show of each user."""
        if self.listed:
            await self._read()
        return {**{name: name for name in self._named}, **self._of_file}

    async def knows(self, user: str) -> bool:
        """Whether there is such a user."""
        return user == DEFAULT or user in await self.names()

    async def add(self, shown: str) -> str:
        """Add a user to ``users.json``. Returns the id, which is made from the name to show. Raises UserError."""
        shown = shown.strip()
        if not 0 < len(shown) <= LONGEST_NAME or not shown.isprintable():
            raise UserError(f"a user name has 1 to {LONGEST_NAME} printable characters")
        async with self._lock:
            names = await self.names()
            if shown in names.values():
                raise UserError("Duplicate username.")
            if len(names) >= MOST_USERS:
                raise UserError(f"there are already {len(names)} users")
            user = check_name(re.sub("[^a-zA-Z0-9-_]+", "-", shown)[: LONGEST_NAME - 37] + f"_{uuid.uuid4()}")
            await self._file.merge({user: shown})
            return user

    async def _read(self) -> None:
        state = _state_of(self._file.path)
        if state == self._state:
            return
        found: dict[str, str] = {}
        for user, shown in (await self._file.all()).items():
            try:
                found[check_name(user)] = _text(user, shown)
            except UserError as error:
                log.warning("%s: an entry is left out: %s", self._file.path, error)
        self._of_file, self._state = found, state


def _text(user: str, shown: Any) -> str:
    if not isinstance(shown, str):
        raise UserError(f"user name {user!r}: expected a text as its value, the name to show")
    return shown


def _state_of(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
