"""The nodes there are, as the first worker described them; until then, as they were last time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graph.folders import Folders
from graph.schema import NodeType, Registry
from graph.schema_data import node_type_from_data
from server.jobs import compact_json
from server.request_error import RequestError
from server.workers.interface import Description

log = logging.getLogger(__name__)


class Catalogue:
    """``versions`` and ``failures`` (node pack → why it could not be imported) are the workers'.

    ``saved`` is the file in which the list is kept for the next start.
    """

    def __init__(self, folders: Folders, saved: Path, patience: float = 60.0):
        self.folders = folders
        self.versions: Mapping[str, str] = {}
        self.failures: Mapping[str, str] = {}
        self.packs: Sequence[Mapping[str, Any]] = ()
        self.pack_routes = False
        self._described = asyncio.Event()
        self._saved = saved
        self._patience = patience
        self._registry: Registry | None = None
        self._known = asyncio.Event()
        self._current = False

    @property
    def is_current(self) -> bool:
        """Whether a worker has described its nodes since the start."""
        return self._current

    async def recall(self) -> None:
        """Take the list of the last start, if there is one."""
        try:
            text = await asyncio.to_thread(self._saved.read_text, "utf-8")
            data = json.loads(text)
            description = Description(
                data["nodes"], data["environment"], data["versions"], data["failures"], data["packs"]
            )
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

    async def current_registry(self, seconds: float) -> Registry:
        """The node types as a worker has described them since the start; as they were last time, if none does in
        time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._described.wait()
        return await self.registry()

    async def object_info(self, name: str | None = None) -> dict[str, Any] | None:
        """``GET /object_info``: of all nodes, or of one (None if there is none of that name).

        File choices are as they are now; every folder is listed once.
        """
        registry = await self.registry()
        if name is not None and name not in registry:
            return None
        wanted = [registry[name]] if name is not None else list(registry.values())
        return await asyncio.to_thread(_described, wanted, self.folders)

    def _take(self, registry: Registry, description: Description) -> None:
        self._registry = registry
        self.versions, self.failures = description.versions, description.failures
        self.packs, self.pack_routes = description.packs, description.pack_routes
        self._known.set()

    def _save(self, description: Description) -> None:
        self._saved.parent.mkdir(parents=True, exist_ok=True)
        part = self._saved.with_suffix(".part")
        part.write_text(
            compact_json(
                {
                    "nodes": description.nodes,
                    "environment": description.environment,
                    "versions": dict(description.versions),
                    "failures": dict(description.failures),
                    "packs": description.packs,
                }
            ),
            "utf-8",
        )
        os.replace(part, self._saved)


def _registry(description: Description) -> Registry:
    types = (node_type_from_data(data) for data in description.nodes)
    return Registry({node_type.name: node_type for node_type in types}, environment=description.environment)


def _described(node_types: list[NodeType], folders: Folders) -> dict[str, Any]:
    from graph.describe import describe

    listed: dict[str, list[str]] = {}

    def names(folder: str) -> list[str]:
        if folder not in listed:
            listed[folder] = folders.names(folder)
        return listed[folder]

    return {node_type.name: describe(node_type, names) for node_type in node_types}
