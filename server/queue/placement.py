"""Which workers can run a job: those that know its nodes and have its model files.

Workers that share the server's folders and load the same node packs can all run the same jobs, and nothing here takes
time. Workers on other machines report their node types and the files of their model folders.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from graph.folders import INPUT_FOLDERS, WORK_FOLDERS, Folders
from graph.schema import NodeType, Registry
from server.workers.interface import Description, ModelFiles

PATIENCE_SECONDS: Final = 60.0
"""Seconds after which a worker that has ended and not started again counts as gone."""


class Needs(NamedTuple):
    """The node types, by class, and the model files, as (folder, name), that a prompt needs."""

    nodes: frozenset[str] = frozenset()
    files: frozenset[tuple[str, str]] = frozenset()


@dataclass(slots=True)
class _Known:
    """One worker's node types and model files. ``nodes`` is None until it has described itself, ``files`` if it shares
    the server's folders."""

    nodes: frozenset[str] | None = None
    files: Mapping[str, frozenset[str]] | None = None
    gone_at: float | None = None
    """When it counts as gone, in the time of ``time.monotonic``; None while it runs or rests."""


@dataclass(slots=True)
class Placement:
    """The node types and model files of all workers. ``folders`` are the server's; ``patience`` in seconds."""

    folders: Folders
    patience: float = PATIENCE_SECONDS
    clock: Callable[[], float] = time.monotonic
    _workers: dict[str, _Known] = field(default_factory=dict)
    _are_same: bool = True

    @property
    def is_uniform(self) -> bool:
        """Whether every worker can run every job: all have described themselves, with the same nodes and files."""
        return self._are_same and not self.is_incomplete()

    def expect(self, name: str) -> None:
        """Record that a worker is being started. Jobs that nobody else can run wait ``patience`` seconds for it."""
        known = self._workers.setdefault(name, _Known())
        if known.nodes is None or known.gone_at is not None:
            known.gone_at = known.gone_at or self.clock() + self.patience

    def learn(self, name: str, description: Description) -> None:
        """Record how a worker that has started describes itself."""
        nodes = frozenset(node["name"] for node in description.nodes)
        same = next((known.nodes for known in self._workers.values() if known.nodes == nodes), nodes)
        self._workers[name] = _Known(same, _as_sets(description.files))
        self._settle()

    def update_files(self, name: str, files: ModelFiles | None) -> None:
        """Record the model files that a running worker has now."""
        if name in self._workers:
            self._workers[name].files = _as_sets(files)
            self._settle()

    def lost(self, name: str) -> None:
        """Record that a worker has ended. It counts as gone if no new one starts within ``patience`` seconds."""
        known = self._workers.get(name)
        if known is not None and known.gone_at is None:
            known.gone_at = self.clock() + self.patience

    def names(self, folder: str, here: set[str]) -> set[str]:
        """Return the model files in ``folder`` of all workers. ``here``: those in the server's folder.

        Files that only the server has do not count if no worker shares its folders.
        """
        present = [known for known in self._present() if known.nodes is not None]
        separate = [known.files for known in present if known.files is not None]
        found = here if len(separate) < len(present) or not present else set()
        return found.union(*(files.get(folder, frozenset()) for files in separate))

    def with_separate_folders(self) -> list[str]:
        """Return the names of the workers that do not share the server's folders."""
        return [name for name, known in self._workers.items() if known.files is not None]

    def can_run(self, name: str, needs: Needs) -> bool:
        """Whether that worker can run a prompt with these needs."""
        known = self._workers.get(name)
        return known is None or self.is_uniform or not self._lacking(known, needs)

    def has_place(self, needs: Needs) -> bool:
        """Whether a worker is known that can run the prompt."""
        return any(known.nodes is not None and not self._lacking(known, needs) for known in self._present())

    def is_incomplete(self) -> bool:
        """Whether a worker that is starting has not described itself yet."""
        return any(known.nodes is None for known in self._present())

    def is_awaited(self, needs: Needs) -> bool:
        """Whether a worker that can run the prompt is there, or a worker of which nothing is known may still start."""
        return any(known.nodes is None or not self._lacking(known, needs) for known in self._present())

    def why_nowhere(self, needs: Needs) -> str:
        """Return why no worker can run the prompt, naming what each of them lacks."""
        lines = []
        for name, known in self._workers.items():
            if known.gone_at is not None and known.gone_at <= self.clock():
                had = sorted(f"{folder}/{file}" for folder, file in needs.files if self._holds(known, folder, file))
                lines.append(f"{name} is gone" + (f", which had {', '.join(had)}" if had else ""))
            else:
                lines.append(f"{name} lacks {', '.join(self._lacking(known, needs))}")
        return "no worker has everything that the prompt needs: " + "; ".join(lines)

    def seconds_to_next(self) -> float | None:
        """Return the seconds until a worker counts as gone; None if none will."""
        now = self.clock()
        times = [known.gone_at - now for known in self._workers.values() if known.gone_at is not None]
        return min((seconds for seconds in times if seconds > 0), default=None)

    def _present(self) -> list[_Known]:
        now = self.clock()
        return [known for known in self._workers.values() if known.gone_at is None or known.gone_at > now]

    def _lacking(self, known: _Known, needs: Needs) -> list[str]:
        """Return what a worker lacks, in words."""
        nodes = () if known.nodes is None else sorted(needs.nodes - known.nodes)
        files = sorted((folder, file) for folder, file in needs.files if not self._has(known, folder, file))
        return [*(f"node {name}" for name in nodes), *(f"{folder}/{file}" for folder, file in files)]

    def _has(self, known: _Known, folder: str, file: str) -> bool:
        if known.files is None:
            return self.folders.is_here(folder, file)
        return self._holds(known, folder, file)

    def _holds(self, known: _Known, folder: str, file: str) -> bool:
        files = known.files or {}
        return file.replace("\\", "/") in files.get(self.folders.aliases.get(folder, folder), frozenset())

    def _settle(self) -> None:
        known = [worker for worker in self._workers.values() if worker.nodes is not None]
        self._are_same = all((worker.nodes, worker.files) == (known[0].nodes, known[0].files) for worker in known)


