"""A sweep: the axes, their combinations, and the workflow of each combination."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graph.schema import Registry
from graph.sweep.values import MOST_VALUES
from graph.workflow import Link, Workflow, WorkflowNode

MOST_AXES: Final = 3
MOST_COMBINATIONS: Final = 10_000
ASK_ABOVE: Final = 100
"""Number of pictures above which a person is asked before a sweep runs."""

_BATCH_INPUT: Final = "batch_size"


@dataclass(frozen=True)
class Axis:
    """The values that a sweep gives to one input of one node, and the label of each value."""

    node: str
    input: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """Return the axis as an entry of ``extra_data.sweep``."""
        return {"node": self.node, "input": self.input, "values": list(self.values), "labels": list(self.labels)}


class Sweep:
    """Every combination of the values of one to three ``axes``, as variants of ``workflow``.

    Combinations are numbered from 0; the last axis changes fastest.
    """

    def __init__(self, workflow: Workflow, axes: Sequence[Axis]):
        self.axes = tuple(axes)
        self._workflow = workflow
        consumers = _consumers(workflow)
        self._reached = [_downstream(axis.node, consumers) for axis in self.axes]

    def __len__(self) -> int:
        return math.prod(len(axis.values) for axis in self.axes)

    def as_data(self) -> list[dict[str, Any]]:
        """Return the axes in the form of ``extra_data.sweep``, with every value listed."""
        return [axis.as_data() for axis in self.axes]

    def order(self) -> list[int]:
        """Return the numbers of the combinations in the order in which they should run.

        The axis on which the most nodes depend changes slowest, so that two models take turns as rarely as possible.
        """
        slowest_first = sorted(range(len(self.axes)), key=lambda axis: -len(self._reached[axis]))
        sizes = [len(self.axes[axis].values) for axis in slowest_first]
        numbers = []
        for places in itertools.product(*map(range, sizes)):
            by_axis = dict(zip(slowest_first, places, strict=True))
            numbers.append(self.number([by_axis[axis] for axis in range(len(self.axes))]))
        return numbers

    def number(self, places: Sequence[int]) -> int:
        """Return the number of the combination of these values, given by their indices on the axes."""
        number = 0
        for axis, place in zip(self.axes, places, strict=True):
            number = number * len(axis.values) + place
        return number

    def places(self, number: int) -> tuple[int, ...]:
        """Return the index of the value that the combination takes on each axis."""
        found = []
        for axis in reversed(self.axes):
            number, place = divmod(number, len(axis.values))
            found.append(place)
        return tuple(reversed(found))

    def label(self, number: int) -> str:
        """Return the combination in words: ``cfg 7, sampler_name ddim``."""
        parts = zip(self.titles(), self.axes, self.places(number), strict=True)
        return ", ".join(f"{title} {axis.labels[place]}" for title, axis, place in parts)

    def titles(self) -> list[str]:
        """Return a short title for each axis: the input's name, with its node where two axes share the name."""
        names = [axis.input for axis in self.axes]
        return [
            axis.input if names.count(axis.input) == 1 else f"{self._node_name(axis.node)} {axis.input}"
            for axis in self.axes
        ]

    def workflow(self, number: int) -> Workflow:
        """Return the workflow of one combination, without the editor's document."""
        nodes = dict(self._workflow.nodes)
        for (node_id, name), value in self.values(number).items():
            node = nodes[node_id]
            nodes[node_id] = dataclasses.replace(node, inputs={**node.inputs, name: value})
        return Workflow(nodes)

    def values(self, number: int) -> dict[tuple[str, str], Any]:
        """Return the values of one combination by node id and input."""
        pairs = zip(self.axes, self.places(number), strict=True)
        return {(axis.node, axis.input): axis.values[place] for axis, place in pairs}

    def axes_of(self, output: str) -> list[int]:
        """Return the axes on which the node ``output`` depends, by index."""
        return [index for index, reached in enumerate(self._reached) if output in reached]

    def targets(self, number: int, outputs: Sequence[str]) -> list[str]:
        """Return which of ``outputs`` the combination has to make.

        An output runs once for each combination of the axes on which it depends, not for every combination.
        """
        places = self.places(number)
        return [
            output
            for output in outputs
            if all(place == 0 for axis, place in enumerate(places) if axis not in self.axes_of(output))
        ]

    def numbers_of(self, output: str) -> list[int]:
        """Return the combinations that make ``output``, in order."""
        own = self.axes_of(output)
        sizes = [len(axis.values) if index in own else 1 for index, axis in enumerate(self.axes)]
        return [self.number(places) for places in itertools.product(*map(range, sizes))]

    def runs(self, outputs: Sequence[str]) -> dict[str, int]:
        """Return how often each node runs that ``outputs`` need: once for each combination of values that reach it."""
        return {
            node_id: math.prod(len(self.axes[axis].values) for axis in self.axes_of(node_id))
            for node_id in sorted(_upstream(outputs, self._workflow))
        }

    def pictures(self, outputs: Sequence[str]) -> int:
        """Return how many pictures the sweep makes: one per combination, times the largest ``batch_size``."""
        swept = {(axis.node, axis.input): axis.values for axis in self.axes}
        sizes = [1]
        for node_id in _upstream(outputs, self._workflow):
            for name, value in self._workflow.nodes[node_id].inputs.items():
                if name == _BATCH_INPUT and (node_id, name) not in swept and type(value) is int:
                    sizes.append(value)
        count = max((len(self.numbers_of(output)) for output in outputs), default=0) * max(sizes)
        for (_, name), values in swept.items():
            if name == _BATCH_INPUT:
                count = count * sum(value for value in values if type(value) is int) // len(values)
        return count

    def _node_name(self, node_id: str) -> str:
        node = self._workflow.nodes[node_id]
        same = [other for other in self._workflow.nodes.values() if other.class_type == node.class_type]
        return node.title or (node.class_type if len(same) == 1 else f"{node.class_type} {node_id}")


def output_nodes(workflow: Workflow, registry: Registry | Mapping[str, Any]) -> list[str]:
    """Return the ids of the nodes that save or show something."""
    return [
        node_id
        for node_id, node in workflow.nodes.items()
        if (node_type := registry.get(node.class_type)) is not None and node_type.output_node
    ]


def _consumers(workflow: Workflow) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {node_id: [] for node_id in workflow.nodes}
    for node_id, node in workflow.nodes.items():
        for source in _sources(node):
            if source in found:
                found[source].append(node_id)
    return found


def _sources(node: WorkflowNode) -> Iterator[str]:
    return (value.node for value in node.inputs.values() if isinstance(value, Link))


def _downstream(node_id: str, consumers: Mapping[str, Sequence[str]]) -> frozenset[str]:
    found = {node_id}
    waiting = [node_id]
    while waiting:
        new = [consumer for consumer in consumers.get(waiting.pop(), ()) if consumer not in found]
        found.update(new)
        waiting += new
    return frozenset(found)


def _upstream(node_ids: Sequence[str], workflow: Workflow) -> set[str]:
    found: set[str] = set()
    waiting = [node_id for node_id in node_ids if node_id in workflow.nodes]
    while waiting:
        node_id = waiting.pop()
        if node_id not in found:
            found.add(node_id)
            waiting += [source for source in _sources(workflow.nodes[node_id]) if source in workflow.nodes]
    return found


__all__ = ["ASK_ABOVE", "MOST_AXES", "MOST_COMBINATIONS", "MOST_VALUES", "Axis", "Sweep", "output_nodes"]
