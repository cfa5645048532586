"""The interface of a worker: a thread, a process or, later, another machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from graph.errors import Problem, SumiError
from graph.events import Event, RunFailed, RunInterrupted, RunSucceeded

HEARTBEAT_SECONDS: Final = 2.0

Outcome = RunSucceeded | RunFailed | RunInterrupted
"""The last event of a run, which says how it went."""

OnEvent = Callable[[Event], None]
"""Takes a run's events, in order, on the event loop. The outcome is not among them."""


OnPackMessage = Callable[[str, Any, str | None], None]
"""Takes what a node pack sends to a client (None: to everyone): event, and JSON data or bytes."""


OnPackQuestion = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Answers what a node pack asks of the server, such as its queue: plain data. Raises SumiError."""


class PackRequest(NamedTuple):
    """A request for a route that a node pack has added. ``path`` is as it came, with its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class PackAnswer(NamedTuple):
    """A node pack's answer; 404 if it has no such route."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class WorkerDied(SumiError):
    """The worker ended or stopped responding; the message says how. Its job may be tried on another worker."""


class UnansweredError(SumiError):
    """The worker failed to answer a question; the message says how."""


WorkerFactory = Callable[[], "Worker"]
"""Makes a worker that is not started."""


async def nobody_answers(what: str, about: Mapping[str, Any]) -> Any:
    """Where node packs have no server to ask."""
    raise UnansweredError(f"no server is connected to answer {what!r}")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run. ``prompt`` is the API dialect, ``targets`` the output nodes to run, ``client_id`` who queued it.

    ``previews``: whether the client wants pictures of the run at work; None: what the worker was started with.
    """

    prompt_id: str
    prompt: Mapping[str, Any]
    targets: tuple[str, ...]
    extra_pnginfo: Mapping[str, Any] | None = None
    previews: bool | None = None
    client_id: str | None = None


@dataclass(frozen=True)
class Description:
    """The description of a worker, as plain data.

    ``nodes``: schemas (``graph.node_types.schema_data``). ``environment``: the registry's tag.
    ``versions``: name → version. ``failures``: node pack → why it could not be imported.
    ``packs``: each node pack: ``name``, ``path``, ``nodes``, ``seconds``, and what there is of ``failure``,
    ``broken``, ``ignored``, ``replaced``, ``printed``, ``hint``, ``web`` (the folder of its scripts for the editor).
    """

    nodes: list[dict[str, Any]]
    environment: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    packs: list[dict[str, Any]] = field(default_factory=list)
    pack_routes: bool = False
    """Whether packs have added routes to the HTTP interface."""
    prompt_handlers: bool = False
    """Whether packs want to see prompts before they are queued."""


@dataclass(frozen=True)
class Stats:
    """How a worker is at the moment.

    ``devices``: as ``GET /system_stats`` lists them. ``models``: what is resident.
    ``cache``: hits, misses, bytes… by name. ``memory``: resident bytes of the process.
    ``trouble``: why it cannot compute, as far as it has found out; else empty.
    """

    devices: list[dict[str, Any]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    cache: Mapping[str, float] = field(default_factory=dict)
    memory: int = 0
    trouble: str = ""


class Worker(Protocol):
    """One worker. All calls are made on the event loop, and answered while a run is going on.

    Every call but ``close`` raises WorkerDied after the worker has ended.
    """

    name: str
    on_pack_message: OnPackMessage
    """Called on the event loop, also while nothing runs."""
    on_pack_question: OnPackQuestion
    """The same; the answer goes to the pack."""

    async def start(self) -> Description:
        """Bring the worker up; returns when it can take a run."""

    async def validate(self, prompt: Mapping[str, Any], targets: list[str]) -> list[Problem]:
        """Return the problems that nodes' own validation code finds in the nodes that ``targets`` need.

        Each problem has ``extra["dependent_outputs"]``. Slow code is the caller's to time out.
        """

    async def run(self, request: RunRequest, on_event: OnEvent) -> Outcome:
        """Run one prompt to its end. One at a time."""

    async def ask_packs(self, request: PackRequest) -> PackAnswer:
        """Have a node pack answer a request. Slow code is the caller's to time out."""

    async def handle_prompt(self, body: Mapping[str, Any]) -> Any:
        """The body of a ``POST /prompt``, as the node packs that want to see it change it.

        Raises UnansweredError. Slow code is the caller's to time out.
        """

    async def redeclare(self, names: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return the declarations of the named nodes (None: all) whose inputs may change, as in :class:`Description`.

        Slow code is the caller's to time out.
        """

    async def interrupt(self, prompt_id: str) -> None:
        """Ask the run of that prompt to stop, whether it has begun or is about to; others are left alone."""

    async def free(self, unload_models: bool, free_memory: bool) -> None:
        """Let go of models, of results kept in memory, or both, as soon as no run uses them."""

    def stats(self) -> Stats:
        """As of the last heartbeat; never waits."""

    async def died(self) -> str:
        """Wait until the worker has ended; returns how."""

    async def close(self) -> None:
        """End the worker, whatever it is doing."""
