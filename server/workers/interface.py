"""The interface of all workers: threads, processes, and actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from graph.errors import Problem, SumiError
from graph.events import Event, RunFailed, RunInterrupted, RunSucceeded
from graph.results import SavedFile

HEARTBEAT_SECONDS: Final = 2.0

Outcome = RunSucceeded | RunFailed | RunInterrupted
"""The last event of a run: how it ended."""

OnEvent = Callable[[Event], None]
"""Function that receives a run's events except the outcome, in order, on the event loop."""


OnPackMessage = Callable[[str, Any, str | None], None]
"""Function that receives a node pack's message to a client (None: to everyone): event, and JSON data or bytes."""


OnPackQuestion = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Function that answers a node pack's question, for example about the queue, with plain data. Raises SumiError."""


class PackRequest(NamedTuple):
    """A request for a route that a node pack has added. ``path`` is the raw path with the query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class PackAnswer(NamedTuple):
    """A node pack's response; 404 if it has no such route."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Death:
    """How a worker ended. ``lost``: it was ended from outside (its machine failed, another process killed it), so the
    job that ran on it is not to blame."""

    reason: str
    lost: bool = False


class WorkerDied(SumiError):
    """The worker ended or stopped responding; ``death`` says how. Another worker may retry its job."""

    def __init__(self, death: Death | str):
        self.death = Death(death) if isinstance(death, str) else death
        super().__init__(self.death.reason)


class UnansweredError(SumiError):
    """The worker failed to answer a question; the message says how."""


WorkerFactory = Callable[[], "Worker"]
"""Function that makes a worker without starting it."""


async def refuse_question(what: str, about: Mapping[str, Any]) -> Any:
    """Refuse a question of a node pack, because no server is connected."""
    raise UnansweredError(f"no server is connected to answer {what!r}")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run. ``prompt`` is in the API dialect, ``targets`` are the output nodes to run, ``client_id`` queued it.

    ``previews``: whether the client wants previews; None means the worker's setting. ``part`` tells apart several
    runs of one job, a sweep's combinations. ``files`` are files that the run reads in addition to those that its
    inputs name; a worker with separate folders gets them before it starts.
    """

    prompt_id: str
    prompt: Mapping[str, Any]
    targets: tuple[str, ...]
    extra_pnginfo: Mapping[str, Any] | None = None
    previews: bool | None = None
    client_id: str | None = None
    part: str = ""
    files: tuple[SavedFile, ...] = ()


ModelFiles = Mapping[str, Sequence[str]]
"""Model folder → the names of its files."""


@dataclass(frozen=True)
class Description:
    """The description of a worker, as plain data.

    ``nodes``: schemas (``graph.node_types.schema_data``). ``environment``: the registry's tag.
    ``versions``: name → version. ``failures``: node pack → why it could not be imported.
    ``packs``: for each node pack ``name``, ``path``, ``nodes``, ``seconds`` and, if they apply, ``failure``,
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
    """Whether packs handle prompts before they are queued."""
    files: ModelFiles | None = None
    """The model files of a worker with separate folders; None if it shares the server's."""


@dataclass(frozen=True)
class Stats:
    """The current state of a worker.

    ``devices``: in the form of ``GET /system_stats``. ``models``: names of loaded models.
    ``cache``: hits, misses, bytes… by name. ``memory``: resident bytes of the process.
    ``trouble``: the known reason why it cannot compute, or "".
    """

    devices: list[dict[str, Any]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    cache: Mapping[str, float] = field(default_factory=dict)
    memory: int = 0
    trouble: str = ""


class Worker(Protocol):
    """One worker. Call its methods on the event loop; it answers also during a run.

    Every call but ``close`` raises WorkerDied after the worker has ended.
    """

    name: str
    on_pack_message: OnPackMessage
    """Receives messages of node packs, on the event loop, also while nothing runs."""
    on_pack_question: OnPackQuestion
    """Answers questions of node packs, on the event loop."""

    @property
    def waits_for(self) -> str:
        """The reason why the worker cannot start yet, as a sentence; "" if there is none."""

    async def start(self) -> Description:
        """Start the worker. Returns when it can run prompts."""

    async def validate(self, prompt: Mapping[str, Any], targets: list[str]) -> list[Problem]:
        """Return the problems that nodes' own validation code finds in the nodes that ``targets`` need.

        Each problem has ``extra["dependent_outputs"]``. The caller sets the time limit for slow code.
        """

    async def run(self, request: RunRequest, on_event: OnEvent) -> Outcome:
        """Run one prompt to its end. One at a time."""

    async def ask_packs(self, request: PackRequest) -> PackAnswer:
        """Have a node pack answer a request. The caller sets the time limit for slow code."""

    async def handle_prompt(self, body: Mapping[str, Any]) -> Any:
        """Return the body of a ``POST /prompt`` as changed by node packs' prompt handlers.

        Raises UnansweredError. The caller sets the time limit for slow code.
        """

    async def redeclare(self, names: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return the declarations of the named nodes (None: all) whose inputs may change, as in :class:`Description`.

        The caller sets the time limit for slow code.
        """

    async def model_files(self) -> ModelFiles | None:
        """Return the model files as in :class:`Description`, as they are now. The caller sets the time limit."""

    async def interrupt(self, prompt_id: str) -> None:
        """Ask the run of that prompt to stop, whether or not it has begun. Other runs continue."""

    async def free(self, unload_models: bool, free_memory: bool) -> None:
        """Free models, results kept in memory, or both, as soon as no run uses them."""

    def stats(self) -> Stats:
        """Return the state at the last heartbeat, without waiting."""

    async def died(self) -> Death:
        """Wait until the worker has ended. Returns how it ended."""

    async def close(self) -> None:
        """End the worker, even during a run."""
