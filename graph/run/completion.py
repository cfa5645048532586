"""Completes a node after its call: stores its result, or plans the nodes that run in its place.

This module calls no node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from graph.cache.entry import Entry, files_named_in
from graph.cache.result_cache import ResultCache
from graph.errors import MissingValueError, WorkflowError
from graph.folders import Folders
from graph.plan.keys import Keys
from graph.plan.lists import elements_of, merge_ui, read_result
from graph.plan.node_state import InputLink, NodeState
from graph.plan.plan import Plan, node_error
from graph.results import Blocked, NodeResult
from graph.run.emitter import EventEmitter
from graph.run.expansion import Expansion, expansion_prefix
from graph.run.schedule import Schedule
from graph.run.value_check import ValueCheck
from graph.workflow import Link

BLOCKED: Final = Blocked()
"""The result of a call with a blocked input, whose message has already been reported."""


class Completion:
    """Keeps the results of one run's nodes, reports them, and wakes the nodes that wait for them."""

    def __init__(
        self,
        plan: Plan,
        schedule: Schedule,
        keys: Keys | None,
        cache: ResultCache,
        check: ValueCheck | None,
        folders: Folders | None,
        emitter: EventEmitter,
    ):
        self._plan = plan
        self._schedule = schedule
        self._keys = keys
        self._cache = cache
        self._check = check
        self._folders = folders
        self._emitter = emitter

    def report_blocked(self, state: NodeState, calls: Sequence[dict[str, Any] | Blocked]) -> bool:
        """Report blocked calls. Returns True if every call was blocked; ``state`` is then complete.

        Raises NodeError, caused by MissingValueError, for a blocker that ``fails``.
        """
        blockers = [call for call in calls if type(call) is Blocked]
        for blocker in blockers:
            if blocker.fails:
                raise node_error(state, MissingValueError(blocker.message or "an input has no value"))
        for message in dict.fromkeys(blocker.message for blocker in blockers):
            if message is not None:
                state.forbid_caching()
                self._emitter.node_blocked(state, message)
        if len(blockers) < len(calls):
            return False
        state.forbid_caching()
        entry = Entry(((BLOCKED,) * len(calls),) * len(state.kind.output_is_list))
        if self._check is not None:
            self._check.record(entry)
        self._schedule.finish(state, entry)
        return True

    def take(self, state: NodeState, returned: Sequence[Any], seconds: float) -> None:
        """Complete ``state`` with what each call returned: a value, a NodeResult, or BLOCKED.

        ``seconds`` is the time that all calls took together. Raises NodeError if the values are not what the node
        declares, or if it expands to a graph that cannot run.
        """
        if self._check is not None:
            self._check.after(state)
        try:
            results = []
            expands = False
            for value in returned:
                result = read_result(state.kind, value)
                results.append(result)
                expands = expands or result.expand is not None
            if expands:
                self._expand(state, results, seconds)
            else:
                self._complete(state, results, seconds)
        except (TypeError, WorkflowError) as error:
            raise node_error(state, error) from error

    def resume(self, state: NodeState) -> None:
        """Complete ``state``, which expanded, from the results of its expansion."""
        missing = [link for link in state.links if self._schedule.entry(link.source) is None]
        if missing:
            self._schedule.wait_for(state, missing)
            return
        results = state.take_results()
        if self._keys is not None:
            self._keys.refine(state)
        try:
            self._complete(state, results, state.seconds)
        except TypeError as error:
            raise node_error(state, error) from error

    def _expand(self, state: NodeState, results: list[NodeResult], seconds: float) -> None:
        """Plan the nodes that ``state`` expanded to, and link its result to theirs."""
        roots: list[str] = []
        linked: list[Link] = []
        for index, result in enumerate(results):
            if result.expand is None:
                continue
            expansion = Expansion(result.expand, expansion_prefix(state.id, state.placed_id, index))
            self._plan.expand(state, expansion.nodes, expansion.shown_as)
            values = [expansion.link(value) or value for value in result.values]
            results[index] = NodeResult(*values, ui=result.ui, expand=result.expand)
            linked += [value for value in values if type(value) is Link]
            roots += self._plan.output_nodes(expansion.nodes)
        new = self._plan.add([*roots, *(link.node for link in linked)])
        if any(inner.kind.type.output_node or inner.kind.fingerprint or inner.never_same for inner in new):
            # Only those nodes can say whether the result is still valid.
            state.always_expand()
        links = tuple(self._input_link(link) for link in linked)
        # The nodes it expanded to hold the inputs they need before it releases them.
        for root in roots:
            self._schedule.pin(self._plan.states[root])
        for link in links:
            link.source.retain()
            if not link.source.known:
                self._plan.hold(link.source)
        self._plan.release(state)
        state.expand(links, results, seconds)
        if not self._schedule.wait_for(state, links):
            self._schedule.queue(state)

    def _input_link(self, link: Link) -> InputLink:
        found = InputLink("", "", link.node, link.output, lazy=False, raw=False)
        found.source = self._plan.states[link.node]
        outputs = len(found.source.kind.output_is_list)
        if not 0 <= link.output < outputs:
            raise WorkflowError(f"the expansion links to output {link.output} of {link.node}, which has {outputs}")
        return found

    def _complete(self, state: NodeState, results: list[NodeResult], seconds: float) -> None:
        """Keep and report the result of ``state``, and wake the nodes that wait for it."""
        kind = state.kind
        if len(results) == 1 and results[0].expand is None and True not in kind.output_is_list:
            (result,) = results
            outputs = tuple([(value,) for value in result.values])
            ui = None if result.ui is None else merge_ui([result.ui])
        else:
            outputs = tuple(self._merged(state, results, index) for index in range(len(kind.output_is_list)))
            ui = merge_ui([result.ui for result in results if result.ui is not None])
        entry = Entry(outputs, ui)
        if self._check is not None:
            self._check.record(entry)
        if ui is not None:
            files = files_named_in(ui, self._folders)
            entry.files = files or ()
            if files is None:
                state.forbid_caching()
        if state.cacheable and state.key is not None and not state.never_same:
            # The key of a node that expanded does not cover the versions of the nodes it expanded to,
            # so its result stays in this process.
            has_expanded = state.own_links is not None
            if has_expanded and state.identity is not None:
                entry.expanded = (state.identity, state.storable)
            storable = state.storable and not has_expanded
            self._cache.put(state.key, entry, seconds, storable, kind.type.output_node, kind.shareable)
        if ui is not None:
            self._emitter.node_output(state, ui)
        self._emitter.node_finished(state, seconds)
        self._schedule.finish(state, entry)

    def _merged(self, state: NodeState, results: list[NodeResult], index: int) -> tuple[Any, ...]:
        elements: list[Any] = []
        output = state.kind.type.outputs[index]
        for result in results:
            value = result.values[index]
            if result.expand is not None and type(value) is Link:
                entry = self._plan.states[value.node].entry
                assert entry is not None
                elements += entry.outputs[value.output]
            else:
                elements += elements_of(value, output.is_list, output.name)
        return tuple(elements)
