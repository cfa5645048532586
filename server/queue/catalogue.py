"""The catalogue of nodes and model files: as the workers describe them, or until then as saved at the last start."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from graph.folders import Folders
from graph.node_types.schema_data import node_type_from_data
from graph.operating_system import replace_file
from graph.schema import NodeType, Registry
from server.http.request_error import RequestError
from server.queue.placement import Placement, needs_of
from server.store.jobs import compact_json
from server.workers.interface import Description

log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 0.5
"""How long full lists of nodes and files are reused."""
_STARTING_SECONDS: Final = 20.0


class Catalogue:
    """The nodes that workers have described. ``versions`` and ``failures`` (node pack → import error) are theirs.

    If workers differ, the list has the nodes of all of them. ``placement`` knows which worker has what; ``folders``
    are the server's and list the model files that workers have.

    ``saved`` is the file with the list for the next start. It is valid only while ``state`` returns the same text as
    when it was saved (a hash of the code of all packs, for example). ``ask`` asks a worker for the current inputs of
    nodes, ``list_files`` those with separate folders for their model files; ``awaits_workers``: a worker is starting.
    """

    def __init__(self, folders: Folders, saved: Path, state: Callable[[], str] = str, patience: float = 60.0):
        self.placement = Placement(folders)
        self.folders = replace(folders, of_workers=self.placement.names)
        self.versions: Mapping[str, str] = {}
        self.failures: Mapping[str, str] = {}
        self.packs: Sequence[Mapping[str, Any]] = ()
        self.pack_routes = False
        self.prompt_handlers = False
        self.awaits_workers = False
        self.ask: Callable[[Sequence[str] | None], Awaitable[list[dict[str, Any]]]] | None = None
        self.list_files: Callable[[], Awaitable[None]] | None = None
        self._descriptions: dict[str, Description] = {}
        self._news = asyncio.Event()
        self._updating = asyncio.Lock()
        self._state = state
        self._asking: asyncio.Task[None] | None = None
        self._asked = float("-inf")
        self._listing: asyncio.Task[None] | None = None
        self._listed = float("-inf")
        self._said: dict[str, dict[str, Any]] = {}
        self._described = asyncio.Event()
        self._saved = saved
        self._patience = patience
        self._registry: Registry | None = None
        self._known = asyncio.Event()
        self._current = False

    @property
    def is_current(self) -> bool:
        """Whether a worker has described its nodes since the start and can answer questions about them."""
        return self._described.is_set()

    async def recall(self) -> None:
        """Load the list that was saved at the last start, if there is one."""
        try:
            text = await asyncio.to_thread(self._saved.read_text, "utf-8")
            data = json.loads(text)
            if data.pop("state") != await asyncio.to_thread(self._state) or data["failures"]:
                return  # packs that failed then may work now
            description = Description(**data)
            registry = _registry(description)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s: the saved list of nodes cannot be read (%s); waiting for a worker's", self._saved, error)
            return
        if not self._current:
            self._store(registry, description)

    async def update(self, description: Description, worker: str = "") -> None:
        """Store a worker's description, also on disk for the next start."""
        for pack, reason in description.failures.items():
            log.error("node pack %s could not be loaded: %s", pack, reason.strip().splitlines()[-1])
        self._descriptions[worker] = description
        async with self._updating:  # the list of an earlier call must not replace that of a later one
            united = _united(list(self._descriptions.values()))
            registry = await asyncio.to_thread(_registry, united)
            self.placement.learn(worker, description)  # not before: prompts wait for workers that are unknown
            self._current = True
            self._store(registry, united)
            try:
                await asyncio.to_thread(self._save, united)
            except OSError as error:
                log.warning("%s: cannot save the list of nodes: %s", self._saved, error)
        self._news.set()
        # Set this last, and await nothing after it: tasks waiting for it may ask the worker at once.
        self._described.set()

    async def registry(self) -> Registry:
        """Return the node types, without their code. Waits for a worker if no list was saved.

        Raises RequestError (503) if no worker has started after ``patience`` seconds.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._known.wait()
        except TimeoutError as error:
            raise RequestError(
                503, "no_worker", "no worker has started, so the list of nodes is unknown", "the log says why", 5
            ) from error
        assert self._registry is not None
        return self._registry

    async def described(self, seconds: float) -> bool:
        """Wait for a worker to describe its nodes. Returns whether one has."""
        return await _is_set_within(self._described, seconds)

    async def packs_known(self, seconds: float) -> bool:
        """Whether the list of packs is known, from this start or the last one. Waits for it if a worker is starting."""
        return await _is_set_within(self._known, seconds if self.awaits_workers else 0.0)

    async def current_registry(self, seconds: float) -> Registry:
        """Return the node types as a worker has described them since the start, or as saved at the last start if no
        worker does so in time."""
        await self.described(seconds)
        return await self.registry()

    async def fresh(self, names: Iterable[str] | None = None) -> Registry:
        """Return :meth:`registry` with the current inputs of these nodes (None: all).

        Node packs compute some inputs when asked, for example lists of files. If no worker answers in time, the
        inputs stay as they were.
        """
        registry = await self.registry()
        wanted = registry if names is None else dict.fromkeys(names)
        changing = [name for name in wanted if name in registry and registry[name].redeclare is not None]
        if not changing or not self._current or self.ask is None:
            return registry
        if names is not None:
            await self._refresh(changing)
        elif asyncio.get_running_loop().time() - self._asked > _FRESH_SECONDS:
            if self._asking is None:
                wanted_by_name = None if self.placement.is_uniform else changing
                self._asking = asyncio.create_task(self._refresh(wanted_by_name))
                self._asking.add_done_callback(self._refreshed)
            await asyncio.shield(self._asking)
        return await self.registry()

    async def await_workers_for(self, prompt: Mapping[str, Any]) -> None:
        """Wait a while if no worker is known that can run ``prompt``, but one may be found.

        Workers that are starting may know its nodes, and those with separate folders may just have got its files.
        """
        registry = await self.registry()
        known = all(node.get("class_type") in registry for node in prompt.values())
        if known and self.placement.has_place(needs_of(prompt, registry)):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STARTING_SECONDS):
                while self.placement.is_incomplete():
                    self._news.clear()
                    await self._news.wait()
        await self.files_listed()

    async def files_listed(self) -> None:
        """Wait until the workers with separate folders have listed their model files, unless they did so just now."""
        if self.list_files is None or not self.placement.with_separate_folders():
            return
        if asyncio.get_running_loop().time() - self._listed > _FRESH_SECONDS:
            if self._listing is None:
                self._listing = asyncio.ensure_future(self.list_files())
                self._listing.add_done_callback(self._files_were_listed)
            await asyncio.shield(self._listing)

    async def object_info(self, name: str | None = None) -> dict[str, Any] | None:
        """Return the data for ``GET /object_info``: of all nodes or of one (None if it does not exist).

        File choices are up to date; every folder is listed once.
        """
        await self.files_listed()
        registry = await self.fresh(None if name is None else [name])
        if name is not None and name not in registry:
            return None
        wanted = [registry[name]] if name is not None else list(registry.values())
        return await asyncio.to_thread(described_nodes, wanted, self.folders)

    async def _refresh(self, names: Sequence[str] | None) -> None:
        assert self.ask is not None and self._registry is not None
        answered = {data["name"]: data for data in await self.ask(names)}
        new = {name: data for name, data in answered.items() if data != self._said.get(name)}
        if new:
            types = await asyncio.to_thread(lambda: {name: node_type_from_data(data) for name, data in new.items()})
            self._said.update(new)
            self._registry = self._registry.with_types(types)

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        if task.cancelled() or task.exception() is None:
            self._asked = asyncio.get_running_loop().time()

    def _files_were_listed(self, task: asyncio.Future[None]) -> None:
        self._listing = None
        if task.cancelled() or task.exception() is None:
            self._listed = asyncio.get_running_loop().time()

    def _store(self, registry: Registry, description: Description) -> None:
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
        replace_file(part, self._saved)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    if not event.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _united(descriptions: Sequence[Description]) -> Description:
    """Return the description of all workers together; of nodes and packs of the same name, the first one's."""
    first = descriptions[0]
    if all(other.nodes == first.nodes and other.packs == first.packs for other in descriptions):
        return replace(descriptions[-1], files=None)
    nodes = {node["name"]: node for other in reversed(descriptions) for node in other.nodes}
    packs = {pack["name"]: pack for other in reversed(descriptions) for pack in other.packs}
    return Description(
        list(nodes.values()),
        first.environment,
        first.versions,
        {pack: reason for other in descriptions for pack, reason in other.failures.items()},
        list(packs.values()),
        pack_routes=any(other.pack_routes for other in descriptions),
        prompt_handlers=any(other.prompt_handlers for other in descriptions),
    )


def _registry(description: Description) -> Registry:
    types = (node_type_from_data(data) for data in description.nodes)
    return Registry({node_type.name: node_type for node_type in types}, environment=description.environment)


def described_nodes(node_types: Iterable[NodeType], folders: Folders) -> dict[str, Any]:
    """Return the data for ``GET /object_info`` of these nodes; every folder is listed once."""
    from graph.node_types.describe import describe

    listed: dict[str, list[str]] = {}

    def names(folder: str) -> list[str]:
        if folder not in listed:
            listed[folder] = folders.names(folder)
        return listed[folder]

    return {node_type.name: describe(node_type, names) for node_type in node_types}
