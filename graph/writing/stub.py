"""Writes a type stub for a workflow builder: a typed method for each node class, for Python's editors and checkers.

An output has the type ``_Out[_MODEL]``, an input takes outputs of its socket types, values of its widget, or a Link.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from graph.builder import OTHER_INPUTS, AddedNode, default_of, is_argument, is_method
from graph.schema import Input, NodeType
from graph.writing.script import literal

_MOST_CHOICES: Final = 200
"""Number of choices above which an input is typed as a plain value."""

_VALUES: Final = {
    "INT": "int",
    "FLOAT": "float",
    "STRING": "str",
    "BOOLEAN": "bool",
    "COMBO": "str | int | float | bool",
    "BOUNDING_BOX": "Mapping[str, int]",
}

_HEAD: Final = '''\
# Made by `main.py stubs` from the nodes of this installation. Run it again after installing a node pack.
# mypy: ignore-errors
# ruff: noqa
from collections.abc import Mapping
from typing import Any, Generic, Literal, TypedDict, TypeVar, overload

from graph.builder import AddedNode as AddedNode
from graph.schema import NodeType
from graph.workflow import Link, Workflow

_T_co = TypeVar("_T_co", covariant=True)
_Pair = tuple[float, float]

class _Out(Generic[_T_co]):
    """An output of a node."""

class _Node:
    """A node that was added; its outputs are inputs of other nodes."""
    node_id: str
    class_type: str
    def only_output(self) -> Link: ...
'''

_BUILDER: Final = '''
class Builder:
    """A workflow that grows with each call: every node class is a method, its inputs are the arguments."""
    registry: Mapping[str, NodeType]
    extra: dict[str, Any]
    def __init__(self, registry: Mapping[str, NodeType] | None = None) -> None: ...
    def note(self, text: str, *, title: str | None = None, at: _Pair | None = None, size: _Pair | None = None, \
markdown: bool = False, look: Mapping[str, Any] | None = None) -> None:
        "Put a note on the editor's canvas."
    def group(self, title: str, *, at: _Pair, size: _Pair, color: str | None = None) -> None:
        "Draw a titled frame on the editor's canvas."
    def workflow(self) -> Workflow: ...
    def to_api(self) -> dict[str, Any]: ...
    def to_editor(self) -> dict[str, Any]: ...
'''

_PLACING: Final = (
    "_id: str | int | None = None, _title: str | None = None, _at: _Pair | None = None, "
    "_size: _Pair | None = None, _look: Mapping[str, Any] | None = None"
)


def stub(registry: Mapping[str, NodeType]) -> str:
    """Return the content of ``nodes/builder.pyi`` for the nodes of ``registry``."""
    node_types = sorted(registry.values(), key=lambda node_type: node_type.name)
    names = _result_names(node_types)
    parts = [_HEAD, *(f"class {token}: ..." for token in sorted(_tokens(node_types))), ""]
    for node_type in node_types:
        parts += _result_class(node_type, names[node_type.name])
        parts += _other_inputs(node_type, names[node_type.name])
    parts += _BUILDER.splitlines()
    others = [node_type for node_type in node_types if not is_method(node_type.name)]
    for node_type in node_types:
        if is_method(node_type.name):
            parts += _function(node_type, names[node_type.name], node_type.name, "self, *, ")
    for node_type in others:
        chosen = f"self, class_type: Literal[{literal(node_type.name)}], /, *, "
        parts += ["    @overload", *_function(node_type, names[node_type.name], "node", chosen)]
    rest = f"self, class_type: str, /, *, {_PLACING}, {OTHER_INPUTS}: Mapping[str, Any] | None = None, **inputs: Any"
    parts += [*(["    @overload"] if others else []), f"    def node({rest}) -> AddedNode: ..."]
    return "\n".join(parts) + "\n"


def _result_names(node_types: list[NodeType]) -> dict[str, str]:
    """Return the name of the class that adding each node returns."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for node_type in node_types:
        plain = "_" + re.sub(r"\W+", "_", node_type.name) + "_node"
        name, number = plain, 1
        while name in used:
            number += 1
            name = f"{plain}_{number}"
        used.add(name)
        names[node_type.name] = name
    return names


