"""The engine: runs workflows and reruns only the nodes whose inputs changed."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from graph.cache.result_cache import CacheSettings, ResultCache
from graph.errors import WorkflowError
from graph.events import Listener
from graph.folders import Folders
from graph.plan.kind import Kind
from graph.plan.node_state import NodeState
from graph.run.async_nodes import EventLoopThread
from graph.run.executor import EngineServices, Run
from graph.run.journal import RunJournal, sweep
from graph.schema import Registry
from graph.validation.nearest import Nearest
from graph.workflow import Workflow


class RunResult:
    """The result of a run. ``outputs``: what each output node shows, by node id."""

    def __init__(self, outputs: Mapping[str, Mapping[str, Any]], targets: Mapping[str, NodeState]):
        self.outputs = dict(outputs)
        self._values = {node_id: _values(state) for node_id, state in targets.items()}

    def values(self, node_id: str) -> tuple[Any, ...]:
        """Return the outputs of a target, in order; as lists if they are declared so or an input was a list.

        Raises KeyError for a node that was not a target.
        """
        return self._values[node_id]


class Engine:
    """Runs workflows of the ``registry``'s nodes, one at a time, and keeps their results.

    Nodes read and write files in ``folders``. With ``check_values`` every value is hashed when it is made and
    before and after each use; a node that changes a value it received fails.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        folders: Folders | None = None,
        cache: CacheSettings | None = None,
        check_values: bool = False,
    ):
        settings = cache or CacheSettings()
        self._registry = registry
        self._kinds: dict[str, Kind] = {}
        self._nearest = Nearest()
        self._loop_thread = EventLoopThread()
        self._cache = ResultCache(settings, registry.codecs, folders)
        self._services = EngineServices(
            self._kind, registry.codecs, self._cache, folders, self._loop_thread, check_values
        )
        self._journals = settings.journal or (settings.disk / "journal" if settings.disk else None)
        if self._journals is not None:
            sweep(self._journals)
        self._one_run = threading.RLock()
        self._running: dict[str, Run] = {}

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        workflow: Workflow,
        *,
        targets: Sequence[str] | None = None,
        listener: Listener | None = None,
        run_id: str | None = None,
        part: str = "",
        extra_pnginfo: Any = None,
        previews: bool = False,
    ) -> RunResult:
        """Run the nodes that ``targets`` (by default every output node) need, on the calling thread.

        ``run_id`` names the job: a job that runs again under the same ID after a crash does not save the same
        files again. ``part`` tells apart several runs of one job. ``extra_pnginfo`` is written into saved pictures;
        by default it holds the workflow as the editor saved it. ``previews``: whether a client shows previews.
        Validate the workflow first.

        Raises NodeError if a node fails or cannot be run, Interrupted after :meth:`interrupt`,
        WorkflowError for a target that does not exist.
        """
        if extra_pnginfo is None and workflow.editor is not None:
            extra_pnginfo = {"workflow": workflow.editor}
        for target in targets or ():
            if target not in workflow.nodes:
                raise WorkflowError(f"there is no node {target} in the workflow")
        journal = RunJournal(self._journals if run_id is not None else None, f"{run_id}{part}")
        with self._one_run:
            run = Run(self._services, workflow, run_id or uuid.uuid4().hex, listener, journal, extra_pnginfo, previews)
            self._running[run.run_id] = run
            try:
                states = run.execute(targets)
            finally:
                self._running.pop(run.run_id, None)
        return RunResult(run.emitter.outputs, states)

    def interrupt(self, run_id: str | None = None) -> bool:
        """Stop the named or current run at its next progress report. Returns False if there is none. Thread-safe."""
        runs = [run for run in list(self._running.values()) if run_id in (None, run.run_id)]
        for run in runs:
            run.interrupt()
        return bool(runs)

    def free(self) -> None:
        """Drop all results in memory; results on disk stay. Thread-safe."""
        self._cache.memory.clear()

    def cached_keys(self) -> set[str]:
        """Return the keys of the results in the cache."""
        return self._cache.keys()

    def stats(self) -> dict[str, Any]:
        """Return entries, bytes and limits of the cache, as plain data. Thread-safe."""
        return self._cache.stats()

    def close(self) -> None:
        """Finish writing and stop the engine's threads."""
        self._cache.close()
        self._loop_thread.close()

    def _kind(self, class_type: str) -> Kind:
        kind = self._kinds.get(class_type)
        try:
            node_type = self._registry[class_type]
        except KeyError:
            near = self._nearest(class_type, self._registry, "classes")
            hint = f". Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise WorkflowError(f"unknown node type {class_type!r}{hint}") from None
        if kind is None or kind.type is not node_type:
            kind = self._kinds[class_type] = Kind(node_type, self._registry.environment)
        return kind


def _values(state: NodeState) -> tuple[Any, ...]:
    if state.entry is None:
        return ()
    return tuple(
        elements[0] if len(elements) == 1 and not output.is_list else list(elements)
        for elements, output in zip(state.entry.outputs, state.kind.type.outputs, strict=True)
    )
