"""A node type made ready to run: what is the same for all its nodes, worked out once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from graph.errors import WorkflowError
from graph.plan.feed import Feed
from graph.schema import MISSING, Input, NodeType
from graph.validation.coerce import coerce
from graph.workflow import Link, MalformedLink

_EXACT: Final[Mapping[str, type]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
"""What a literal already is when it needs no coercion."""


class Wanted(NamedTuple):
    """The arguments that a ``fingerprint`` or ``check_lazy`` function takes."""

    names: frozenset[str]
    every: bool
    required: frozenset[str]

    @classmethod
    def by(cls, function: Callable[..., Any]) -> Wanted:
        parameters = inspect.signature(function).parameters.values()
        named = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return cls(
            frozenset(p.name for p in named),
            any(p.kind is p.VAR_KEYWORD for p in parameters),
            frozenset(p.name for p in named if p.default is p.empty),
        )

    def takes(self, name: str) -> bool:
        return self.every or name in self.names

    def arguments(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Those of ``known`` that it takes; None for what it insists on and is not known."""
        taken = {name: value for name, value in known.items() if self.every or name in self.names}
        for name in self.required:
            taken.setdefault(name, None)
        return taken


class Kind:
    """One node type, with its signature unpacked for the hot loops."""

    __slots__ = (
        "check_lazy",
        "fingerprint",
        "function",
        "hasher",
        "id_matters",
        "inputs",
        "name",
        "output_is_list",
        "type",
        "versioned",
    )

    def __init__(self, node_type: NodeType, environment: str):
        self.type = node_type
        self.name = node_type.name
        self.function = node_type.function
        self.versioned = node_type.version is not None
        self.inputs = tuple(
            (declared, declared.name, declared.parameter or declared.name, _EXACT.get(declared.type))
            for declared in node_type.inputs
        )
        self.output_is_list = tuple(output.is_list for output in node_type.outputs)
        self.fingerprint = Wanted.by(node_type.fingerprint) if node_type.fingerprint else None
        self.check_lazy = Wanted.by(node_type.check_lazy) if node_type.check_lazy else None
        hidden = set(node_type.hidden.values())
        self.id_matters = not node_type.idempotent or "UNIQUE_ID" in hidden or "DYNPROMPT" in hidden
        identity = (node_type.name, node_type.version, environment if node_type.environment else None)
        self.hasher = blake2b(repr(identity).encode(), digest_size=20)

    def read(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Feed]]:
        """The effective inputs: literals by parameter, coerced, defaults filled in; and links.

        Raises WorkflowError for one that is missing or of the wrong kind.
        """
        literals: dict[str, Any] = {}
        links: list[Feed] = []
        for declared, name, parameter, exact in self.inputs:
            value = given.get(name, MISSING)
            kind = type(value)
            if kind is Link:
                links.append(Feed(parameter, name, value.node, value.output, declared.lazy, declared.raw_link))
            elif kind is exact:
                literals[parameter] = value
            elif value is MISSING:
                if declared.default is not MISSING:
                    literals[parameter] = declared.default
                elif declared.required:
                    raise WorkflowError(f"input '{name}' is missing; expected {_expected(declared)}")
            else:
                literals[parameter] = _literal(declared, value)
        if self.type.accepts_extra_inputs:
            declared_names = self.type.by_name
            for name, value in given.items():
                if name in declared_names:
                    continue
                if type(value) is Link:
                    links.append(Feed(name, name, value.node, value.output, False, False))
                elif self.type.accepts_extra_literals:
                    literals[name] = _literal(Input(name, "*"), value)
        return literals, links


def _literal(declared: Input, value: Any) -> Any:
    if isinstance(value, MalformedLink):
        raise WorkflowError(f"input '{declared.name}': {list(value)!r} is no link; expected [node id, output]")
    try:
        return coerce(declared, value)
    except (TypeError, ValueError) as error:
        raise WorkflowError(f"input '{declared.name}': {error}; expected {_expected(declared)}") from error


def _expected(declared: Input) -> str:
    return declared.type if declared.has_widget else f"a link to an output of type {declared.type}"
