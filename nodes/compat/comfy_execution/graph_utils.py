"""``comfy_execution.graph_utils``: building the graph that a node expands to."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from graph.context import Context, current
from graph.results import Blocked

ExecutionBlocker = Blocked
"""``ExecutionBlocker(message)`` as an output: nodes that need it do not run."""

_graphs: ContextVar[tuple[tuple[str, str, int], int] | None] = ContextVar("graphs built by a call", default=None)
"""The call that built a graph last, and the number of graphs that it has built."""


def is_link(value: object) -> bool:
    """Return whether ``value`` is a link: ``[node id, output index]``."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
        and not isinstance(value[1], bool)
    )


class Node:
    """A node of a graph under construction."""

    def __init__(self, id: str, class_type: str, inputs: Mapping[str, Any]):
        self.id = id
        self.class_type = class_type
        self.inputs = dict(inputs)
        self.override_display_id: str | None = None
        self.override_parent_id: str | None = None

    def out(self, index: int) -> list[Any]:
        """A link to output ``index``."""
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        """Set an input to a value or a link; None removes it."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        """Return the input's value or link, or None if it has none."""
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """Show this node's progress and results on another node in the editor."""
        self.override_display_id = override_display_id

    def set_override_parent_id(self, override_parent_id: str) -> None:
        """Keep the id. It has no effect: the parent is the node that expanded."""
        self.override_parent_id = override_parent_id

    def serialize(self) -> dict[str, Any]:
        """Return the node in the API dialect."""
        node: dict[str, Any] = {"class_type": self.class_type, "inputs": self.inputs}
        if self.override_display_id is not None:
            node["override_display_id"] = self.override_display_id
        if self.override_parent_id is not None:
            node["override_parent_id"] = self.override_parent_id
        return node


class GraphBuilder:
    """Builds a graph for ``{"expand": builder.finalize(), "result": …}``.

    Ids begin with ``prefix``, by default one that no other graph of this run has.
    """

    _default_prefix: str | None = None

    def __init__(self, prefix: str | None = None):
        self.prefix = self.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self.id_gen = 1

    @classmethod
    def set_default_prefix(cls, prefix_root: str, call_index: int, graph_index: int = 0) -> None:
        """Return the prefix of ids if no node is running."""
        cls._default_prefix = f"{prefix_root}.{call_index}.{graph_index}."

    @classmethod
    def alloc_prefix(
        cls, root: str | None = None, call_index: int | None = None, graph_index: int | None = None
    ) -> str:
        """Return ``{node}.{call}.{graph}.``, by default for the running call."""
        context = current()
        if root is not None:
            return f"{root}.{call_index or 0}.{graph_index or 0}."
        if context is None:
            return cls._default_prefix or "."
        return f"{context.expansion_prefix}{_next_graph(context) if graph_index is None else graph_index}."

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> Node:
        """Add a node, or return the existing one with that ``id``. Inputs are values or links."""
        if id is None:
            id = str(self.id_gen)
            self.id_gen += 1
        id = self.prefix + id
        if id in self.nodes:
            return self.nodes[id]
        self.nodes[id] = Node(id, class_type, kwargs)
        return self.nodes[id]

    def lookup_node(self, id: str) -> Node | None:
        """Return the node that was added under ``id``."""
        return self.nodes.get(self.prefix + id)

    def finalize(self) -> dict[str, Any]:
        """Return the graph in the API dialect."""
        return {node_id: node.serialize() for node_id, node in self.nodes.items()}

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """Replace links to output ``index`` of a node with ``new_value``; None removes the inputs."""
        link = [self.prefix + node_id, index]
        for node in self.nodes.values():
            for name in [name for name, value in node.inputs.items() if is_link(value) and value == link]:
                node.set_input(name, new_value)

    def remove_node(self, id: str) -> None:
        """Remove a node. The caller has to change the links to it."""
        del self.nodes[self.prefix + id]


def add_graph_prefix(
    graph: Mapping[str, Any], outputs: tuple[Any, ...] | list[Any], prefix: str
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Return the graph and the outputs with ``prefix`` before every id."""

    def prefixed(value: Any) -> Any:
        return [prefix + value[0], value[1]] if is_link(value) else value

    renamed = {
        prefix + node_id: {
            "class_type": node["class_type"],
            "inputs": {name: prefixed(value) for name, value in node.get("inputs", {}).items()},
        }
        for node_id, node in graph.items()
    }
    return renamed, tuple(map(prefixed, outputs))


def _next_graph(context: Context) -> int:
    """Return the number of the next graph that this call builds."""
    call = (context.run_id, context.node_id, context.call_index)
    last = _graphs.get()
    number = last[1] if last is not None and last[0] == call else 0
    _graphs.set((call, number + 1))
    return number
