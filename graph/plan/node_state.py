"""One node during one run: its state, and every transition of that state.

Other modules read the attributes and call the transitions; they assign nothing (a test holds this).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Final

from graph.cache.entry import Entry
from graph.plan.kind import Kind
from graph.results import NodeResult


class Phase(IntEnum):
    """How far a node has come. From ``DONE`` on, no node waits for it."""

    PLANNED = 0
    AWAITS_KEY = 1
    """Waits for the nodes that its key depends on."""
    AWAITS_TWIN = 2
    """Waits for a node that does the same work."""
    AWAITS_INPUTS = 3
    """Waits for the nodes that feed it."""
    READY = 4
    """Has its inputs and waits for its turn."""
    RUNNING = 5
    """Its function or its ``check_lazy`` has been called."""
    EXPANDED = 6
    """Waits for the nodes it expanded to."""
    DONE = 7
    UNNEEDED = 8
    """No node needs the result any more: every node that could ask for it has its own result."""


_NEXT: Final[tuple[frozenset[Phase], ...]] = (
    frozenset(
        (Phase.PLANNED, Phase.AWAITS_KEY, Phase.AWAITS_TWIN, Phase.AWAITS_INPUTS, Phase.DONE, Phase.UNNEEDED)
    ),  # PLANNED
    frozenset((Phase.AWAITS_KEY, Phase.PLANNED)),  # AWAITS_KEY
    frozenset((Phase.AWAITS_INPUTS, Phase.DONE)),  # AWAITS_TWIN
    frozenset((Phase.AWAITS_INPUTS, Phase.READY, Phase.PLANNED)),  # AWAITS_INPUTS; PLANNED: its key has changed
    frozenset((Phase.RUNNING, Phase.AWAITS_INPUTS)),  # READY; AWAITS_INPUTS: the cache has evicted one
    frozenset((Phase.AWAITS_INPUTS, Phase.EXPANDED, Phase.DONE)),  # RUNNING; AWAITS_INPUTS: lazy ones
    frozenset((Phase.DONE,)),  # EXPANDED
    frozenset((Phase.PLANNED,)),  # DONE
    frozenset((Phase.PLANNED,)),  # UNNEEDED
)
"""The phases that may follow each phase, in the order of :class:`Phase`."""


class IllegalTransition(RuntimeError):
    """The engine tried to move a node to a phase that cannot follow its current one."""


class InputLink:
    """A linked input of a node.

    ``source`` is the node that feeds it. Before that node is planned, only ``source_id`` is known.
    ``raw``: the node wants the link itself, not the value.
    """

    __slots__ = ("lazy", "name", "output", "parameter", "raw", "source", "source_id")

    def __init__(self, parameter: str, name: str, source_id: str, output: int, lazy: bool, raw: bool):
        self.parameter = parameter
        self.name = name
        self.source_id = source_id
        self.output = output
        self.lazy = lazy
        self.raw = raw
        self.source: NodeState


class NodeState:
    """The state of one node in a run. Class attributes are the values that a node starts with."""

    links: tuple[InputLink, ...] = ()
    own_links: tuple[InputLink, ...] | None = None
    """The node's own linked inputs, once ``links`` lead to the nodes that it expanded to."""
    order = 0

    key: str | None = None
    """The content address of the result; None while unknown."""
    identity: str | None = None
    """This node's contribution to downstream cache keys: its key (the content of files in place of their names) and,
    once it has expanded, also what it expanded to."""
    former_key: str | None = None
    """The key before the content of all files was known; None if it is the same or not needed."""
    former_identity: str | None = None
    """The identity before the content of all files was known; None if it is the same."""
    static_key: str | None = None
    """The key before any node expanded. Used for inputs whose value is not read."""
    has_expanded = False
    """This node or one of its ancestors expanded in this run, so ``identity`` has changed since planning."""
    never_same = False
    """The key is valid for this run only."""
    storable: bool
    """The code of this node and of all its ancestors has a version, so the key means the same in another process."""
    known = False
    """The cache has the result."""
    cacheable = True
    must_expand = False
    """Whether a node of its expansion saves or reads files, so that its result is not taken from the cache."""
    failure: BaseException | None = None
    """The error that its fingerprint raised."""

    phase = Phase.PLANNED
    wanted = False
    """A node or the caller waits for the result, not only for the key."""
    waiting = 0
    """How many other nodes this node waits for."""
    waiters: list[NodeState] | None = None
    key_waiters: list[NodeState] | None = None
    twin: NodeState | None = None
    """A node that does the same work first."""
    asked: frozenset[str] = frozenset()
    """The lazy inputs that ``check_lazy`` has asked for."""

    entry: Entry | None = None
    results: list[NodeResult] | None = None
    """The value of each call, while the node waits for its expansion."""
    seconds = 0.0
    """Seconds that the calls took, while the node waits for its expansion."""
    pinned = False
    """Whether the caller wants the value, so that it is kept to the end."""
    holding = False
    """The node is counted in the ``uses`` of its sources and its twin."""
    uses = 0
    """How many nodes (and the caller) may still ask for the value."""

    def __init__(
        self,
        node_id: str,
        kind: Kind,
        literals: dict[str, Any],
        links: Sequence[InputLink] = (),
        parent: NodeState | None = None,
        display_id: str | None = None,
    ):
        """Make the state of a node; the sources of ``links`` may be set later."""
        self.id = node_id
        self.links = tuple(links)
        self.kind = kind
        self.literals = literals
        self.parent = parent
        self.placed_id: str = node_id if parent is None else parent.placed_id
        """The id of :meth:`placed`; kept because every node of a long loop needs it."""
        self.display_id = self.placed_id if display_id is None else display_id
        """The node in the editor that shows this node's progress and output."""
        self.storable = kind.versioned

    def placed(self) -> NodeState:
        """Return the node that a person placed and that, by expanding, led to this one."""
        state = self
        while state.parent is not None:
            state = state.parent
        return state

    def reads(self, link: InputLink) -> bool:
        """Whether the node needs the link's value. It does not for raw links and for lazy inputs it did not ask for."""
        return not link.raw and (not link.lazy or link.name in self.asked)

    def held(self) -> list[NodeState]:
        """Return the nodes whose values this one may still ask for."""
        held = [link.source for link in self.links]
        if self.twin is not None:
            held.append(self.twin)
        return held

    # Planning.

    def set_order(self, order: int) -> None:
        """Set the priority among ready nodes: lower ones run first."""
        self.order = order

    def set_key(self, key: str, static_key: str | None, storable: bool, never_same: bool) -> None:
        """Set the key. ``static_key`` (None: ``key``) is stored the first time only."""
        self.key = self.identity = key
        self.former_key = self.former_identity = None
        self.storable = storable
        self.never_same = never_same
        if self.static_key is None:
            self.static_key = key if static_key is None else static_key

    def set_content_identity(self, identity: str) -> None:
        """Set an identity that differs from the key: it leaves out the names of files whose content is known."""
        if self.static_key == self.identity:
            self.static_key = identity
        self.identity = identity

    def set_former(self, key: str | None, identity: str) -> None:
        """Set the key and identity that the node had before the content of all files was known."""
        self.former_key = key
        self.former_identity = identity

    def key_has_changed(self) -> None:
        """Record that the key was computed again because a source has expanded."""
        self.has_expanded = True

    def refine_identity(self, identity: str, *, storable: bool, never_same: bool) -> None:
        """Make the node's expansion part of its identity."""
        self.identity = identity
        self.former_identity = None
        self.storable = storable
        self.never_same = never_same
        self.has_expanded = True

    def fingerprint_failed(self, error: BaseException) -> None:
        """Keep ``error``, to be raised when the node runs."""
        self.failure = error

    # The cache.

    def mark_known(self) -> None:
        """Record that the cache has the result."""
        self.known = True

    def mark_evicted(self) -> None:
        """Record that the cache has lost the result."""
        self.known = False

    def restore_identity(self, identity: str, storable: bool) -> None:
        """Set the identity that a cached result of an expansion was stored with."""
        self.identity, self.storable = identity, storable
        self.former_identity = None

    def set_entry(self, entry: Entry | None) -> None:
        """Set the result, or drop it."""
        self.entry = entry

    def forbid_caching(self) -> None:
        """Keep the result out of the cache."""
        self.cacheable = False

    def always_expand(self) -> None:
        """Never take the results of this node and of the nodes whose expansion it is part of from the cache."""
        ancestor: NodeState | None = self
        while ancestor is not None and not ancestor.must_expand:
            ancestor.must_expand = True
            ancestor.cacheable = False
            ancestor = ancestor.parent

    # Twins.

    def set_twin(self, twin: NodeState) -> None:
        """Take the result of ``twin``, which does the same work, instead of running."""
        self.twin = twin
        if self.holding:
            twin.uses += 1

    def drop_twin(self) -> None:
        """Run after all: the twin's result cannot be shared."""
        if self.holding and self.twin is not None:
            self.twin.uses -= 1
        self.twin = None

    def copy_identity(self, twin: NodeState) -> None:
        """Take over the identity of ``twin``, whose result this node shares."""
        self.identity, self.storable, self.never_same = twin.identity, twin.storable, twin.never_same
        self.has_expanded = twin.has_expanded

    # Uses.

    def retain(self) -> None:
        """Count one more node that may ask for the value."""
        self.uses += 1

    def pin(self) -> None:
        """Mark the node as wanted and keep its value to the end of the run, for the caller."""
        self.uses += 1
        self.pinned = self.wanted = True
        if self.phase is Phase.UNNEEDED:
            self._enter(Phase.PLANNED)

    def hold(self) -> Sequence[NodeState]:
        """Count this node among the nodes that may ask for its sources' values.

        Returns the sources that must hold their own sources, too: they have not begun and may have to run.
        """
        if self.holding:
            return ()
        self.holding = True
        ahead = []
        sources = [link.source for link in self.links] if self.twin is None else self.held()
        for source in sources:
            source.uses += 1
            if source.phase is Phase.UNNEEDED:
                source._enter(Phase.PLANNED)
            if source.phase is Phase.PLANNED and not source.known and not source.holding:
                ahead.append(source)
        return ahead

    def release(self) -> Sequence[NodeState]:
        """Undo :meth:`hold`. Drops the values of sources that no node can ask for any more.

        Returns the sources that are unneeded now; they must release their own sources, too.
        """
        if not self.holding:
            return ()
        self.holding = False
        unneeded = []
        sources = [link.source for link in self.links] if self.twin is None else self.held()
        for source in sources:
            source.uses -= 1
            if source.uses:
                continue
            if source.phase is Phase.DONE:
                source.entry = None
            elif source.phase is Phase.PLANNED and not source.wanted:
                source._enter(Phase.UNNEEDED)
                unneeded.append(source)
        return unneeded

    # Waiting.

    def plan_again(self) -> None:
        """Plan the node again if it was unneeded."""
        if self.phase is Phase.UNNEEDED:
            self._enter(Phase.PLANNED)

    def await_result(self, waiter: NodeState) -> None:
        """Mark the node as wanted, and wake ``waiter`` when it is done."""
        self.wanted = True
        if self.phase is Phase.UNNEEDED:
            self._enter(Phase.PLANNED)
        if self.waiters is None:
            self.waiters = [waiter]
        else:
            self.waiters.append(waiter)

    def await_key(self, waiter: NodeState) -> None:
        """Wake ``waiter`` when this node has its key."""
        if self.key_waiters is None:
            self.key_waiters = [waiter]
        else:
            self.key_waiters.append(waiter)

    def take_key_waiters(self) -> Sequence[NodeState]:
        """Remove the nodes that wait for the key, which is set now. Returns the ones with nothing left to wait for."""
        waiters, self.key_waiters = self.key_waiters, None
        return _arrived_at(waiters)

    def wait_for_key(self, count: int) -> None:
        """Wait for ``count`` nodes that the key depends on."""
        self._enter(Phase.AWAITS_KEY)
        self.waiting = count

    def key_is_set(self) -> None:
        """Continue after :meth:`wait_for_key`."""
        self._enter(Phase.PLANNED)

    def wait_for_twin(self) -> None:
        """Wait for the twin's result."""
        self._enter(Phase.AWAITS_TWIN)

    def wait_for_inputs(self, count: int) -> None:
        """Wait for ``count`` nodes that feed this one."""
        if Phase.AWAITS_INPUTS not in _NEXT[self.phase]:
            raise self._illegal(Phase.AWAITS_INPUTS)
        self.phase = Phase.AWAITS_INPUTS
        self.waiting = count

    def wait(self, count: int) -> None:
        """Wait for ``count`` nodes in the current phase."""
        self.waiting = count

    # Running.

    def inputs_arrived(self) -> None:
        """Record that the inputs are there; the node now waits for its turn."""
        if Phase.READY not in _NEXT[self.phase]:
            raise self._illegal(Phase.READY)
        self.phase = Phase.READY

    def look_up_again(self) -> None:
        """Return to the phase in which the result is looked up, because the key has changed."""
        self._enter(Phase.PLANNED)

    def start(self) -> None:
        """Record that the node's function or its ``check_lazy`` is being called."""
        if Phase.RUNNING not in _NEXT[self.phase]:
            raise self._illegal(Phase.RUNNING)
        self.phase = Phase.RUNNING

    def ask_for(self, names: Iterable[str]) -> None:
        """Add lazy inputs that ``check_lazy`` asks for."""
        self.asked = self.asked.union(names)

    def expand(self, links: tuple[InputLink, ...], results: list[NodeResult], seconds: float) -> None:
        """Wait for the nodes that this node expanded to. ``links`` lead to the nodes that make up its result.

        The caller must first release the node's own inputs and add the node to the users of the sources of ``links``.
        ``seconds`` is the time that the node's own calls took.
        """
        self.own_links, self.links = self.links, links
        self.holding = True
        if self.twin is not None:
            self.twin.uses += 1
        self.results = results
        self.seconds = seconds
        self._enter(Phase.EXPANDED)

    def take_results(self) -> list[NodeResult]:
        """Return the results of the calls before the node expanded, and drop them."""
        results, self.results = self.results or [], None
        return results

    def finish(self, entry: Entry | None) -> Sequence[NodeState]:
        """Record that the result is there. Returns the nodes with nothing left to wait for.

        ``entry`` is None if the cache has the result and it has not been loaded.
        """
        if Phase.DONE not in _NEXT[self.phase]:
            raise self._illegal(Phase.DONE)
        self.phase = Phase.DONE
        self.entry = entry
        waiters, self.waiters = self.waiters, None
        return _arrived_at(waiters)

    def restart(self) -> None:
        """Plan a finished node again, because its result was dropped or evicted and is needed after all."""
        self._enter(Phase.PLANNED)
        self.asked = frozenset()
        self.known = False

    def restore_links(self) -> None:
        """Link to the node's own inputs again instead of the nodes it expanded to."""
        if self.own_links is not None:
            self.links, self.own_links = self.own_links, None

    def _enter(self, phase: Phase) -> None:
        """Change the phase. Frequent transitions set it directly, since a call costs as much as the check."""
        if phase not in _NEXT[self.phase]:
            raise self._illegal(phase)
        self.phase = phase

    def _illegal(self, phase: Phase) -> IllegalTransition:
        return IllegalTransition(f"node {self.id} ({self.kind.name}): {phase.name} cannot follow {self.phase.name}")


def _arrived_at(waiters: list[NodeState] | None) -> Sequence[NodeState]:
    """Tell ``waiters`` that one node they wait for is done. Returns the ones with nothing left to wait for."""
    if waiters is None:
        return ()
    complete = []
    for waiter in waiters:
        waiter.waiting -= 1
        if not waiter.waiting:
            complete.append(waiter)
    return complete
