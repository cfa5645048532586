"""The nodes there are, as the first worker described them; until then, as they were last time."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from graph.folders import Folders
from graph.node_types.schema_data import node_type_from_data
from graph.schema import NodeType, Registry
from server.http.request_error import RequestError
from server.store.jobs import compact_json
from server.workers.interface import Description

log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 0.5
"""How long a full node list is reused."""


class Catalogue:
    """``versions`` and ``failures`` (node pack → why it could not be imported) are the workers'.

    ``saved`` is the file in which the list is kept for the next start; it holds only where ``state`` gives the same
    text as then (the code of all packs, say). ``ask`` asks a worker which inputs nodes have by now;
    ``awaits_workers``: one is to come.
    """

    def __init__(self, folders: Folders, saved: Path, state: Callable[[], str] = str, patience: float = 60.0):
        self.folders = folders
        self.versions: Mapping[str, str] = {}
        self.failures: Mapping[str, str] = {}
        self.packs: Sequence[Mapping[str, Any]] = ()
        self.pack_routes = False
        self.prompt_handlers = False
        self.awaits_workers = False
        self.ask: Callable[[Sequence[str] | None], Awaitable[list[dict[str, Any]]]] | None = None
        self._state = state
        self._asking: asyncio.Task[None] | None = None
        self._asked = float("-inf")
        self._said: dict[str, dict[str, Any]] = {}
        self._described = asyncio.Event()
        self._saved = saved
        self._patience = patience
        self._registry: Registry | None = None
        self._known = asyncio.Event()
        self._current = False

    @property
    def is_current(self) -> bool:
        """Whether a worker has described its nodes since the start, and can be asked about them."""
        return self._described.is_set()

    async def recall(self) -> None:
        """Take the list of the last start, if there is one."""
        try:
            text = await asyncio.to_thread(self._saved.read_text, "utf-8")
            data = json.loads(text)
            if data.pop("state") != await asyncio.to_thread(self._state) or data["failures"]:
                return  # what failed may work by now
            description = Description(**data)
            registry = _registry(description)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s: the saved list of nodes cannot be read (%s); waiting for a worker's", self._saved, error)
            return
        if not self._current:
            self._take(registry, description)

    async def update(self, description: Description) -> None:
        """Take what a worker says, and keep it for the next start."""
        registry = await asyncio.to_thread(_registry, description)
        self._current = True
        self._take(registry, description)
        for pack, reason in description.failures.items():
            log.error("node pack %s could not be loaded: %s", pack, reason.strip().splitlines()[-1])
        try:
            await asyncio.to_thread(self._save, description)
        except OSError as error:
            log.warning("%s: the list of nodes could not be saved: %s", self._saved, error)
        # Last, without waiting for anything after it: who waits for this may ask the worker at once.
        self._described.set()

    async def registry(self) -> Registry:
        """The node types, without their code. Waits for a worker if nothing was saved.

        Raises RequestError (503) when none has come up after ``patience`` seconds.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._known.wait()
        except TimeoutError as error:
            raise RequestError(
                503, "no_worker", "no worker has said what nodes there are", "the log says why none starts", 5
            ) from error
        assert self._registry is not None
        return self._registry

    async def described(self, seconds: float) -> bool:
        """Whether a worker has described its nodes since the start; waits for that."""
        return await _happened(self._described, seconds)

    async def packs_known(self, seconds: float) -> bool:
        """Whether it is known what packs there are, from this start or the last; waits for that, if a worker is to
        come."""
        return await _happened(self._known, seconds if self.awaits_workers else 0.0)

    async def current_registry(self, seconds: float) -> Registry:
        """The node types as a worker has described them since the start; as they were last time, if none does in
        time."""
        await self.described(seconds)
        return await self.registry()

    async def fresh(self, names: Iterable[str] | None = None) -> Registry:
        """:meth:`registry`, in which these nodes (None: all) have the inputs that they have by now.

        Those of node packs list files and other things when they are asked. Before a worker is up, and where none
        answers in time, they are as they were.
        """
        registry = await self.registry()
        wanted = registry if names is None else dict.fromkeys(names)
        changing = [name for name in wanted if name in registry and registry[name].redeclare is not None]
        if not changing or not self._current or self.ask is None:
            return registry
        if names is not None:
            await self._ask_anew(changing)
        elif asyncio.get_running_loop().time() - self._asked > _FRESH_SECONDS:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask_anew(None))
                self._asking.add_done_callback(self._all_asked)
            await asyncio.shield(self._asking)
        return await self.registry()

    async def object_info(self, name: str | None = None) -> dict[str, Any] | None:
        """``GET /object_info``: of all nodes, or of one (None if there is none of that name).

        Choices are as they are now; every folder is listed once.
        """
        registry = await self.fresh(None if name is None else [name])
        if name is not None and name not in registry:
            return None
        wanted = [registry[name]] if name is not None else list(registry.values())
        return await asyncio.to_thread(_described, wanted, self.folders)

    async def _ask_anew(self, names: Sequence[str] | None) -> None:
        assert self.ask is not None and self._registry is not None
        answered = {data["name"]: data for data in await self.ask(names)}
        new = {name: data for name, data in answered.items() if data != self._said.get(name)}
        if new:
            types = await asyncio.to_thread(lambda: {name: node_type_from_data(data) for name, data in new.items()})
            self._said.update(new)
            self._registry = self._registry.with_types(types)

    def _all_asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        if task.cancelled() or task.exception() is None:
            self._asked = asyncio.get_running_loop().time()

    def _take(self, registry: Registry, description: Description) -> None:
        self._registry = registry
        self._said = {data["name"]: data for data in description.nodes if "redeclare" in data["has"]}
        self.versions, self.failures = description.versions, description.failures
        self.packs = description.packs
        self.pack_routes, self.prompt_handlers = description.pack_routes, description.prompt_handlers
        self._known.set()

    def _save(self, description: Description) -> None:
        self._saved.parent.mkdir(parents=True, exist_ok=True)
        part = self._saved.with_suffix(".part")
        part.write_text(compact_json({**dataclasses.asdict(description), "state": self._state()}), "utf-8")
        os.replace(part, self._saved)


async def _happened(event: asyncio.Event, seconds: float) -> bool:
    if not event.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _registry(description: Description) -> Registry:
    types = (node_type_from_data(data) for data in description.nodes)
    return Registry({node_type.name: node_type for node_type in types}, environment=description.environment)


def _described(node_types: list[NodeType], folders: Folders) -> dict[str, Any]:
    from graph.node_types.describe import describe

    listed: dict[str, list[str]] = {}

    def names(folder: str) -> list[str]:
        if folder not in listed:
            listed[folder] = folders.names(folder)
        return listed[folder]

    return {node_type.name: describe(node_type, names) for node_type in node_types}
