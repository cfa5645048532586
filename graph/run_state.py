"""One node during one run."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from graph.entry import Entry
from graph.kind import Kind


class Phase(IntEnum):
    """How far a node has come. From ``DONE`` on nothing waits for it any more."""

    FRESH = 0
    KEYING = 1
    """Waits for what its key depends on."""
    TWIN = 2
    """Waits for a node that does the same work."""
    INPUTS = 3
    """Waits for the nodes that feed it."""
    READY = 4
    """Has what it needs, waits for its turn."""
    CALLED = 5
    """Its coroutine (or its ``check_lazy``) is running."""
    EXPANDED = 6
    """Waits for the nodes it expanded to."""
    DONE = 7
    ABANDONED = 8
    """Nobody who could ask for it is left."""


class Feed(NamedTuple):
    """An input that is fed by another node."""

    parameter: str
    name: str
    feeder: NodeState
    output: int
    lazy: bool
    raw: bool


class NodeState:
    """What a run knows of one node.

    ``key``: its content address, None while unknown. ``never_same``: the key is good for
    this run only. ``storable``: the code of it and of all it is made from has a version, so
    that its key means the same in another process. ``uses``: how many nodes (and the caller)
    may still ask for its value.
    """

    __slots__ = (
        "asked",
        "cacheable",
        "calls",
        "display_id",
        "entry",
        "failure",
        "feeds",
        "holding",
        "id",
        "key",
        "keyed_waiters",
        "kind",
        "known",
        "literals",
        "never_same",
        "order",
        "original_feeds",
        "parent",
        "phase",
        "pinned",
        "queued",
        "saves_inside",
        "seconds",
        "storable",
        "twin",
        "uses",
        "waiters",
        "waiting",
        "wanted",
    )

    def __init__(self, node_id: str, kind: Kind, literals: dict[str, Any], parent: NodeState | None):
        self.id = node_id
        self.kind = kind
        self.literals = literals
        self.parent = parent
        self.display_id: str = parent.display_id if parent else node_id
        self.feeds: tuple[Feed, ...] = ()
        self.original_feeds: tuple[Feed, ...] | None = None
        self.order = 0
        self.key: str | None = None
        self.never_same = False
        self.storable = kind.type.version is not None
        self.failure: Exception | None = None
        self.phase = Phase.FRESH
        self.known = False
        self.wanted = False
        self.pinned = False
        self.queued = False
        self.holding = False
        self.uses = 0
        self.waiting = 0
        self.waiters: list[NodeState] = []
        self.keyed_waiters: list[NodeState] = []
        self.twin: NodeState | None = None
        self.entry: Entry | None = None
        self.asked: frozenset[str] = frozenset()
        self.calls: Any = None
        self.seconds = 0.0
        self.saves_inside = False
        self.cacheable = True

    def held(self) -> Iterator[NodeState]:
        """The nodes whose values this one may still ask for."""
        for feed in self.feeds:
            yield feed.feeder
        if self.twin is not None:
            yield self.twin
