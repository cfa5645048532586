"""Build workflows of Sumi's nodes in Python. ``main.py stubs`` writes ``builder.pyi``, which types every node."""

from __future__ import annotations

from collections.abc import Mapping

from graph.builder import AddedNode, WorkflowBuilder
from graph.schema import NodeType
from nodes.rooms import registry as built_in_nodes


class Builder(WorkflowBuilder):
    """A :class:`graph.builder.WorkflowBuilder` whose ``registry`` is by default that of Sumi's own nodes."""

    def __init__(self, registry: Mapping[str, NodeType] | None = None):
        super().__init__(built_in_nodes() if registry is None else registry)


__all__ = ["AddedNode", "Builder"]
