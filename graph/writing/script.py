"""Writes a workflow as Python statements that build it again with a :class:`graph.builder.WorkflowBuilder`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graph.builder import AddedNode, defaults_of, is_argument, is_method
from graph.schema import NodeType
from graph.workflow import Link, MalformedLink, Workflow, WorkflowNode
from graph.writing.layout import topological
from graph.writing.names import variable_names
from graph.writing.places import Place, Surroundings

BUILDER: Final = "w"
"""The builder's name in the statements."""

_INDENT: Final = "    "
_WIDTH: Final = 110


@dataclass(frozen=True, slots=True)
class Statements:
    """``lines`` use the builder under the name BUILDER, and the names ``imports`` from graph.workflow."""

    lines: tuple[str, ...]
    imports: tuple[str, ...]


def statements(
    workflow: Workflow,
    registry: Mapping[str, NodeType],
    around: Surroundings | None = None,
    taken: Iterable[str] = (),
) -> Statements:
    """Return the statements that build ``workflow`` and what is around it: the same IDs, classes, inputs and titles.

    Each node follows the nodes that feed it; in a cycle, and to a missing node, the link is written as ``Link(id,
    output)``. ``taken`` are names that variables must not have.
    """
    return _Writer(workflow, registry, around or Surroundings(), taken).statements()


def literal(value: Any) -> str:
    """Return a JSON value as a Python expression."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {literal(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


class _Writer:
    def __init__(
        self, workflow: Workflow, registry: Mapping[str, NodeType], around: Surroundings, taken: Iterable[str]
    ):
        self._nodes = workflow.nodes
        self._registry = registry
        self._around = around
        self._names = variable_names(workflow.nodes, {BUILDER, "Link", "MalformedLink", *taken})
        self._used = {
            value.node for node in self._nodes.values() for value in node.inputs.values() if isinstance(value, Link)
        }
        self._written: set[str] = set()
        self._imports: set[str] = set()

    def statements(self) -> Statements:
        lines: list[str] = []
        for node_id in topological({name: _sources(node) for name, node in self._nodes.items()}):
            lines += self._node(node_id, self._nodes[node_id])
            self._written.add(node_id)
        for note in self._around.notes:
            arguments = [_text(note.text), *(["markdown=True"] if note.markdown else [])]
            arguments += [f"title={literal(note.title)}"] if note.title is not None else []
            lines += _call(f"{BUILDER}.note", [*arguments, *_placing(note.place, "")])
        for group in self._around.groups:
            arguments = [literal(group.title), f"at={literal(group.at)}", f"size={literal(group.size)}"]
            arguments += [f"color={literal(group.color)}"] if group.color is not None else []
            lines += _call(f"{BUILDER}.group", arguments)
        for name, value in self._around.extra.items():
            lines.append(f"{BUILDER}.extra[{literal(name)}] = {literal(value)}")
        return Statements(tuple(lines), tuple(sorted(self._imports)))

    def _node(self, node_id: str, node: WorkflowNode) -> list[str]:
        arguments = [f"{name}={self._value(value)}" for name, value in node.inputs.items() if is_argument(name)]
        others = {name: self._value(value) for name, value in node.inputs.items() if not is_argument(name)}
        if others:
            arguments.append("_inputs={" + ", ".join(f"{literal(name)}: {text}" for name, text in others.items()) + "}")
        placing = [f"_id={literal(node_id)}"]
        placing += [f"_title={literal(node.title)}"] if node.title is not None else []
        place = self._around.places.get(node_id)
        placing += _placing(place, "_") if place is not None else []
        arguments.append(", ".join(placing))
        function = f"{BUILDER}.{node.class_type}"
        if not self._has_method(node):
            function = f"{BUILDER}.node"
            arguments.insert(0, literal(node.class_type))
        target = f"{self._names[node_id]} = " if node_id in self._used else ""
        return _call(target + function, arguments)

    def _has_method(self, node: WorkflowNode) -> bool:
        """Whether the method for the class builds exactly this node: it refuses unknown inputs and adds defaults."""
        node_type = self._registry.get(node.class_type)
        if node_type is None or not is_method(node.class_type):
            return False
        known = node_type.accepts_extra_inputs or all(name in node_type.by_name for name in node.inputs)
        return known and defaults_of(node_type).keys() <= node.inputs.keys()

    def _value(self, value: Any) -> str:
        if isinstance(value, Link):
            return self._link(value)
        if isinstance(value, MalformedLink):
            self._imports.add("MalformedLink")
            return f"MalformedLink({literal(list(value))})"
        return _text(value) if isinstance(value, str) else literal(value)

    def _link(self, link: Link) -> str:
        node = self._nodes.get(link.node)
        node_type = self._registry.get(node.class_type) if node is not None else None
        is_known = node_type is None or 0 <= link.output < len(node_type.outputs)
        if link.node not in self._written or not is_known:
            self._imports.add("Link")
            return f"Link({literal(link.node)}, {link.output})"
        name = self._names[link.node]
        if node_type is not None and len(node_type.outputs) == 1:
            return name
        output = self._output_name(node_type, link.output)
        return f"{name}.{output}" if output is not None else f"{name}[{link.output}]"

    def _output_name(self, node_type: NodeType | None, index: int) -> str | None:
        """Return the attribute of the output; None if its name cannot be one."""
        names = [output.name for output in node_type.outputs] if node_type is not None else []
        name = names[index] if 0 <= index < len(names) else ""
        usable = is_argument(name) and not name.startswith("_") and not hasattr(AddedNode, name)
        return name if usable and names.count(name) == 1 else None


def _sources(node: WorkflowNode) -> list[str]:
    return [value.node for value in node.inputs.values() if isinstance(value, Link)]


def _placing(place: Place, prefix: str) -> Iterator[str]:
    if place.at is not None:
        yield f"{prefix}at={literal(place.at)}"
    if place.size is not None:
        yield f"{prefix}size={literal(place.size)}"
    if place.look:
        yield f"{prefix}look={literal(place.look)}"


def _text(value: str) -> str:
    """Return a text as an expression; one of several lines as a literal for each line."""
    lines = value.splitlines(keepends=True)
    if len(lines) < 2 or len(value) < 60:
        return literal(value)
    return "(" + "".join(f"\n{_INDENT * 2}{literal(line)}" for line in lines) + f"\n{_INDENT})"


def _call(function: str, arguments: list[str]) -> list[str]:
    """Return the lines of a call: one, or one for each argument."""
    whole = f"{function}({', '.join(arguments)})"
    if len(whole) <= _WIDTH and "\n" not in whole:
        return [whole]
    return f"{function}(\n{''.join(f'{_INDENT}{each},' + chr(10) for each in arguments)})".split("\n")