def _as_sets(files: ModelFiles | None) -> Mapping[str, frozenset[str]] | None:
    return None if files is None else {folder: frozenset(names) for folder, names in files.items()}


def needs_of(prompt: Mapping[str, Any], registry: Registry) -> Needs:
    """Return what a worker must have to run ``prompt``."""
    classes = {str(node.get("class_type")) for node in prompt.values()}
    return Needs(frozenset(classes & registry.keys()), model_files(prompt, registry))


def model_files(prompt: Mapping[str, Any], registry: Registry) -> frozenset[tuple[str, str]]:
    """Return the (folder, name) of every model file that the prompt's inputs name."""
    found = set()
    naming: dict[str, list[tuple[str, str, Iterable[Any]]]] = {}
    for node in prompt.values():
        class_type = node.get("class_type")
        if class_type not in naming:
            naming[class_type] = _inputs_that_name_models(registry.get(class_type))
        for folder, name, choices in naming[class_type]:
            value = (node.get("inputs") or {}).get(name)
            if isinstance(value, str) and value not in choices:
                found.add((folder, value))
    return frozenset(found)


def names_of_models(node_type: NodeType | None) -> list[str]:
    """Return the names of a class's inputs that name model files."""
    return [name for _, name, _ in _inputs_that_name_models(node_type)]


_NOT_MODELS: Final = frozenset({None, INPUT_FOLDERS, *WORK_FOLDERS})


def _inputs_that_name_models(node_type: NodeType | None) -> list[tuple[str, str, Iterable[Any]]]:
    """Return the (folder, input name, choices that are not files) of a class's inputs that name model files."""
    inputs = node_type.inputs if node_type is not None else ()
    return [(str(i.files), i.name, tuple(i.choices or ())) for i in inputs if i.files not in _NOT_MODELS]
