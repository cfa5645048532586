"""Reads the description of a sweep, ``[{"node", "input", "values"}]``, and checks it against a workflow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from graph.errors import Problem, ValidationError
from graph.folders import Folders
from graph.schema import Input, NodeType
from graph.sweep.sweep import MOST_AXES, MOST_COMBINATIONS, Axis, Sweep
from graph.sweep.values import Values, ValueTextError, values_in_list, values_in_text
from graph.validation.check_inputs import InputChecker
from graph.validation.coerce import coerce
from graph.validation.nearest import Nearest
from graph.validation.validate import validate_outputs
from graph.workflow import Link, MalformedLink, Workflow, WorkflowNode

_FORM: Final = '{"node": "5", "input": "cfg", "values": [3, 5, 7]}'


class SweepError(ValidationError):
    """A sweep cannot run; ``problems`` say why, each with its node and input where it has one."""


def read_sweep(described: Any, workflow: Workflow, registry: Mapping[str, NodeType], folders: Folders | None) -> Sweep:
    """Return the sweep that ``described`` asks for: one to three objects with ``node``, ``input`` and ``values``.

    ``values`` is a list, or a text that :mod:`graph.sweep.values` reads. ``labels``, one text per value, is optional.
    Raises SweepError for a node or input that does not exist, a linked input, a text that cannot be read, and too
    many values. :func:`problems_of` checks the values themselves.
    """
    if isinstance(described, Mapping):
        described = [described]
    if not isinstance(described, Sequence) or isinstance(described, str) or not 1 <= len(described) <= MOST_AXES:
        count = f"{len(described)} axes" if isinstance(described, Sequence) and not isinstance(described, str) else ""
        message = f"a sweep has one to {MOST_AXES} axes{f'; this one has {len(described)}' if count else ''}"
        raise SweepError([Problem("invalid_sweep", message, expected=f"a list such as [{_FORM}]")])
    problems: list[Problem] = []
    axes: list[Axis] = []
    reader = _AxisReader(workflow, registry, folders)
    for entry in described:
        try:
            axes.append(reader.read(entry))
        except SweepError as error:
            problems += error.problems
    places = [(axis.node, axis.input) for axis in axes]
    for node_id, name in {place for place in places if places.count(place) > 1}:
        class_type = workflow.nodes[node_id].class_type
        problems.append(
            Problem("invalid_sweep", "the sweep has two axes for this input", node_id, class_type, name, expected="one")
        )
    combinations = math.prod(len(axis.values) for axis in axes)
    if combinations > MOST_COMBINATIONS:
        message = f"the sweep has {combinations} combinations"
        about = {"reason": "too_many_combinations", "combinations": combinations, "most": MOST_COMBINATIONS}
        problems.append(Problem("invalid_sweep", message, expected=f"at most {MOST_COMBINATIONS}", extra=about))
    if problems:
        raise SweepError(problems)
    return Sweep(workflow, axes)


def problems_of(
    sweep: Sweep, registry: Mapping[str, NodeType], folders: Folders | None, outputs: Sequence[str], *, run_custom: bool
) -> list[Problem]:
    """Return the problems of the values, each with its node and input, and of axes that no output depends on.

    The first combination is validated as a whole. Of every further value only the node that takes it is checked, since
    the value changes no other node's inputs. Nodes' own validation code runs only with ``run_custom``.
    """
    first = sweep.workflow(0)
    found = {
        str(problem): problem
        for problem in validate_outputs(first, registry, folders, outputs, run_custom=run_custom).problems
    }
    for axis, numbers in further_values(sweep):
        reached = [output for output in outputs if axis in sweep.axes_of(output)]
        node_id = sweep.axes[axis].node
        for problem in _problems_of_node(sweep, node_id, numbers if reached else [], registry, folders, run_custom):
            with_outputs = replace(problem, extra={**problem.extra, "dependent_outputs": reached})
            found.setdefault(str(problem), with_outputs)
        if not reached:
            message = "nothing that the workflow saves or shows depends on this input"
            problem = Problem(
                "invalid_sweep",
                message,
                node_id,
                first.nodes[node_id].class_type,
                sweep.axes[axis].input,
                expected="an input that changes a picture",
                extra={"reason": "changes_nothing"},
            )
            found.setdefault(str(problem), problem)
    return list(found.values())


def further_values(sweep: Sweep) -> list[tuple[int, list[int]]]:
    """Return for each axis the combinations that have one of its further values, and the first value of all others."""
    first = [0] * len(sweep.axes)
    return [
        (
            index,
            [
                sweep.number([*first[:index], place, *first[index + 1 :]])
                for place in range(1, len(sweep.axes[index].values))
            ],
        )
        for index in range(len(sweep.axes))
    ]


def _problems_of_node(
    sweep: Sweep,
    node_id: str,
    numbers: Sequence[int],
    registry: Mapping[str, NodeType],
    folders: Folders | None,
    run_custom: bool,
) -> Iterator[Problem]:
    nodes = sweep.workflow(0).nodes
    node_types = {node.class_type: registry.get(node.class_type) for node in nodes.values()}
    checker = InputChecker(nodes, registry, node_types, folders, Nearest(), run_custom)
    for number in numbers:
        node = sweep.workflow(number).nodes[node_id]
        node_type = node_types[node.class_type]
        if node_type is not None:
            yield from checker.check(node_id, node, node_type)


class _AxisReader:
    def __init__(self, workflow: Workflow, registry: Mapping[str, NodeType], folders: Folders | None):
        self._workflow = workflow
        self._registry = registry
        self._folders = folders
        self._nearest = Nearest()

    def read(self, entry: Any) -> Axis:
        """Return the axis. Raises SweepError."""
        node_id = entry.get("node") if isinstance(entry, Mapping) else None
        name = entry.get("input") if isinstance(entry, Mapping) else None
        if isinstance(node_id, int) and not isinstance(node_id, bool):
            node_id = str(node_id)
        if not isinstance(node_id, str) or not isinstance(name, str) or "values" not in entry:
            raise SweepError(
                [Problem("invalid_sweep", "an axis lacks its node, input or values", found=entry, expected=_FORM)]
            )
        node = self._workflow.nodes.get(node_id)
        if node is None:
            near = self._nearest(node_id, self._workflow.nodes, "nodes")
            raise SweepError(
                [
                    Problem(
                        "invalid_sweep",
                        f"the sweep names node {node_id!r}, which does not exist",
                        node_id,
                        "",
                        name,
                        node_id,
                        "the id of a node",
                        near,
                    )
                ]
            )
        declared = self._declared(node_id, node, name)
        current = node.inputs.get(name)
        if isinstance(current, (Link, MalformedLink)):
            source = f" to node {current.node}" if isinstance(current, Link) else ""
            message = f"the input is linked{source}, so it has no value to vary"
            about = {"reason": "linked"}
            raise self._error(node_id, node, name, message, "an input that is not linked", about=about)
        values, labels = self._values(entry["values"], declared, current, node_id, node)
        given = entry.get("labels")
        if isinstance(given, list) and len(given) == len(values) and all(isinstance(label, str) for label in given):
            labels = tuple(given)
        return Axis(node_id, name, values, labels)

    def _declared(self, node_id: str, node: WorkflowNode, name: str) -> Input:
        node_type = self._registry.get(node.class_type)
        if node_type is None:
            near = self._nearest(node.class_type, self._registry, "classes")
            message = f"there is no node class {node.class_type!r}"
            raise SweepError([Problem("unknown_node_type", message, node_id, node.class_type, suggestions=near)])
        declared = node_type.by_name.get(name)
        if declared is not None:
            found = declared.under(node.inputs)
            if found is None:
                message = f"the input {name!r} does not exist with this {declared.choice}"
                raise self._error(node_id, node, name, message, f"another value of {declared.choice}")
            return found
        if name in node.inputs and node_type.accepts_extra_inputs and node_type.accepts_extra_literals:
            return Input(name, _type_of(node.inputs[name]))
        names = list(dict.fromkeys([*node_type.by_name, *node.inputs]))
        near = self._nearest(name, names, node.class_type)
        problem = Problem(
            "invalid_sweep",
            f"the node has no input {name!r}",
            node_id,
            node.class_type,
            name,
            name,
            f"one of {', '.join(names)}",
            near,
        )
        raise SweepError([problem])

    def _values(self, given: Any, declared: Input, current: Any, node_id: str, node: WorkflowNode) -> Values:
        if isinstance(given, (int, float)):
            given = [given]
        if not isinstance(given, (str, list)):
            raise self._error(node_id, node, declared.name, "the values are neither a list nor a text", _FORM, given)
        try:
            if isinstance(given, str):
                return values_in_text(given, declared, current, self._folders)
            coerced = []
            for value in given:
                if isinstance(value, list) and declared.type != "COMBO":
                    raise ValueTextError("a value is a list", "a list of plain values", "not_readable")
                try:
                    coerced.append(coerce(declared, value))
                except (TypeError, ValueError):
                    coerced.append(value)  # validation reports it with what the input takes
            return values_in_list(coerced)
        except ValueTextError as error:
            about = {"reason": error.reason, **error.facts}
            raise self._error(node_id, node, declared.name, str(error), error.expected, given, about) from error

    def _error(
        self,
        node_id: str,
        node: WorkflowNode,
        name: str,
        message: str,
        expected: str,
        found: Any = None,
        about: Mapping[str, Any] = MappingProxyType({}),
    ) -> SweepError:
        problem = Problem("invalid_sweep", message, node_id, node.class_type, name, found, expected, extra=about)
        return SweepError([problem])


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "INT"
    return "FLOAT" if isinstance(value, float) else "STRING" if isinstance(value, str) else "*"
