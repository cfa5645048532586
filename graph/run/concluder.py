"""What becomes of what a node returned: its result, or the nodes that run in its place.

No node is called here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from graph.cache.entry import Entry, files_named_in
from graph.cache.result_cache import ResultCache
from graph.errors import WorkflowError
from graph.folders import Folders
from graph.plan.feed import Feed
from graph.plan.keys import Keys
from graph.plan.lists import elements_of, merge_ui, read_result
from graph.plan.node_state import NodeState, Phase
from graph.plan.plan import Plan, node_error
from graph.results import Blocked, NodeResult
from graph.run.announcer import Announcer
from graph.run.expansion import Expansion, expansion_prefix
from graph.run.schedule import Schedule
from graph.run.value_check import ValueCheck
from graph.workflow import Link

BLOCKED: Final = Blocked()
"""Stands for the result of a call that a blocked input prevented; what there was to say of it is said."""


class Concluder:
    """Keeps the results of one run's nodes, says them, and lets those go on that wait for them."""

    def __init__(
        self,
        plan: Plan,
        schedule: Schedule,
        keys: Keys | None,
        cache: ResultCache,
        check: ValueCheck | None,
        folders: Folders | None,
        say: Announcer,
    ):
        self._plan = plan
        self._schedule = schedule
        self._keys = keys
        self._cache = cache
        self._check = check
        self._folders = folders
        self._say = say

    def report_blocked(self, state: NodeState, calls: Sequence[dict[str, Any] | Blocked]) -> bool:
        """Say what the blockers among ``calls`` have to say; true if they are all, which concludes ``state``."""
        blockers = [call for call in calls if type(call) is Blocked]
        if not blockers:
            return False
        for message in dict.fromkeys(blocker.message for blocker in blockers):
            if message is not None:
                state.cacheable = False
                self._say.blocked(state, message)
        if len(blockers) < len(calls):
            return False
        state.cacheable = False
        state.entry = Entry(((BLOCKED,) * len(calls),) * len(state.kind.output_is_list))
        self._seal(state.entry)
        self._schedule.finish(state)
        return True

    def take(self, state: NodeState, returned: Sequence[Any], seconds: float) -> None:
        """What each call of ``state`` returned, in ``seconds`` together: a value, a NodeResult, or BLOCKED.

        Raises NodeError if that is not what the node declares, or expands to what cannot run.
        """
        state.seconds = seconds
        if self._check is not None:
            self._check.after(state)
        try:
            results = [read_result(state.kind, value) for value in returned]
            if any(result.expand is not None for result in results):
                self._expand(state, results)
            else:
                self._conclude(state, results)
        except (TypeError, WorkflowError) as error:
            raise node_error(state, error) from error

    def resume(self, state: NodeState) -> None:
        """Conclude ``state``, which expanded, now that what its result is linked to is there."""
        waiting = [feed for feed in state.feeds if self._schedule.entry(feed.feeder) is None]
        if waiting:
            state.waiting = self._schedule.wait_for(state, waiting)
            return
        results, state.results = state.results or [], None
        if self._keys is not None:
            self._keys.refine(state)
        try:
            self._conclude(state, results)
        except TypeError as error:
            raise node_error(state, error) from error

    def _expand(self, state: NodeState, results: list[NodeResult]) -> None:
        """Have the nodes run that ``state`` answered with; its own result is linked to theirs."""
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
            _keep_expanding(state)
        feeds = tuple(self._linked(state, link) for link in linked)
        # The nodes it expanded to hold what they need of its inputs before it lets go of them.
        for root in roots:
            self._schedule.pin(self._plan.states[root])
        for feed in feeds:
            feed.feeder.uses += 1
            if not feed.feeder.known:
                self._plan.hold(feed.feeder)
        self._plan.release(state)
        state.original_feeds, state.feeds = state.feeds, feeds
        state.holding = True
        if state.twin is not None:
            state.twin.uses += 1
        state.results = results
        state.phase = Phase.EXPANDED
        state.waiting = self._schedule.wait_for(state, feeds)
        if not state.waiting:
            self._schedule.queue(state)

    def _linked(self, state: NodeState, link: Link) -> Feed:
        feed = Feed("", "", link.node, link.output, lazy=False, raw=False)
        feed.feeder = self._plan.states[link.node]
        outputs = len(feed.feeder.kind.output_is_list)
        if not 0 <= link.output < outputs:
            raise WorkflowError(f"the expansion links to output {link.output} of {link.node}, which has {outputs}")
        return feed

    def _conclude(self, state: NodeState, results: list[NodeResult]) -> None:
        """Keep the result of ``state``, say it, and let those who wait go on."""
        kind = state.kind
        if len(results) == 1 and results[0].expand is None and True not in kind.output_is_list:
            outputs = tuple((value,) for value in results[0].values)
        else:
            outputs = tuple(self._merged(state, results, index) for index in range(len(kind.output_is_list)))
        ui = merge_ui([result.ui for result in results if result.ui is not None])
        entry = state.entry = Entry(outputs, ui)
        self._seal(entry)
        if ui is not None:
            files = files_named_in(ui, self._folders)
            state.cacheable = state.cacheable and files is not None
            entry.files = files or ()
        if state.cacheable:
            # The key of a node that expanded says nothing of the versions of what it expanded to,
            # so its result stays in this process.
            has_expanded = state.original_feeds is not None
            if has_expanded and state.identity is not None:
                entry.expanded = (state.identity, state.storable)
            self._cache.put(state, entry, state.seconds, on_disk=not has_expanded)
        if ui is not None:
            self._say.shown(state, ui)
        self._say.finished(state)
        self._schedule.finish(state)

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

    def _seal(self, entry: Entry) -> None:
        if self._check is not None:
            self._check.seal(entry)


def _keep_expanding(state: NodeState) -> None:
    """A node that expands to nodes that save, or read files, is not answered from the cache, nor
    are those it is part of: whether its result still holds is for these nodes to say."""
    ancestor: NodeState | None = state
    while ancestor is not None and not ancestor.must_expand:
        ancestor.must_expand = True
        ancestor.cacheable = False
        ancestor = ancestor.parent
