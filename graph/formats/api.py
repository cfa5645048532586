"""The API dialect: ``{id: {"class_type", "inputs", "_meta"?}}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graph.formats.shape import object_at, text_at, wrong
from graph.workflow import Link, MalformedLink, WorkflowNode


def read_api(document: Mapping[str, Any]) -> dict[str, WorkflowNode]:
    """The nodes of an API-dialect document, by id.

    A list is a link, ``[node id, output index]``; any other list becomes a MalformedLink,
    which validation reports together with whatever else is wrong. ``{"__value__": x}`` is
    the literal x. Raises FormatError.
    """
    return {node_id: _node(value, f'"{node_id}"') for node_id, value in document.items()}


def _node(value: Any, place: str) -> WorkflowNode:
    node = object_at(value, place)
    if "class_type" not in node:
        raise wrong(f"{place}.class_type", None, "the name of a node class")
    inputs = node.get("inputs")
    return WorkflowNode(
        class_type=text_at(node["class_type"], f"{place}.class_type"),
        inputs={
            name: read_input(literal)
            for name, literal in object_at({} if inputs is None else inputs, f"{place}.inputs").items()
        },
        title=_title(node.get("_meta"), f"{place}._meta"),
    )


def read_input(value: Any) -> Any:
    """An input as the engine holds it: a literal, a Link, or a MalformedLink."""
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
    if meta is None:
        return None
    title = object_at(meta, place).get("title")
    if title is not None and not isinstance(title, str):
        raise wrong(f"{place}.title", title, "text")
    return title