def _tokens(node_types: list[NodeType]) -> set[str]:
    kinds = {output.type for node_type in node_types for output in node_type.outputs}
    kinds |= {kind for node_type in node_types for declared in node_type.inputs for kind in declared.type.split(",")}
    return {_token(kind) for kind in kinds} - {"Any"}


def _token(kind: str) -> str:
    """Return the class that stands for a socket type."""
    kind = kind.strip()
    return "Any" if kind in ("*", "") else "_" + re.sub(r"\W+", "_", kind)


def _out(kind: str) -> str:
    return " | ".join(dict.fromkeys(f"_Out[{_token(each)}]" for each in kind.split(",")))


def _result_class(node_type: NodeType, name: str) -> list[str]:
    kinds = [output.type if output.same_as is None else "*" for output in node_type.outputs]
    bases = ["_Node"]
    if len(kinds) == 1:
        bases.append(f"_Out[{_token(kinds[0])}]" if "," not in kinds[0] else "_Out[Any]")
    elif kinds:
        bases.append(f"tuple[{', '.join(map(_out, kinds))}]")
    outputs = [output.name for output in node_type.outputs]
    attributes = [
        f"    {output}: {_out(kind)}"
        for output, kind in zip(outputs, kinds, strict=True)
        if is_argument(output) and not output.startswith("_") and not hasattr(AddedNode, output)
        if outputs.count(output) == 1
    ]
    return [f"class {name}({', '.join(bases)}):", *(attributes or ["    ..."])]


def _other_inputs(node_type: NodeType, name: str) -> Iterator[str]:
    others = [declared for declared in node_type.inputs if not is_argument(declared.name) and not declared.hidden]
    if others:
        fields = ", ".join(f"{literal(declared.name)}: {_input_type(declared)}" for declared in others)
        yield f'{name}_inputs = TypedDict("{name}_inputs", {{{fields}}}, total=False)'


def _function(node_type: NodeType, result: str, name: str, first: str) -> list[str]:
    parameters = [_parameter(declared) for declared in node_type.inputs if is_argument(declared.name)]
    others = any(not is_argument(declared.name) and not declared.hidden for declared in node_type.inputs)
    typed = f"{result}_inputs" if others and not node_type.accepts_extra_inputs else "Mapping[str, Any]"
    extra = ", **inputs: Any" if node_type.accepts_extra_inputs else ""
    written = ", ".join([*parameters, _PLACING, f"{OTHER_INPUTS}: {typed} | None = None"]) + extra
    described = " ".join(node_type.description.split())
    return [f"    def {name}({first}{written}) -> {result}:", f"        {literal(described or node_type.name)}"]


def _parameter(declared: Input) -> str:
    default = default_of(declared)
    typed = f"{declared.name}: {_input_type(declared)}"
    if not declared.required and default is None:
        return f"{typed} | None = None"
    if isinstance(default, type):
        return typed
    return f"{typed} = {literal(default) if isinstance(default, (str, int, float)) else '...'}"


def _input_type(declared: Input) -> str:
    if "*" in declared.type.split(","):
        return "Any"
    values = [_VALUES[kind] for kind in declared.type.split(",") if kind in _VALUES]
    if declared.type == "COMBO":
        values = [_choices(declared)]
    return " | ".join([*values, _out(declared.type), "Link"])


def _choices(declared: Input) -> str:
    choices = declared.choices or ()
    closed = declared.files is None and 0 < len(choices) <= _MOST_CHOICES
    if closed and all(type(choice) in (str, int, bool) for choice in choices):
        return f"Literal[{', '.join(map(literal, choices))}]"
    if choices and not all(isinstance(choice, str) for choice in choices):
        return _VALUES["COMBO"]
    return "str"
