"""Changes a workflow's literals from the command line: ``--set`` and ``--prompt``; finds the inputs of ``--sweep``."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from graph.errors import SumiError
from graph.schema import Registry
from graph.workflow import Link, Workflow, WorkflowNode


class OverrideError(SumiError):
    """The workflow has no input that a ``--set``, ``--prompt`` or ``--sweep`` could change."""


def with_changes(workflow: Workflow, options: argparse.Namespace, registry: Registry) -> Workflow:
    """Return ``workflow`` with ``--prompt`` and ``--set`` applied. Raises OverrideError."""
    if options.prompt is not None:
        workflow = set_prompt(workflow, options.prompt, registry)
    return set_inputs(workflow, options.set, registry)


def set_inputs(workflow: Workflow, assignments: list[str], registry: Registry) -> Workflow:
    """Return ``workflow`` with each ``NODE.input=value`` applied.

    NODE is an id, or a title or class that occurs once; a value is JSON or else text.
    Raises OverrideError, which lists the candidates, if NODE or input does not exist.
    """
    for assignment in assignments:
        node_id, name, value = find_input(workflow, assignment, registry, "--set", "3.steps=30")
        node = workflow.nodes[node_id]
        inputs = {**node.inputs, name: _parse(value, node, name, registry)}
        workflow = _with_node(workflow, node_id, inputs)
    return workflow


def set_prompt(workflow: Workflow, text: str, registry: Registry) -> Workflow:
    """Return ``workflow`` with ``text`` in every text input that reaches an input named ``positive``.

    Follows the links upstream from there and stops at the first nodes that have a text.
    Raises OverrideError if no node has a linked ``positive`` or no text reaches it.
    """
    found = list(_texts_reaching_positive(workflow, registry))
    if not found:
        raise OverrideError(
            "--prompt: no text reaches an input named 'positive' in this workflow; use --set NODE.input=…"
        )
    for node_id, name in found:
        workflow = _with_node(workflow, node_id, {**workflow.nodes[node_id].inputs, name: text})
    return workflow


def _with_node(workflow: Workflow, node_id: str, inputs: Mapping[str, Any]) -> Workflow:
    """Return the workflow with one node replaced and without the editor JSON, which no longer matches."""
    nodes = {**workflow.nodes, node_id: dataclasses.replace(workflow.nodes[node_id], inputs=inputs)}
    return Workflow(nodes, editor=None)


def _texts_reaching_positive(workflow: Workflow, registry: Registry) -> Iterator[tuple[str, str]]:
    waiting = [
        node.inputs["positive"].node
        for node in workflow.nodes.values()
        if isinstance(node.inputs.get("positive"), Link)
    ]
    seen: set[str] = set()
    while waiting:
        node_id = waiting.pop()
        if node_id in seen or node_id not in workflow.nodes:
            continue
        seen.add(node_id)
        node = workflow.nodes[node_id]
        texts = [
            name for name, value in node.inputs.items() if isinstance(value, str) and _is_text(node, name, registry)
        ]
        if texts:
            yield from ((node_id, name) for name in texts)
        else:
            waiting += [value.node for value in node.inputs.values() if isinstance(value, Link)]


def _is_text(node: WorkflowNode, name: str, registry: Registry) -> bool:
    node_type = registry.get(node.class_type)
    return node_type is not None and name in node_type.by_name and node_type.by_name[name].type == "STRING"


def find_input(
    workflow: Workflow, assignment: str, registry: Registry, option: str, example: str
) -> tuple[str, str, str]:
    """Return the node's id, the input and the text after ``=`` of an ``assignment`` ``NODE.input=value``.

    Titles and input names may contain dots, so every split is tried, the last dot first. Raises OverrideError.
    """
    target, equals, value = assignment.partition("=")
    if not equals or "." not in target:
        raise OverrideError(f"{option} {assignment}: expected NODE.input=value, such as {example}")
    places = [place for place, character in enumerate(target) if character == "."]
    named: list[str] = []
    for place in reversed(places):
        wanted, name = target[:place], target[place + 1 :]
        matches = _matching_nodes(workflow, wanted)
        if len(matches) == 1 and name in _input_names(workflow.nodes[matches[0]], registry):
            return matches[0], name, value
        named = named or matches
    wanted, name = target[: places[-1]], target[places[-1] + 1 :]
    if len(named) > 1:
        raise OverrideError(
            f"{option} {assignment}: '{wanted}' matches {len(named)} nodes: {_listed(workflow, named)}; use an id"
        )
    if not named:
        near = _nearest_nodes(workflow, wanted)
        raise OverrideError(
            f"{option} {assignment}: there is no node '{wanted}'; the nodes are {_listed(workflow, near)}"
        )
    names = _input_names(workflow.nodes[named[0]], registry)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise OverrideError(
        f"{option} {assignment}: node '{wanted}' has no input '{name}'; {hint}it has {', '.join(names)}"
    )


def _matching_nodes(workflow: Workflow, wanted: str) -> list[str]:
    if wanted in workflow.nodes:
        return [wanted]
    by_title = [node_id for node_id, node in workflow.nodes.items() if node.title == wanted]
    return by_title or [node_id for node_id, node in workflow.nodes.items() if node.class_type == wanted]


def _nearest_nodes(workflow: Workflow, wanted: str) -> list[str]:
    names = {node_id: (node.title or "", node.class_type) for node_id, node in workflow.nodes.items()}
    close = set(difflib.get_close_matches(wanted, {name for pair in names.values() for name in pair}, n=5))
    return [node_id for node_id, pair in names.items() if close & set(pair)] or list(workflow.nodes)


def _listed(workflow: Workflow, node_ids: list[str], most: int = 20) -> str:
    shown = []
    for node_id in node_ids[:most]:
        node = workflow.nodes[node_id]
        shown.append(f"{node_id} ({node.class_type}{f', “{node.title}”' if node.title else ''})")
    return ", ".join(shown) + (" …" if len(node_ids) > most else "")


def _input_names(node: WorkflowNode, registry: Registry) -> list[str]:
    node_type = registry.get(node.class_type)
    return list(dict.fromkeys([*(node_type.by_name if node_type else ()), *node.inputs]))


def _parse(text: str, node: WorkflowNode, name: str, registry: Registry) -> Any:
    node_type = registry.get(node.class_type)
    declared = node_type.by_name.get(name) if node_type else None
    if declared is not None and declared.type in ("STRING", "COMBO"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
