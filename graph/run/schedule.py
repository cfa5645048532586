"""What waits for what: from the nodes that are asked for to those that can run now.

Nodes are moved from phase to phase by a list of those to look at again; nothing recurses. No
node is called here.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from graph.cache.entry import Entry
from graph.cache.result_cache import ResultCache
from graph.errors import WorkflowError
from graph.plan.feed import Feed
from graph.plan.keys import Keys
from graph.plan.node_state import NodeState, Phase
from graph.plan.plan import Plan, node_error
from graph.run.announcer import Announcer
from graph.run.value_check import ValueCheck


class Lost(Exception):
    """A result that was in the cache a moment ago is not any more."""


class Schedule:
    """The nodes of one run that are wanted. Known output nodes say what they have to show."""

    def __init__(
        self,
        plan: Plan,
        keys: Keys | None,
        cache: ResultCache,
        check: ValueCheck | None,
        say: Announcer,
    ):
        self.plan = plan
        self._keys = keys
        self._cache = cache
        self._check = check
        self._say = say
        self._pinned: list[NodeState] = []
        self._steps: list[NodeState] = []
        self._ready: list[tuple[bool, int, str, NodeState]] = []

    def advance(self) -> None:
        """Move every node on as far as it goes without running any."""
        steps = self._steps
        while steps:
            state = steps.pop()
            state.queued = False
            self._step(state)

    def pop(self) -> NodeState | None:
        """A node to run, or in phase EXPANDED one whose expansion has run; None if there is none.

        Asynchronous ones come first: they only have to be started.
        """
        return heapq.heappop(self._ready)[3] if self._ready else None

    def pin(self, state: NodeState) -> None:
        """Have ``state`` run, and keep its value to the end."""
        state.uses += 1
        state.pinned = True
        self._pinned.append(state)
        if not state.known:
            self.plan.hold(state)
        self._demand(state)

    def refuse_deadlock(self) -> None:
        """Raise NodeError if something that was asked for is still waiting."""
        if all(state.phase is Phase.DONE for state in self._pinned):
            return
        for state in self.plan.states.values():
            if Phase.FRESH < state.phase < Phase.DONE:
                waits = "the node waits for its own result: an expansion links back into what it is part of"
                raise node_error(state, WorkflowError(waits))

    def queue(self, state: NodeState) -> None:
        """Have a look at ``state`` at the next :meth:`advance`."""
        if not state.queued:
            state.queued = True
            self._steps.append(state)

    def _demand(self, state: NodeState) -> None:
        """Somebody waits for the result of ``state``."""
        if state.phase is Phase.DONE:
            if state.entry is not None:
                return
            self._revive(state)
        elif state.phase is Phase.ABANDONED:
            state.phase = Phase.FRESH
        state.wanted = True
        if state.phase is Phase.FRESH:
            self.queue(state)

    def _revive(self, state: NodeState) -> None:
        """A result that was let go, or was lost from the cache, is needed after all."""
        state.phase = Phase.FRESH
        state.asked = frozenset()
        state.known = state.key is not None and not state.never_same and self._cache.has(state)
        if state.original_feeds is not None:
            self.plan.release(state)
            state.feeds, state.original_feeds = state.original_feeds, None

    def _step(self, state: NodeState) -> None:
        """Move ``state`` on as far as it goes without running it."""
        if state.waiting:
            return
        if state.phase <= Phase.KEYING:
            if self._keys is not None and state.key is None and not self._make_key(state):
                return
            state.phase = Phase.FRESH
            if state.wanted:
                self._seek(state)
        elif state.phase is Phase.TWIN:
            self._take_from_twin(state)
        elif state.phase is Phase.INPUTS:
            self._make_ready(state)
        elif state.phase is Phase.EXPANDED:
            self._push(state, urgent=True)

    def _make_key(self, state: NodeState) -> bool:
        """Give ``state`` its key, or wait for what that takes; false if it waits."""
        assert self._keys is not None
        self.plan.hold(state)
        waiting = 0
        for feed in state.feeds:
            if feed.feeder.key is None:
                feed.feeder.await_key(state)
                if feed.feeder.phase in (Phase.FRESH, Phase.ABANDONED):
                    feed.feeder.phase = Phase.FRESH
                    self.queue(feed.feeder)
                waiting += 1
        waiting += self.wait_for(state, self._keys.needs(state))
        if waiting:
            state.phase = Phase.KEYING
            state.waiting = waiting
            return False
        try:
            self._keys.seal(state, self.elements)
        except Lost:
            state.phase = Phase.KEYING
            state.waiting = self.wait_for(state, self._keys.needs(state))
            return False
        self.plan.look_up(state)
        if state.twin is not None:
            state.twin.uses += 1
        waiters, state.keyed_waiters = state.keyed_waiters, None
        self._notify(waiters)
        return True

    def _seek(self, state: NodeState) -> None:
        """Find the result of ``state``, which somebody waits for, or what it takes to make it."""
        if state.known and self._take_known(state):
            return
        if state.twin is not None:
            self._wait_for_twin(state)
        else:
            self.ask_inputs(state)

    def _take_known(self, state: NodeState) -> bool:
        if state.pinned or state.kind.type.output_node:
            entry = self.entry(state)
            if entry is None:
                return False
            if entry.ui is not None:
                self._say.shown(state, entry.ui, cached=True)
        self.finish(state)
        return True

    def _wait_for_twin(self, state: NodeState) -> None:
        twin = state.twin
        assert twin is not None
        state.phase = Phase.TWIN
        if twin.phase is Phase.DONE and self.entry(twin) is not None:
            self._take_from_twin(state)
            return
        twin.await_result(state)
        state.waiting = 1
        self.plan.hold(twin)
        self._demand(twin)

    def _take_from_twin(self, state: NodeState) -> None:
        twin = state.twin
        assert twin is not None
        entry = self.entry(twin)
        if entry is None or not twin.cacheable:
            if state.holding:
                twin.uses -= 1
            state.twin = None
            self.ask_inputs(state)
            return
        state.entry = entry
        state.identity, state.storable, state.never_same = twin.identity, twin.storable, twin.never_same
        state.has_expanded = twin.has_expanded
        if entry.ui is not None:
            self._say.shown(state, entry.ui, cached=True)
        self.finish(state)

    def ask_inputs(self, state: NodeState) -> None:
        """Wait for the inputs that are needed, or be ready if they are there."""
        self.plan.hold(state)
        state.phase = Phase.INPUTS
        state.waiting = self.wait_for(state, [feed for feed in state.feeds if state.reads(feed)])
        if not state.waiting:
            self._make_ready(state)

    def wait_for(self, state: NodeState, feeds: Sequence[Feed]) -> int:
        """Demand what is not there yet; returns how much that is."""
        waiting = 0
        for feed in feeds:
            feeder = feed.feeder
            if feeder.phase is Phase.DONE and (feeder.entry is not None or feeder.known):
                continue
            feeder.await_result(state)
            self._demand(feeder)
            waiting += 1
        return waiting

    def _make_ready(self, state: NodeState) -> None:
        if self._keys is not None and self._is_found_after_all(state):
            return
        state.phase = Phase.READY
        self._push(state, urgent=state.kind.type.is_async)

    def _is_found_after_all(self, state: NodeState) -> bool:
        """Whether ``state`` needs not run, now that the nodes that feed it have expanded: its key
        was made before it was known to what."""
        assert self._keys is not None
        for feed in state.feeds:
            feeder = feed.feeder
            if (feeder.has_expanded or feeder.identity is not feeder.static_key) and state.reads(feed):
                break
        else:
            return False
        try:
            self._keys.seal(state, self.elements)
        except Lost:
            self.ask_inputs(state)
            return True
        state.has_expanded = True
        self.plan.look_up(state)
        if state.twin is not None:
            state.twin.uses += 1
        if not state.known and state.twin is None:
            return False
        state.phase = Phase.FRESH
        self._seek(state)
        return True

    def _push(self, state: NodeState, urgent: bool) -> None:
        heapq.heappush(self._ready, (not urgent, state.order, state.id, state))

    def _notify(self, waiters: list[NodeState] | None) -> None:
        for waiter in waiters or ():
            waiter.waiting -= 1
            if not waiter.waiting:
                self.queue(waiter)

    def finish(self, state: NodeState) -> None:
        """``state`` has its result: who waits goes on, what only it could ask for is let go."""
        state.phase = Phase.DONE
        waiters, state.waiters = state.waiters, None
        self._notify(waiters)
        self.plan.release(state)
        if not state.uses:
            state.entry = None

    def entry(self, state: NodeState) -> Entry | None:
        """The result of ``state``, from the cache if need be; None if the cache has lost it."""
        if state.entry is None and state.known:
            state.entry = self._cache.get(state)
            if state.entry is None:
                state.known = False
            elif self._check is not None:
                self._check.seal(state.entry)
        return state.entry

    def elements(self, feed: Feed) -> tuple[Any, ...]:
        """The elements of a linked input. Raises Lost if they are in the cache no more."""
        entry = self.entry(feed.feeder)
        if entry is None:
            raise Lost(feed)
        return entry.outputs[feed.output]

    def gather(self, state: NodeState) -> dict[str, tuple[Any, ...]]:
        """Every input as a tuple of elements; lazy ones that were not asked for are left out.

        Raises Lost if one is in the cache no more: then ask for the inputs again.
        """
        inputs: dict[str, tuple[Any, ...]] = {name: (value,) for name, value in state.literals.items()}
        asked = state.asked
        for feed in state.feeds:
            if feed.raw:
                inputs[feed.parameter] = ([feed.feeder.id, feed.output],)
            elif not feed.lazy or feed.name in asked:
                entry = feed.feeder.entry
                inputs[feed.parameter] = entry.outputs[feed.output] if entry is not None else self.elements(feed)
        return inputs
