"""The engine's form of a workflow: an immutable graph of nodes, literals and links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple


class Link(NamedTuple):
    """A link to output ``output`` of node ``node``."""

    node: str
    output: int


class MalformedLink(list[Any]):
    """A list where a link was expected. Validation reports it."""


@dataclass(frozen=True, slots=True)
class WorkflowNode:
    """One placed node. ``inputs`` hold literals (JSON values) and :class:`Link`."""

    class_type: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    title: str | None = None


@dataclass(frozen=True)
class Workflow:
    """``nodes`` by id. ``editor`` is the editor-dialect JSON that it was read from, or None;
    it is written into saved pictures (EXTRA_PNGINFO). ``notes`` list what another program's file
    contains that this workflow does not."""

    nodes: Mapping[str, WorkflowNode]
    editor: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", MappingProxyType(dict(self.nodes)))

    def to_api(self) -> dict[str, Any]:
        """Return the workflow in the API dialect, ready for json.dumps (see :func:`load`)."""
        return {node_id: _node_to_api(node) for node_id, node in self.nodes.items()}


def _node_to_api(node: WorkflowNode) -> dict[str, Any]:
    inputs = {name: _literal_to_api(value) for name, value in node.inputs.items()}
    api: dict[str, Any] = {"class_type": node.class_type, "inputs": inputs}
    if node.title is not None:
        api["_meta"] = {"title": node.title}
    return api


def _literal_to_api(value: Any) -> Any:
    if isinstance(value, Link):
        return [value.node, value.output]
    if isinstance(value, MalformedLink):
        return list(value)
    if isinstance(value, list):
        return {"__value__": value}
    return value
