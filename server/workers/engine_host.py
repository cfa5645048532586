"""The engine inside a worker. A process with pipes or a thread calls it."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from graph.engine import Engine
from graph.errors import Problem, SumiError
from graph.events import Event, RunFailed, RunInterrupted, RunStarted, RunSucceeded
from graph.folders import Folders
from graph.formats.api import read_api
from graph.machine_memory import resident_memory
from graph.node_types.redeclare import Redeclarer
from graph.node_types.schema_data import node_type_to_data
from graph.schema import NodeType, Registry
from graph.validation.validate import validate_outputs
from graph.workflow import Workflow
from server.workers.interface import (
    Description,
    ModelFiles,
    OnPackMessage,
    Outcome,
    PackAnswer,
    PackRequest,
    RunRequest,
    Stats,
)
from server.workers.own_folders import OwnFolders

log = logging.getLogger(__name__)

_CACHE_SECONDS = 10.0
_CUSTOM = frozenset({"custom_validation_failed", "exception_during_validation"})


class PackServer(Protocol):
    """The routes and prompt handlers that node packs have added to the server."""

    def has_routes(self) -> bool:
        """Whether a pack has added a route."""

    def has_prompt_handlers(self) -> bool:
        """Whether a pack handles prompts before they are queued."""

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, Sequence[tuple[str, str]], bytes]:
        """Return the response of a pack's route. Raises OSError, TimeoutError, http.client.HTTPException."""

    def trigger_on_prompt(self, json_data: Any) -> Any:
        """Return the body of a prompt as the handlers change it."""


@dataclass(frozen=True)
class PackConnection:
    """A node pack's connection to the server.

    ``send`` sends a message to clients, ``ask(what, about)`` asks the server and waits for its answer, ``interrupt``
    stops the run.
    """

    send: OnPackMessage
    ask: Callable[[str, Mapping[str, Any]], Any]
    interrupt: Callable[[], Any]


