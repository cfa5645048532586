"""The API dialect: ``{id: {"class_type", "inputs", "_meta"?}}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graph.formats.shape import object_at, wrong
from graph.workflow import Link, MalformedLink, WorkflowNode


def read_api(document: Mapping[str, Any]) -> dict[str, WorkflowNode]:
    """Read the nodes of an API-dialect document, by id.

    A list is a link, ``[node id, output index]``; any other list becomes a MalformedLink,
    which validation reports with the other problems. ``{"__value__": x}`` is the literal x.
    Raises FormatError.
    """
    return {node_id: _node(value, node_id) for node_id, value in document.items()}


def _node(value: Any, node_id: str) -> WorkflowNode:
    if not isinstance(value, dict):
        raise wrong(f'"{node_id}"', value, "an object")
    class_type, inputs, meta = value.get("class_type"), value.get("inputs"), value.get("_meta")
    if not isinstance(class_type, str) or not class_type:
        expected = "text" if "class_type" in value else "the name of a node class"
        raise wrong(f'"{node_id}".class_type', class_type, expected)
    if inputs is not None and not isinstance(inputs, dict):
        raise wrong(f'"{node_id}".inputs', inputs, "an object")
    return WorkflowNode(
        class_type,
        {name: read_input(literal) for name, literal in inputs.items()} if inputs else {},
        None if meta is None else _title(meta, f'"{node_id}"._meta'),
    )


def read_input(value: Any) -> Any:
    """Read an input: a literal, a Link, or a MalformedLink."""
    if isinstance(value, list):
        return _link(value)
    if isinstance(value, dict) and "__value__" in value:
        return value["__value__"]
    return value


def _link(value: list[Any]) -> Link | MalformedLink:
    if len(value) != 2:
        return MalformedLink(value)
    node, output = value
    if isinstance(output, float) and output.is_integer():
        output = int(output)
    if isinstance(node, bool) or not isinstance(node, (str, int)) or type(output) is not int:
        return MalformedLink(value)
    return Link(str(node), output)


def _title(meta: Any, place: str) -> str | None:
    title = object_at(meta, place).get("title")
    if title is not None and not isinstance(title, str):
        raise wrong(f"{place}.title", title, "text")
    return title
