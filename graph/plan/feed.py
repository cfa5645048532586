"""A link, from the side of the node that it feeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graph.plan.node_state import NodeState


class Feed:
    """An input that is fed by another node. ``raw``: the node wants the link, not the value.

    ``feeder`` is filled in when the node that it names has been made.
    """

    __slots__ = ("feeder", "lazy", "name", "node", "output", "parameter", "raw")

    def __init__(self, parameter: str, name: str, node: str, output: int, lazy: bool, raw: bool):
        self.parameter = parameter
        self.name = name
        self.node = node
        self.output = output
        self.lazy = lazy
        self.raw = raw
        self.feeder: NodeState
