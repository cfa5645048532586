"""The nodes of one run that are known so far, in order, each with its key.

One walk creates the nodes, sources first, and finds their order and cycles. networkx would need a second graph:
importing it takes longer (0.2 s) than running a thousand nodes, and its topological sort of a chain takes about
5 µs a node, half the time budget of a cached node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graph.cache.entry import Entry
from graph.cache.result_cache import ResultCache
from graph.errors import NodeError, WorkflowError
from graph.plan.inputs import read_inputs
from graph.plan.keys import Keys
from graph.plan.kind import Kind
from graph.plan.node_state import InputLink, NodeState, Phase
from graph.workflow import Workflow, WorkflowNode


class Plan:
    """The planned nodes; more are added as nodes expand. ``keys`` is None when nothing is cached."""

    def __init__(self, workflow: Workflow, kind_of: Callable[[str], Kind], keys: Keys | None, cache: ResultCache):
        self.states: dict[str, NodeState] = {}
        self.workflow = workflow
        self.expanded: dict[str, tuple[WorkflowNode, NodeState]] = {}
        self._display_ids: dict[str, str] = {}
        self._kind_of = kind_of
        self._keys = keys
        self._cache = cache
        self._by_key: dict[str, NodeState] = {}
        self._lowest_order = 0

    def written(self, node_id: str) -> tuple[WorkflowNode, NodeState | None] | None:
        """Return the node as written, and the node whose expansion contains it."""
        return self.expanded.get(node_id) or (
            (self.workflow.nodes[node_id], None) if node_id in self.workflow.nodes else None
        )

    def display_id(self, node_id: str) -> str:
        """Return the node in the editor that shows the progress and output of ``node_id``."""
        return self._display_ids.get(node_id, node_id)

    def output_nodes(self, nodes: Mapping[str, WorkflowNode]) -> list[str]:
        """Return the ids of the nodes that save or show something."""
        return [node_id for node_id, node in nodes.items() if self._is_output(node.class_type)]

    def expand(
        self, parent: NodeState, nodes: Mapping[str, WorkflowNode], shown_as: Mapping[str, str] | None = None
    ) -> None:
        """Add ``nodes`` as the expansion of ``parent``. ``shown_as``: node id → the node that shows it."""
        shown_as = shown_as or {}
        for node_id, node in nodes.items():
            self.expanded[node_id] = (node, parent)
            shown = shown_as.get(node_id)
            self._display_ids[node_id] = parent.display_id if shown is None else self.display_id(shown)
            self.states.pop(node_id, None)

    def add(self, node_ids: Iterable[str]) -> list[NodeState]:
        """Plan the nodes and their ancestors; returns the new ones, sources first.

        Raises NodeError, caused by WorkflowError, for a link to nothing, an unknown node type, a missing or
        wrong input, and a cycle.
        """
        new: list[NodeState] = []
        for node_id in node_ids:
            if node_id not in self.states:
                self._walk(node_id, new)
        self._lowest_order -= len(new)
        # The newest nodes run first: a loop's next turn before nodes that were already waiting.
        for order, state in enumerate(new, self._lowest_order):
            state.set_order(order)
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
                source_id = link.source_id
                if source_id in states:
                    continue
                if source_id in given:
                    raise _cycle(path, source_id)
                source, links = self._make(source_id, state, link)
                path.append(source)
                ahead.append(iter(links))
                given[source_id] = links
                break
            else:
                path.pop()
                ahead.pop()
                self._connect(state, given.pop(state.id))
                states[state.id] = state
                new.append(state)

    def _make(
        self, node_id: str, consumer: NodeState | None = None, link: InputLink | None = None
    ) -> tuple[NodeState, list[InputLink]]:
        written = self.written(node_id)
        if written is None:
            if consumer is None or link is None:
                raise WorkflowError(f"there is no node {node_id} in the workflow")
            raise node_error(
                consumer,
                WorkflowError(f"input '{link.name}' is linked to node {node_id}, which does not exist"),
            )
        node, parent = written
        try:
            kind = self._kind_of(node.class_type)
            literals, links = read_inputs(kind, node.inputs)
        except WorkflowError as error:
            if parent is None:
                raise NodeError(node_id, node.class_type, error) from error
            placed = parent.placed()
            raise NodeError(placed.id, node.class_type, error, node_id, placed.kind.name) from error
        return NodeState(node_id, kind, literals, links, parent, self._display_ids.get(node_id, node_id)), links

    def _connect(self, state: NodeState, links: list[InputLink]) -> None:
        for link in links:
            link.source = self.states[link.source_id]
            outputs = len(link.source.kind.output_is_list)
            if not 0 <= link.output < outputs:
                problem = f"is linked to output {link.output} of node {link.source_id}, which has {outputs}"
                raise node_error(state, WorkflowError(f"input '{link.name}' {problem}"))

    def _find(self, state: NodeState) -> None:
        """Compute the key and look up the result, unless the key depends on results that are not known yet."""
        assert self._keys is not None
        for link in state.links:
            if link.source.key is None:
                return
        elements: dict[InputLink, tuple[Any, ...]] = {}
        for link in self._keys.needs(state):
            entry = self._load(link.source) if link.source.known else link.source.entry
            if entry is None:
                return
            elements[link] = entry.outputs[link.output]
        self._keys.assign_key(state, elements.__getitem__)
        self.look_up(state)

    def look_up(self, state: NodeState) -> None:
        """Look up whether the result of ``state``, which has a key, is cached or being computed."""
        assert state.key is not None
        if state.former_key is not None:
            self._cache.rename(state.former_key, state.key)
        if state.never_same or self.find_result(state):
            return
        owner = self._by_key.setdefault(state.key, state)
        if owner is state:
            return
        if owner.phase is Phase.DONE and owner.entry is None:
            self._by_key[state.key] = state
        else:
            state.set_twin(owner)

    def find_result(self, state: NodeState) -> bool:
        """Mark ``state`` as known if the cache has its result, and mark the result as used.

        The record of an output node is read at once: it names the files that must be in place.
        """
        key = state.key
        if key is None or state.never_same:
            return False
        if state.kind.type.output_node:
            entry = self._load(state)
            state.set_entry(entry)
        else:
            entry = self._cache.touch(key, state.storable, state.kind.shareable)
        if entry is None:
            return False
        if entry.expanded is not None:
            state.restore_identity(*entry.expanded)
        state.mark_known()
        return True

    def _load(self, state: NodeState) -> Entry | None:
        assert state.key is not None
        return self._cache.get(state.key, state.storable, state.kind.shareable)

    def hold(self, state: NodeState) -> None:
        """Count ``state`` among the nodes that may ask for its sources' values, and so on upstream."""
        stack = [state]
        while stack:
            stack += stack.pop().hold()

    def release(self, state: NodeState) -> None:
        """Undo :meth:`hold`: drop the values that no node can ask for any more."""
        stack = [state]
        while stack:
            stack += stack.pop().release()

    def _is_output(self, class_type: str) -> bool:
        try:
            return self._kind_of(class_type).type.output_node
        except WorkflowError:
            return False


def node_error(state: NodeState, cause: BaseException) -> NodeError:
    """Return the error of a node, attributed to the node that a person placed."""
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
