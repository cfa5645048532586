"""Node types prepared for running: data that all nodes of a type share, computed once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from graph.schema import NodeType

_EXACT: Final[Mapping[str, type]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
"""The Python type of a literal that needs no coercion, by socket type."""


class AcceptedArguments(NamedTuple):
    """The arguments that a ``fingerprint`` or ``check_lazy`` function accepts. ``every``: it has ``**kwargs``."""

    names: frozenset[str]
    every: bool
    required: frozenset[str]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> AcceptedArguments:
        """Read the signature of ``function``."""
        parameters = inspect.signature(function).parameters.values()
        named = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return cls(
            frozenset(p.name for p in named),
            any(p.kind is p.VAR_KEYWORD for p in parameters),
            frozenset(p.name for p in named if p.default is p.empty),
        )

    def select(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return the known arguments that the function accepts; required ones that are missing are None."""
        selected = {name: value for name, value in known.items() if self.every or name in self.names}
        for name in self.required:
            selected.setdefault(name, None)
        return selected


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
        "shareable",
        "type",
        "versioned",
    )

    def __init__(self, node_type: NodeType, environment: str):
        self.type = node_type
        self.name = node_type.name
        self.function = node_type.function
        self.versioned = node_type.version is not None
        self.shareable = self.versioned and node_type.environment and not node_type.output_node
        """Whether results are worth a look into the cache that machines share: of nodes that compute. Files that an
        output node's result names are on one machine."""
        self.inputs = tuple(
            (declared, declared.name, declared.parameter or declared.name, _EXACT.get(declared.type))
            for declared in node_type.inputs
        )
        self.output_is_list = tuple(output.is_list for output in node_type.outputs)
        self.fingerprint = AcceptedArguments.of(node_type.fingerprint) if node_type.fingerprint else None
        self.check_lazy = AcceptedArguments.of(node_type.check_lazy) if node_type.check_lazy else None
        hidden = set(node_type.hidden.values())
        self.id_matters = not node_type.idempotent or "UNIQUE_ID" in hidden or "DYNPROMPT" in hidden
        identity = (node_type.name, node_type.version, environment if node_type.environment else None)
        self.hasher = blake2b(repr(identity).encode(), digest_size=20)
