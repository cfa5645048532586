"""Finds all problems of a workflow at once, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graph.errors import Problem
from graph.folders import Folders
from graph.schema import NodeType
from graph.validation.ancestry import ancestors, cycles, reached_targets
from graph.validation.check_inputs import InputChecker
from graph.validation.nearest import Nearest
from graph.workflow import Link, Workflow, WorkflowNode


@dataclass(frozen=True)
class Validation:
    """The result of validation. ``valid_outputs`` may run although others may not."""

    problems: tuple[Problem, ...]
    valid_outputs: tuple[str, ...]
    invalid_outputs: tuple[str, ...]

    def by_node(self) -> dict[str, list[Problem]]:
        """Return the problems of each faulty node, without problems of the workflow as a whole."""
        grouped: dict[str, list[Problem]] = {}
        for problem in self.problems:
            if problem.node_id is not None:
                grouped.setdefault(problem.node_id, []).append(problem)
        return grouped


def validate(
    workflow: Workflow,
    registry: Mapping[str, NodeType],
    folders: Folders | None = None,
    targets: Iterable[str] | None = None,
    *,
    run_custom: bool = True,
) -> list[Problem]:
    """Return all problems of ``workflow``; see :func:`validate_outputs`."""
    return list(validate_outputs(workflow, registry, folders, targets, run_custom=run_custom).problems)


def validate_outputs(
    workflow: Workflow,
    registry: Mapping[str, NodeType],
    folders: Folders | None = None,
    targets: Iterable[str] | None = None,
    *,
    run_custom: bool = True,
) -> Validation:
    """Check the nodes that ``targets`` need (None: all output nodes), and return which targets can run.

    File inputs are checked against the files in ``folders``; without it they are not checked.
    ``run_custom`` calls the nodes' own validation code; without it, the inputs that this code checks are
    not checked (:func:`custom_validated` returns these nodes).

    Each problem of a node lists in ``extra["dependent_outputs"]`` the outputs that cannot run because of it.
    Linear in the size of the workflow. Never raises.
    """
    nodes = workflow.nodes
    problems: list[Problem] = []
    nearest = Nearest()
    node_types = {class_type: registry.get(class_type) for class_type in {node.class_type for node in nodes.values()}}
    if targets is None:
        wanted = [i for i, node in nodes.items() if (found := node_types[node.class_type]) and found.output_node]
        problems += _no_outputs(workflow, registry) if not wanted else []
    else:
        asked = list(dict.fromkeys(targets))
        wanted = [target for target in asked if target in nodes]
        problems += [_no_such_target(target, nodes, nearest) for target in asked if target not in nodes]
        if not asked:
            problems += _no_outputs(workflow, registry)
    feeders = {node_id: _feeders(node, node_types[node.class_type]) for node_id, node in nodes.items()}
    needed = ancestors(wanted, feeders)
    checker = InputChecker(nodes, registry, node_types, folders, nearest, run_custom)
    for node_id, node in nodes.items():
        node_type = node_types[node.class_type]
        if node_type is None:
            if node_id in needed or (targets is None and _is_reported(node, workflow)):
                problems.append(_unknown_class(node_id, node, registry, nearest))
        elif node_id in needed:
            problems += checker.check(node_id, node, node_type)
    needed_feeders = {node_id: feeders[node_id] for node_id in nodes if node_id in needed}
    problems += [_cycle(cycle, nodes) for cycle in cycles(needed_feeders)]
    if not problems:
        return Validation((), tuple(wanted), ())
    return _with_dependents(problems, wanted, needed_feeders)


def custom_validated(workflow: Workflow, registry: Mapping[str, NodeType]) -> list[str]:
    """Return the nodes whose class has its own validation code, which only a process that has
    loaded it can run."""
    classes = {node.class_type for node in workflow.nodes.values()}
    checking = {name for name in classes if (node_type := registry.get(name)) and node_type.validate}
    return [node_id for node_id, node in workflow.nodes.items() if node.class_type in checking] if checking else []


def _feeders(node: WorkflowNode, node_type: NodeType | None) -> list[str]:
    inputs = node.inputs
    if node_type is None or node_type.accepts_extra_inputs:
        return [value.node for value in inputs.values() if isinstance(value, Link)]
    known = node_type.by_name
    return [
        value.node
        for name, value in inputs.items()
        if isinstance(value, Link) and name in known and known[name].under(inputs) is not None
    ]


def _is_reported(node: WorkflowNode, workflow: Workflow) -> bool:
    """Whether to report an unknown node that no output needs. Unlinked ones are skipped: canvases also contain labels
    and switches that never run."""
    return workflow.editor is None or any(isinstance(value, Link) for value in node.inputs.values())


def _no_outputs(workflow: Workflow, registry: Mapping[str, NodeType]) -> list[Problem]:
    unknown = sorted({node.class_type for node in workflow.nodes.values()} - set(registry))
    details = f"Unknown classes, which may be the outputs: {', '.join(unknown[:10])}" if unknown else ""
    what = "has no output node" if workflow.nodes else "is empty"
    return [
        Problem(
            "prompt_no_outputs",
            f"the workflow {what}: nothing would be made",
            expected="at least one node that saves or shows something, such as SaveImage",
            details=details,
        )
    ]


def _no_such_target(target: str, nodes: Mapping[str, WorkflowNode], nearest: Nearest) -> Problem:
    return Problem(
        "prompt_no_outputs",
        f"there is no node {target!r} to run",
        found=target,
        expected="the id of a node",
        suggestions=nearest(target, nodes, "node ids"),
    )


def _unknown_class(node_id: str, node: WorkflowNode, registry: Mapping[str, NodeType], nearest: Nearest) -> Problem:
    return Problem(
        "unknown_node_type",
        f"there is no node class {node.class_type!r}",
        node_id=node_id,
        class_type=node.class_type,
        found=node.class_type,
        expected="a class that is built in or comes from a pack in custom_nodes",
        suggestions=nearest(node.class_type, registry, "classes"),
    )


def _cycle(cycle: Sequence[str], nodes: Mapping[str, WorkflowNode]) -> Problem:
    shown = [*cycle, cycle[0]] if len(cycle) <= 20 else [*cycle[:19], "…", cycle[0]]
    return Problem(
        "dependency_cycle",
        f"nodes feed one another in a circle: {' → '.join(shown)}",
        node_id=cycle[0],
        class_type=nodes[cycle[0]].class_type,
        expected="links that lead from inputs to outputs only",
        extra={"cycle": tuple(cycle)},
    )


def _with_dependents(
    problems: Sequence[Problem], wanted: Sequence[str], feeders: Mapping[str, Sequence[str]]
) -> Validation:
    reached = reached_targets(wanted, feeders)
    failed_bits = 0
    outputs_of: dict[int, tuple[str, ...]] = {}
    complete = []
    for problem in problems:
        bits = reached.get(problem.node_id, 0) if problem.node_id is not None else 0
        failed_bits |= bits
        if bits not in outputs_of:
            outputs_of[bits] = tuple(_chosen(wanted, bits))
        if problem.node_id is not None:
            problem = replace(problem, extra={**problem.extra, "dependent_outputs": outputs_of[bits]})
        complete.append(problem)
    invalid = tuple(_chosen(wanted, failed_bits))
    failed_targets = set(invalid)
    valid = tuple(target for target in wanted if target not in failed_targets)
    return Validation(tuple(complete), valid, invalid)


def _chosen(wanted: Sequence[str], bits: int) -> Iterator[str]:
    while bits:
        index = (bits & -bits).bit_length() - 1
        yield wanted[index]
        bits &= bits - 1
