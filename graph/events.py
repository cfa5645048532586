"""The events of a run. The command line, the server and the tests listen to them.

A listener is a callable that takes one event; it is called on the thread that runs
the graph, in order, and must return quickly. Node ids in ``node_id`` may lie inside an
expansion (``{parent}.{call}.{n}``); ``display_node_id`` is the node a person placed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RunStarted:
    run_id: str


@dataclass(frozen=True, slots=True)
class NodesCached:
    """The nodes whose results are known already. Sent once, before anything runs."""

    run_id: str
    node_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeStarted:
    run_id: str
    node_id: str
    display_node_id: str
    class_type: str
    parent_node_id: str | None = None


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """``value`` of ``maximum`` steps done, 0 ≤ value ≤ maximum."""

    run_id: str
    node_id: str
    display_node_id: str
    value: float
    maximum: float


@dataclass(frozen=True, slots=True)
class NodePreview:
    """A picture of work in progress: ``data`` is a file of ``format`` JPEG or PNG."""

    run_id: str
    node_id: str
    display_node_id: str
    format: str
    data: bytes
    parent_node_id: str | None = None


@dataclass(frozen=True, slots=True)
class NodeText:
    """A line of text that a node shows on itself while it runs."""

    run_id: str
    node_id: str
    display_node_id: str
    text: str


@dataclass(frozen=True, slots=True)
class NodeOutput:
    """The data that an output node shows. Also sent for cached nodes (``cached`` is true)."""

    run_id: str
    node_id: str
    display_node_id: str
    ui: Mapping[str, Any]
    cached: bool = False


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node has finished; its own work took ``seconds``."""

    run_id: str
    node_id: str
    display_node_id: str
    class_type: str
    seconds: float


@dataclass(frozen=True, slots=True)
class NodeBlocked:
    """A node was not run because one of its inputs is a :class:`graph.results.Blocked` with a message."""

    run_id: str
    node_id: str
    display_node_id: str
    class_type: str
    message: str


@dataclass(frozen=True, slots=True)
class RunSucceeded:
    run_id: str


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run failed. ``node_id`` is the placed node, ``real_node_id`` the node of ``class_type`` in its expansion."""

    run_id: str
    node_id: str
    real_node_id: str
    class_type: str
    exception_type: str
    message: str
    traceback: tuple[str, ...] = ()
    current_inputs: Mapping[str, Any] = field(default_factory=dict)
    executed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunInterrupted:
    """The run was stopped. ``node_id``, of class ``class_type``, is the placed node that was running."""

    run_id: str
    node_id: str | None
    class_type: str | None
    executed: tuple[str, ...] = ()


Event = (
    RunStarted
    | NodesCached
    | NodeStarted
    | NodeProgress
    | NodePreview
    | NodeText
    | NodeOutput
    | NodeFinished
    | NodeBlocked
    | RunSucceeded
    | RunFailed
    | RunInterrupted
)

Listener = Callable[[Event], None]
