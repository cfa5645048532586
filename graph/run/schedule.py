"""Schedules the wanted nodes: requests the results they need, down to the nodes that can run now.

Nodes move from phase to phase through a queue of nodes to check again, so there is no recursion. This module calls
no node.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from graph.cache.entry import Entry
from graph.cache.result_cache import ResultCache
from graph.errors import WorkflowError
from graph.plan.keys import Keys
from graph.plan.node_state import InputLink, NodeState, Phase
from graph.plan.plan import Plan, node_error
from graph.run.emitter import EventEmitter
from graph.run.value_check import ValueCheck


class ResultEvicted(Exception):
    """The cache has evicted a result that it had a moment ago."""


class Schedule:
    """The wanted nodes of one run. Output nodes with a cached result show it."""

    def __init__(
        self,
        plan: Plan,
        keys: Keys | None,
        cache: ResultCache,
        check: ValueCheck | None,
        emitter: EventEmitter,
    ):
        self.plan = plan
        self._keys = keys
        self._cache = cache
        self._check = check
        self._emitter = emitter
        self._pinned: list[NodeState] = []
        self._queue: list[NodeState] = []
        self._queued: set[NodeState] = set()
        self._ready: list[tuple[bool, int, str, NodeState]] = []

    def advance(self) -> None:
        """Move every queued node as far as it goes without running any."""
        queue, queued = self._queue, self._queued
        while queue:
            state = queue.pop()
            queued.discard(state)
            self._step(state)

    def pop(self) -> NodeState | None:
        """Return a node to run, or one in phase EXPANDED whose expansion has run; None if there is none.

        Asynchronous ones come first: they only have to be started.
        """
        return heapq.heappop(self._ready)[3] if self._ready else None

    def pin(self, state: NodeState) -> None:
        """Request the result of ``state``, and keep its value to the end of the run."""
        state.pin()
        self._pinned.append(state)
        if not state.known:
            self.plan.hold(state)
        self._request_result(state)

    def refuse_deadlock(self) -> None:
        """Raise NodeError if a node that was asked for is still waiting."""
        if all(state.phase is Phase.DONE for state in self._pinned):
            return
        for state in self.plan.states.values():
            if Phase.PLANNED < state.phase < Phase.DONE:
                waits = "the node waits for its own result: an expansion links back to the node that it replaces"
                raise node_error(state, WorkflowError(waits))

    def queue(self, state: NodeState) -> None:
        """Check ``state`` again at the next :meth:`advance`."""
        if state not in self._queued:
            self._queued.add(state)
            self._queue.append(state)

    def _request_result(self, state: NodeState) -> None:
        """Request the result of ``state``, which is wanted, if it is not there."""
        if state.phase is Phase.DONE:
            if state.entry is not None:
                return
            self._restart(state)
        if state.phase is Phase.PLANNED:
            self.queue(state)

    def _restart(self, state: NodeState) -> None:
        """Compute a result again that was dropped or evicted from the cache."""
        state.restart()
        self.plan.find_result(state)
        if state.own_links is not None:
            self.plan.release(state)
            state.restore_links()

    def _step(self, state: NodeState) -> None:
        """Move ``state`` as far as it goes without running it."""
        if state.waiting:
            return
        if state.phase <= Phase.AWAITS_KEY:
            if self._keys is not None and state.key is None and not self._make_key(state):
                return
            if state.phase is not Phase.PLANNED:
                state.key_is_set()
            if state.wanted:
                self._find_or_request(state)
        elif state.phase is Phase.AWAITS_TWIN:
            self._take_from_twin(state)
        elif state.phase is Phase.AWAITS_INPUTS:
            self._make_ready(state)
        elif state.phase is Phase.EXPANDED:
            self._push(state, urgent=True)

    def _make_key(self, state: NodeState) -> bool:
        """Give ``state`` its key. Returns False if it must wait for other nodes first."""
        assert self._keys is not None
        self.plan.hold(state)
        waiting = 0
        for link in state.links:
            source = link.source
            if source.key is None:
                source.await_key(state)
                source.plan_again()
                if source.phase is Phase.PLANNED:
                    self.queue(source)
                waiting += 1
        waiting += self._request(state, self._keys.needs(state))
        if waiting:
            state.wait_for_key(waiting)
            return False
        try:
            self._keys.assign_key(state, self.elements)
        except ResultEvicted:
            state.wait_for_key(self._request(state, self._keys.needs(state)))
            return False
        self.plan.look_up(state)
        for waiter in state.take_key_waiters():
            self.queue(waiter)
        return True

    def _find_or_request(self, state: NodeState) -> None:
        """Find the result of ``state``, which is wanted, or request the inputs to compute it."""
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
                self._emitter.node_output(state, entry.ui, cached=True)
        self.finish(state, state.entry)
        return True

    def _wait_for_twin(self, state: NodeState) -> None:
        twin = state.twin
        assert twin is not None
        state.wait_for_twin()
        if twin.phase is Phase.DONE and self.entry(twin) is not None:
            self._take_from_twin(state)
            return
        twin.await_result(state)
        state.wait(1)
        self.plan.hold(twin)
        self._request_result(twin)

    def _take_from_twin(self, state: NodeState) -> None:
        twin = state.twin
        assert twin is not None
        entry = self.entry(twin)
        if entry is None or not twin.cacheable:
            state.drop_twin()
            self.ask_inputs(state)
            return
        state.copy_identity(twin)
        if entry.ui is not None:
            self._emitter.node_output(state, entry.ui, cached=True)
        self.finish(state, entry)

    def ask_inputs(self, state: NodeState) -> None:
        """Request the needed inputs; the node is ready if all of them are there."""
        if not state.holding:
            self.plan.hold(state)
        missing = self._request(state, [link for link in state.links if state.reads(link)])
        state.wait_for_inputs(missing)
        if not missing:
            self._make_ready(state)

    def wait_for(self, state: NodeState, links: Sequence[InputLink]) -> int:
        """Request missing inputs and wait for them; returns how many."""
        missing = self._request(state, links)
        state.wait(missing)
        return missing

    def _request(self, state: NodeState, links: Sequence[InputLink]) -> int:
        """Request missing inputs; returns how many."""
        missing = 0
        for link in links:
            source = link.source
            if source.phase is Phase.DONE and (source.entry is not None or source.known):
                continue
            source.await_result(state)
            self._request_result(source)
            missing += 1
        return missing

    def _make_ready(self, state: NodeState) -> None:
        if self._keys is not None and self._is_found_after_all(state):
            return
        state.inputs_arrived()
        self._push(state, urgent=state.kind.type.is_async)

    def _is_found_after_all(self, state: NodeState) -> bool:
        """Whether the cache has the result of ``state`` after all, now that its sources have expanded.

        Its first key was computed before the sources' expansions were known.
        """
        assert self._keys is not None
        for link in state.links:
            source = link.source
            if (source.has_expanded or source.identity is not source.static_key) and state.reads(link):
                break
        else:
            return False
        try:
            self._keys.assign_key(state, self.elements)
        except ResultEvicted:
            self.ask_inputs(state)
            return True
        state.key_has_changed()
        self.plan.look_up(state)
        if not state.known and state.twin is None:
            return False
        state.look_up_again()
        self._find_or_request(state)
        return True

    def _push(self, state: NodeState, urgent: bool) -> None:
        heapq.heappush(self._ready, (not urgent, state.order, state.id, state))

    def finish(self, state: NodeState, entry: Entry | None) -> None:
        """Wake the nodes waiting for ``state`` and release inputs that no other node needs.

        ``entry`` is its result, or None if the result is in the cache and has not been loaded.
        """
        for waiter in state.finish(entry):
            self.queue(waiter)
        for source in state.release():
            self.plan.release(source)
        if not state.uses:
            state.set_entry(None)

    def entry(self, state: NodeState) -> Entry | None:
        """Return the result of ``state``, from the cache if necessary; None if the cache has evicted it."""
        if state.entry is None and state.known:
            assert state.key is not None
            state.set_entry(self._cache.get(state.key, state.storable, state.kind.shareable))
            if state.entry is None:
                state.mark_evicted()
            elif self._check is not None:
                self._check.record(state.entry)
        return state.entry

    def elements(self, link: InputLink) -> tuple[Any, ...]:
        """Return the elements of a linked input. Raises ResultEvicted if the cache no longer has them."""
        entry = self.entry(link.source)
        if entry is None:
            raise ResultEvicted
        return entry.outputs[link.output]

    def gather(self, state: NodeState) -> dict[str, tuple[Any, ...]]:
        """Return every input as a tuple of elements, without the lazy inputs that the node did not ask for.

        Raises ResultEvicted if the cache no longer has one; the caller then requests the inputs again.
        """
        inputs: dict[str, tuple[Any, ...]] = {name: (value,) for name, value in state.literals.items()}
        asked = state.asked
        for link in state.links:
            if link.raw:
                inputs[link.parameter] = ([link.source.id, link.output],)
            elif not link.lazy or link.name in asked:
                entry = link.source.entry
                inputs[link.parameter] = entry.outputs[link.output] if entry is not None else self.elements(link)
        return inputs