@dataclass
class EngineHost:
    """Runs one prompt at a time. All other methods may be called during a run, from any thread.

    ``devices`` returns the devices with their memory, ``models`` the names of loaded models; ``unload`` frees them.
    ``pack_server`` returns the routes and handlers of node packs, if any; ``connect_packs`` connects the packs to the
    server; ``run_begins`` tells them the client and the id of the run.
    """

    registry: Registry
    engine: Engine
    folders: Folders
    previews: bool = True
    versions: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    packs: list[dict[str, Any]] = field(default_factory=list)
    pack_server: Callable[[], PackServer | None] = lambda: None
    connect_packs: Callable[[PackConnection], None] = lambda line: None
    run_begins: Callable[[RunRequest], None] = lambda request: None
    devices: Callable[[], list[dict[str, Any]]] = list
    models: Callable[[], list[str]] = list
    unload: Callable[[], None] = lambda: None
    own_folders: OwnFolders | None = None
    """The work folders of a worker that does not share the server's."""
    trouble: str = ""
    """The reason why nodes cannot compute here; "" if they can."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._expected: str | None = None
        self._stopped = False
        self._cache: Mapping[str, float] = {}
        self._cache_due = 0.0
        self._redeclarer = Redeclarer(self.registry)

    def describe(self) -> Description:
        """Return all nodes as data. A node whose schema JSON cannot hold is left out and listed among the failures."""
        nodes, failures = [], dict(self.failures)
        for node_type in self.registry.values():
            try:
                nodes.append(_as_data(node_type))
            except (TypeError, ValueError) as error:
                failures[node_type.name] = f"its schema cannot be written as JSON: {error}"
        packs = self.pack_server()
        return Description(
            nodes,
            self.registry.environment,
            self.versions,
            failures,
            self.packs,
            pack_routes=packs is not None and packs.has_routes(),
            prompt_handlers=packs is not None and packs.has_prompt_handlers(),
            files=self.model_files(),
        )

    def model_files(self) -> ModelFiles | None:
        """Return the files of the model folders, if this worker does not share the server's."""
        if self.own_folders is None:
            return None
        return {folder: self.folders.names(folder) for folder in self.folders.models}

    def redeclare(self, names: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return the declarations of the named nodes (None: all) whose inputs may change, as data."""
        nodes = []
        for node_type in self._redeclarer.ask(names):
            try:
                nodes.append(_as_data(node_type))
            except (TypeError, ValueError) as error:
                log.warning("node %s: its schema cannot be written as JSON: %s", node_type.name, error)
        return nodes

    def validate(self, prompt: Mapping[str, Any], targets: list[str]) -> list[Problem]:
        """Return the problems that nodes' own validation code finds."""
        workflow = Workflow(read_api(prompt))
        found = validate_outputs(workflow, self.registry, self.folders, targets, run_custom=True)
        return [problem for problem in found.problems if problem.type in _CUSTOM]

    def answer_packs(self, request: PackRequest) -> PackAnswer:
        """Return a pack's response, or 502 with the reason if it fails."""
        packs = self.pack_server()
        if packs is None:
            return PackAnswer(404, (), b"")
        try:
            return PackAnswer(*packs.answer(*request))
        except (OSError, TimeoutError, http.client.HTTPException) as error:
            log.warning("a node pack did not answer %s %s: %s", request.method, request.path, error)
            return PackAnswer(502, (("Content-Type", "text/plain"),), f"the node pack did not answer: {error}".encode())

    def handle_prompt(self, body: Mapping[str, Any]) -> Any:
        """Return the body of a prompt as changed by packs' handlers."""
        packs = self.pack_server()
        return body if packs is None else packs.trigger_on_prompt(body)

    def expect(self, prompt_id: str) -> None:
        """Announce a run: :meth:`interrupt` can stop it from now on, although it has not begun."""
        with self._lock:
            self._expected, self._stopped = prompt_id, False

    def run(self, request: RunRequest, listener: Callable[[Event], None]) -> Outcome:
        """Run the announced prompt to its end. ``listener`` gets all events except the outcome, which is returned."""
        outcome: Outcome | None = None

        def on_event(event: Event) -> None:
            nonlocal outcome
            if isinstance(event, (RunSucceeded, RunFailed, RunInterrupted)):
                outcome = event
                return
            listener(event)
            if isinstance(event, RunStarted):
                self._stop_if_wanted(request.prompt_id)

        try:
            self.run_begins(request)
            self._redeclarer.ask(_classes(request.prompt))
            self.engine.run(
                Workflow(read_api(request.prompt)),
                targets=list(request.targets),
                listener=on_event,
                run_id=request.prompt_id,
                part=request.part,
                extra_pnginfo=request.extra_pnginfo,
                previews=self.previews if request.previews is None else request.previews,
            )
        except SumiError as error:
            outcome = outcome or _failure(request, error)
        except BaseException as error:  # no error may end the only compute thread, not even sys.exit() in a node
            log.exception("the engine failed", extra={"prompt_id": request.prompt_id})
            outcome = outcome or _failure(request, error)
        finally:
            with self._lock:
                self._expected = None
        assert outcome is not None, "the run returned without an outcome"
        return outcome

    def interrupt(self, prompt_id: str | None = None) -> None:
        """Stop that run (None: the current one) at its next progress report. Does nothing if another run is current."""
        with self._lock:
            running = self._expected
            if running is None or prompt_id not in (None, running):
                return
            self._stopped = True
        self.engine.interrupt(running)

    def free(self, unload_models: bool, free_memory: bool) -> None:
        """Free models, results in memory, or both."""
        if free_memory:
            self.engine.free()
        if unload_models:
            self.unload()

    def stats(self) -> Stats:
        """Return the current stats. The cache's figures may be ten seconds old, since counting files takes a while."""
        if time.monotonic() >= self._cache_due:
            self._cache_due = time.monotonic() + _CACHE_SECONDS
            stats = self.engine.stats()
            self._cache = {name: value for name, value in stats.items() if isinstance(value, (int, float))}
        return Stats(self.devices(), self.models(), self._cache, resident_memory(), self.trouble)

    def _stop_if_wanted(self, prompt_id: str) -> None:
        with self._lock:
            stopped = self._stopped
        if stopped:
            self.engine.interrupt(prompt_id)


def _as_data(node_type: NodeType) -> dict[str, Any]:
    """Return the node type as data. Raises TypeError or ValueError if JSON cannot hold it."""
    data = node_type_to_data(node_type)
    json.dumps(data)
    return data


def _classes(prompt: Mapping[str, Any]) -> set[str]:
    return {str(node.get("class_type")) for node in prompt.values() if isinstance(node, Mapping)}


def _failure(request: RunRequest, error: BaseException) -> RunFailed:
    lines = tuple(traceback.format_exception(error))
    return RunFailed(request.prompt_id, "", "", "", type(error).__name__, str(error), lines)
