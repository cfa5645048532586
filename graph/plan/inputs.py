"""Converts a node's inputs as written to the literals and links that it runs with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graph.errors import WorkflowError
from graph.plan.kind import Kind
from graph.plan.node_state import InputLink
from graph.schema import MISSING, Input
from graph.validation.coerce import coerce
from graph.workflow import Link, MalformedLink


def read_inputs(kind: Kind, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InputLink]]:
    """Return the literals by parameter, coerced and with defaults filled in, and the linked inputs.

    Raises WorkflowError for an input that is missing or of the wrong type.
    """
    literals: dict[str, Any] = {}
    links: list[InputLink] = []
    for declared, name, parameter, exact in kind.inputs:
        if declared.by_choice:
            chosen = declared.under(given)
            if chosen is None:  # the chosen value does not bring this input
                continue
            declared, exact = chosen, None
        value = given.get(name, MISSING)
        value_type = type(value)
        if value_type is Link:
            links.append(InputLink(parameter, name, value.node, value.output, declared.lazy, declared.raw_link))
        elif value_type is exact:
            literals[parameter] = value
        elif value is MISSING:
            if (filled_in := declared.filled_in) is not MISSING:
                literals[parameter] = filled_in
            elif declared.required:
                raise WorkflowError(f"input '{name}' is missing; expected {_expected(declared)}")
        else:
            literals[parameter] = _literal(declared, value)
    if kind.type.accepts_extra_inputs:
        declared_names = kind.type.by_name
        for name, value in given.items():
            if name in declared_names:
                continue
            if type(value) is Link:
                links.append(InputLink(name, name, value.node, value.output, False, False))
            elif kind.type.accepts_extra_literals:
                literals[name] = _literal(Input(name, "*"), value)
    return literals, links


def _literal(declared: Input, value: Any) -> Any:
    if isinstance(value, MalformedLink):
        raise WorkflowError(f"input '{declared.name}': {list(value)!r} is not a link; expected [node id, output]")
    try:
        return coerce(declared, value)
    except (TypeError, ValueError) as error:
        raise WorkflowError(f"input '{declared.name}': {error}; expected {_expected(declared)}") from error


def _expected(declared: Input) -> str:
    return declared.type if declared.has_widget else f"a link to an output of type {declared.type}"
