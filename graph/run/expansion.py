"""Expansion: a node returns a graph of nodes that runs in its place."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from graph.context import current
from graph.errors import WorkflowError
from graph.workflow import Link, WorkflowNode

_LONGEST_PARENT: Final = 100
_LONGEST_ID: Final = 150
"""Length above which an id is replaced by a hash, since each turn of a loop may append a name."""


class GraphBuilder:
    """Builds the graph that a node expands to. Ids are ``{node}.{call}.{n}``.

        graph = GraphBuilder()
        half = graph.node("ImageScaleBy", image=image, scale_by=0.5)
        return NodeResult(half.out(0), expand=graph.finalize())

    Inputs are values, or links: ``out()`` of another node, or a raw link that the node was given.
    """

    def __init__(self, prefix: str | None = None):
        context = current()
        if prefix is None and context is None:
            raise RuntimeError("GraphBuilder() outside a running node needs a prefix")
        self.prefix = context.expansion_prefix if prefix is None and context is not None else prefix or ""
        self._nodes: dict[str, BuiltNode] = {}

    def node(self, class_type: str, /, id: str | None = None, **inputs: Any) -> BuiltNode:
        """Add a node; ``id`` names it within this graph, else it is numbered."""
        name = str(len(self._nodes) + 1) if id is None else id
        built = BuiltNode(self.prefix + name, class_type, inputs)
        if built.id in self._nodes:
            raise ValueError(f"the graph already has a node {built.id}")
        self._nodes[built.id] = built
        return built

    def finalize(self) -> dict[str, Any]:
        """Return the graph, for ``NodeResult(expand=…)``."""
        return {node.id: {"class_type": node.class_type, "inputs": dict(node.inputs)} for node in self._nodes.values()}


class BuiltNode:
    """A node of a graph that is being built."""

    def __init__(self, id: str, class_type: str, inputs: dict[str, Any]):
        self.id = id
        self.class_type = class_type
        self.inputs = inputs

    def out(self, index: int) -> Link:
        """Return a link to output ``index``."""
        return Link(self.id, index)

    def set_input(self, name: str, value: Any) -> None:
        """Set an input after the node was added, or one whose name is not an identifier."""
        self.inputs[name] = value


def expansion_prefix(node_id: str, placed_id: str, call: int) -> str:
    """ID prefix of the nodes that this call's expansion creates: ``{node_id}.{call}.``.

    Deep in a loop, where the prefix would grow with every turn, a hash replaces everything after the placed node.
    """
    if len(node_id) <= _LONGEST_PARENT:
        return f"{node_id}.{call}."
    return f"{placed_id}.{_hash(node_id)}.{call}."


class Expansion:
    """The graph that one call returned. The prefix is added to ids that lack it.

    Raises WorkflowError if it is not a graph in the API dialect.
    """

    def __init__(self, graph: Mapping[str, Any], prefix: str):
        if not isinstance(graph, Mapping):
            raise WorkflowError(f"the expansion is a {type(graph).__name__}; expected a graph in the API dialect")
        self._ids = {str(name): _prefixed(str(name), prefix) for name in graph}
        self.nodes = {self._ids[str(name)]: self._node(str(name), node) for name, node in graph.items()}
        self.shown_as = {
            self._ids[str(name)]: str(node["override_display_id"])
            for name, node in graph.items()
            if node.get("override_display_id") is not None
        }
        """Nodes that stand for another one in the editor: a loop's body for the nodes that it repeats."""

    def link(self, value: Any) -> Link | None:
        """Return ``value`` as a link into this graph or out of it, or None if it is not a link."""
        if type(value) is not Link and not (
            type(value) is list and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int
        ):
            return None
        node, output = value
        return Link(self._ids.get(node, node), output)

    def _node(self, name: str, node: Any) -> WorkflowNode:
        class_type = node.get("class_type") if isinstance(node, Mapping) else None
        inputs = node.get("inputs", {}) if isinstance(node, Mapping) else None
        if not isinstance(class_type, str) or not isinstance(inputs, Mapping):
            raise WorkflowError(f"node {name} of the expansion lacks a class_type or inputs")
        return WorkflowNode(class_type, {str(key): self._input(value) for key, value in inputs.items()})

    def _input(self, value: Any) -> Any:
        if type(value) is dict and value.keys() == {"__value__"}:
            return value["__value__"]
        link = self.link(value)
        return value if link is None else link


def _prefixed(name: str, prefix: str) -> str:
    full_name = name if name.startswith(prefix) else prefix + name
    if len(full_name) > _LONGEST_ID:
        return f"{prefix}{_hash(full_name)}"
    return full_name


def _hash(name: str) -> str:
    return blake2b(name.encode(), digest_size=10).hexdigest()
