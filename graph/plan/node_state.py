"""One node during one run."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from graph.cache.entry import Entry
from graph.plan.feed import Feed
from graph.plan.kind import Kind
from graph.results import NodeResult


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


class NodeState:
    """What a run knows of one node. What is the same for most nodes is said on the class."""

    feeds: tuple[Feed, ...] = ()
    original_feeds: tuple[Feed, ...] | None = None
    """What fed the node itself, once ``feeds`` are the nodes that it expanded to."""
    order = 0

    key: str | None = None
    """The content address of the result; None while unknown."""
    identity: str | None = None
    """What enters the keys of those it feeds: the key or, once it has expanded, also what it
    expanded to."""
    static_key: str | None = None
    """The key as it is before anything has expanded. Stands for nodes whose value is not read."""
    has_expanded = False
    """It, or something it is made from, expanded in this run; so ``identity`` is not what it was
    when the run was planned."""
    never_same = False
    """The key is good for this run only."""
    storable: bool
    """The code of the node and of all that it is made from has a version: the key means the
    same in another process."""
    known = False
    """The cache has the result."""
    cacheable = True
    must_expand = False
    """What the node expanded to saves, or reads files: its result is not answered from the cache."""
    failure: BaseException | None = None
    """What its fingerprint raised."""

    phase = Phase.FRESH
    wanted = False
    """Somebody waits for the result, not for the key alone."""
    queued = False
    waiting = 0
    """How many others the node waits for."""
    waiters: list[NodeState] | None = None
    keyed_waiters: list[NodeState] | None = None
    twin: NodeState | None = None
    """A node that does the same work, and does it first."""
    asked: frozenset[str] = frozenset()
    """The lazy inputs that ``check_lazy`` has asked for."""

    entry: Entry | None = None
    results: list[NodeResult] | None = None
    """What each call returned, while the node waits for what it expanded to."""
    seconds = 0.0
    pinned = False
    """The caller wants the value: it is kept to the end."""
    holding = False
    """The node is counted in its feeders' ``uses``."""
    uses = 0
    """How many nodes, and the caller, may still ask for the value."""

    def __init__(
        self,
        node_id: str,
        kind: Kind,
        literals: dict[str, Any],
        parent: NodeState | None,
        display_id: str | None = None,
    ):
        self.id = node_id
        self.kind = kind
        self.literals = literals
        self.parent = parent
        self.placed_id: str = node_id if parent is None else parent.placed_id
        """The id of :meth:`placed`, which every node of a long loop asks for."""
        self.display_id = self.placed_id if display_id is None else display_id
        """The node that shows in the editor what this one does."""
        self.storable = kind.versioned

    def placed(self) -> NodeState:
        """The node that a person placed and that, by expanding, led to this one."""
        state = self
        while state.parent is not None:
            state = state.parent
        return state

    def reads(self, feed: Feed) -> bool:
        """Whether the value is needed: not for raw links, nor for lazy inputs nobody asked for."""
        return not feed.raw and (not feed.lazy or feed.name in self.asked)

    def held(self) -> Iterator[NodeState]:
        """The nodes whose values this one may still ask for."""
        for feed in self.feeds:
            yield feed.feeder
        if self.twin is not None:
            yield self.twin

    def await_result(self, waiter: NodeState) -> None:
        """``waiter`` goes on when this node is done."""
        if self.waiters is None:
            self.waiters = [waiter]
        else:
            self.waiters.append(waiter)

    def await_key(self, waiter: NodeState) -> None:
        """``waiter`` goes on when this node has its key."""
        if self.keyed_waiters is None:
            self.keyed_waiters = [waiter]
        else:
            self.keyed_waiters.append(waiter)
