"""The nodes of one run as far as they are known, in order, each with its key.

Order and cycles come out of the one walk that makes the nodes, feeders first. networkx would
need its own graph built beside it: importing it takes longer (0.2 s) than running a thousand
nodes, and its topological sort of a chain costs about 5 µs a node, half of all that a cached
node may cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graph.cache.result_cache import ResultCache
from graph.errors import NodeError, WorkflowError
from graph.plan.feed import Feed
from graph.plan.keys import Keys
from graph.plan.kind import Kind
from graph.plan.node_state import NodeState, Phase
from graph.workflow import Workflow, WorkflowNode


class Plan:
    """Grows as nodes expand. ``keys`` is None when nothing is cached."""

    def __init__(self, workflow: Workflow, kinds: Callable[[str], Kind], keys: Keys | None, cache: ResultCache):
        self.states: dict[str, NodeState] = {}
        self.workflow = workflow
        self.expanded: dict[str, tuple[WorkflowNode, NodeState]] = {}
        self._display_ids: dict[str, str] = {}
        self._kinds = kinds
        self._keys = keys
        self._cache = cache
        self._by_key: dict[str, NodeState] = {}
        self._lowest_order = 0

    def source(self, node_id: str) -> tuple[WorkflowNode, NodeState | None] | None:
        """The node as it is written, and the one whose expansion it is part of."""
        return self.expanded.get(node_id) or (
            (self.workflow.nodes[node_id], None) if node_id in self.workflow.nodes else None
        )

    def display_id(self, node_id: str) -> str:
        """The node that shows in the editor what ``node_id`` does."""
        return self._display_ids.get(node_id, node_id)

    def output_nodes(self, nodes: Mapping[str, WorkflowNode]) -> list[str]:
        """Those that save or show something."""
        return [node_id for node_id, node in nodes.items() if self._is_output(node.class_type)]

    def expand(
        self, parent: NodeState, nodes: Mapping[str, WorkflowNode], shown_as: Mapping[str, str] | None = None
    ) -> None:
        """Make ``nodes`` known as what ``parent`` expanded to; ``shown_as`` says which stand for another node."""
        shown_as = shown_as or {}
        for node_id, node in nodes.items():
            self.expanded[node_id] = (node, parent)
            shown = shown_as.get(node_id)
            self._display_ids[node_id] = parent.display_id if shown is None else self.display_id(shown)
            self.states.pop(node_id, None)

    def add(self, node_ids: Iterable[str]) -> list[NodeState]:
        """The nodes and all that feeds them; returns those that are new, feeders first.

        Raises NodeError, caused by WorkflowError, for what cannot run: a link to nothing, an
        unknown node type, an input that is missing or wrong, a cycle.
        """
        new: list[NodeState] = []
        for node_id in node_ids:
            if node_id not in self.states:
                self._walk(node_id, new)
        self._lowest_order -= len(new)
        # What came last runs first: a loop's turn before whatever waited already.
        for order, state in enumerate(new, self._lowest_order):
            state.order = order
            if self._keys is not None:
                self._find(state)
        return new

    def _walk(self, root: str, new: list[NodeState]) -> None:
        """A depth-first walk without recursion; a link back into the path is a cycle."""
        states = self.states
        state, links = self._make(root)
        path = [state]
        ahead = [iter(links)]
        given = {root: links}
        while path:
            state = path[-1]
            for link in ahead[-1]:
                feeder_id = link.node
                if feeder_id in states:
                    continue
                if feeder_id in given:
                    raise _cycle(path, feeder_id)
                feeder, links = self._make(feeder_id, state, link)
                path.append(feeder)
                ahead.append(iter(links))
                given[feeder_id] = links
                break
            else:
                path.pop()
                ahead.pop()
                self._connect(state, given.pop(state.id))
                states[state.id] = state
                new.append(state)

    def _make(
        self, node_id: str, consumer: NodeState | None = None, link: Feed | None = None
    ) -> tuple[NodeState, list[Feed]]:
        source = self.source(node_id)
        if source is None:
            if consumer is None or link is None:
                raise WorkflowError(f"there is no node {node_id} in the workflow")
            raise node_error(
                consumer,
                WorkflowError(f"input '{link.name}' is linked to node {node_id}, which does not exist"),
            )
        node, parent = source
        try:
            kind = self._kinds(node.class_type)
            literals, links = kind.read(node.inputs)
        except WorkflowError as error:
            if parent is None:
                raise NodeError(node_id, node.class_type, error) from error
            placed = parent.placed()
            raise NodeError(placed.id, node.class_type, error, node_id, placed.kind.name) from error
        return NodeState(node_id, kind, literals, parent, self.display_id(node_id)), links

    def _connect(self, state: NodeState, links: list[Feed]) -> None:
        for link in links:
            link.feeder = self.states[link.node]
            outputs = len(link.feeder.kind.output_is_list)
            if not 0 <= link.output < outputs:
                problem = f"is linked to output {link.output} of node {link.node}, which has {outputs}"
                raise node_error(state, WorkflowError(f"input '{link.name}' {problem}"))
        state.feeds = tuple(links)

    def _find(self, state: NodeState) -> None:
        """Key and cache lookup, unless the key depends on what is not known yet."""
        assert self._keys is not None
        for feed in state.feeds:
            if feed.feeder.key is None:
                return
        entries: dict[Feed, tuple[Any, ...]] = {}
        for feed in self._keys.needs(state):
            entry = self._cache.get(feed.feeder) if feed.feeder.known else feed.feeder.entry
            if entry is None:
                return
            entries[feed] = entry.outputs[feed.output]
        self._keys.seal(state, entries.__getitem__)
        self.look_up(state)

    def look_up(self, state: NodeState) -> None:
        """See whether the result of ``state``, which has a key, is known or being made."""
        assert state.key is not None
        if state.never_same:
            return
        if self._cache.has(state):
            state.known = True
            return
        owner = self._by_key.setdefault(state.key, state)
        if owner is state:
            return
        if owner.phase is Phase.DONE and owner.entry is None:
            self._by_key[state.key] = state
        else:
            state.twin = owner

    def hold(self, state: NodeState) -> None:
        """Count ``state`` among those who may ask for its feeders' values, and so on upstream."""
        stack = [state]
        while stack:
            state = stack.pop()
            if state.holding:
                continue
            state.holding = True
            for feeder in state.held():
                feeder.uses += 1
                if feeder.phase is Phase.ABANDONED:
                    feeder.phase = Phase.FRESH
                if feeder.phase is Phase.FRESH and not feeder.known and not feeder.holding:
                    stack.append(feeder)

    def release(self, state: NodeState) -> None:
        """The opposite of :meth:`hold`: values that nobody can ask for any more are let go."""
        stack = [state]
        while stack:
            state = stack.pop()
            if not state.holding:
                continue
            state.holding = False
            for feeder in state.held():
                feeder.uses -= 1
                if feeder.uses:
                    continue
                if feeder.phase is Phase.DONE:
                    feeder.entry = None
                elif feeder.phase is Phase.FRESH and not feeder.wanted:
                    feeder.phase = Phase.ABANDONED
                    stack.append(feeder)

    def _is_output(self, class_type: str) -> bool:
        try:
            return self._kinds(class_type).type.output_node
        except WorkflowError:
            return False


def node_error(state: NodeState, cause: BaseException) -> NodeError:
    """The error of a node, said of the node that a person placed."""
    placed = state.placed()
    error = NodeError(placed.id, state.kind.name, cause, state.id, placed.kind.name)
    error.__cause__ = cause
    return error


def _cycle(path: list[NodeState], back_to: str) -> NodeError:
    ids = [state.id for state in path]
    around = [*ids[ids.index(back_to) :], back_to]
    shown = " → ".join(reversed(around)) if len(around) <= 12 else f"{len(around) - 1} nodes long"
    problem = WorkflowError(f"the node needs its own result: a cycle {shown}")
    return node_error(path[ids.index(back_to)], problem)
