"""Values at the edge between Sumi's nodes and a pack's: most are the same, and a model is an object.

A pack expects of a MODEL, CLIP or VAE an object with methods; Sumi's are handles. The objects of
:mod:`nodes.compat.comfy.model_objects` stand for a handle while a pack's node runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from graph.errors import SumiError
from graph.results import Blocked, NodeResult
from graph.schema import Output


class PackResultError(SumiError):
    """A pack's node returned what is no result."""


def to_pack(value: Any) -> Any:
    """``value`` as a pack expects it."""
    handles = sys.modules.get("nodes.models.handle")
    if handles is None or not isinstance(value, handles.Handle):
        return value
    from nodes.compat.comfy import model_objects

    return model_objects.to_pack(value)


def from_pack(value: Any) -> Any:
    """``value``, which a pack returned, as Sumi's nodes expect it."""
    objects = sys.modules.get("nodes.compat.comfy.model_objects")
    return objects.from_pack(value) if objects is not None else value


def result_of(returned: Any, outputs: tuple[Output, ...]) -> NodeResult:
    """What a class-style function returned: a tuple, or a dict of ``result``, ``ui`` and ``expand``.

    Too few values are filled up with None and too many cut, since packs return either where nobody looks.
    Raises PackResultError for what is neither.
    """
    ui: Mapping[str, Any] | None = None
    expand: Mapping[str, Any] | None = None
    if isinstance(returned, Mapping) and not returned.keys().isdisjoint(("ui", "result", "expand")):
        ui, expand = returned.get("ui"), returned.get("expand")
        returned = returned.get("result")
    if type(returned) is Blocked:
        values: list[Any] = [returned] * len(outputs)
    elif returned is None:
        values = []
    elif isinstance(returned, (tuple, list)):
        values = list(returned[: len(outputs)])
    elif len(outputs) <= 1:
        values = [returned][: len(outputs)]
    else:
        raise PackResultError(f"returned a {type(returned).__name__}; expected a tuple of {len(outputs)} values")
    values += [None] * (len(outputs) - len(values))
    values = [_output(value, output, expand is not None) for value, output in zip(values, outputs, strict=True)]
    if ui is not None and not isinstance(ui, Mapping):
        raise PackResultError(f"returned a ui that is a {type(ui).__name__}; expected a dict of lists")
    return NodeResult(*values, ui=None if ui is None else plain(ui), expand=None if expand is None else _graph(expand))


def _output(value: Any, output: Output, expands: bool) -> Any:
    if expands and _is_link(value):
        return [str(value[0]), int(value[1])]
    if not output.is_list or type(value) is Blocked:
        return from_pack(value)
    if value is None:
        return []
    try:
        return [from_pack(element) for element in value]
    except TypeError:
        raise PackResultError(f"output '{output.name}' is a list; the node returned a {type(value).__name__}") from None


def _graph(expand: Mapping[str, Any]) -> dict[str, Any]:
    """The graph, with models in its inputs as Sumi's nodes expect them."""
    graph = {}
    for node_id, node in expand.items():
        inputs = {name: from_pack(value) for name, value in node.get("inputs", {}).items()}
        graph[str(node_id)] = {**node, "inputs": inputs}
    return graph


def _is_link(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
        and not isinstance(value[1], bool)
    )


def plain(value: Any) -> Any:
    """``value`` as JSON data, as far as it can be: tuples and sets become lists, numpy's scalars numbers,
    whatever JSON has nothing for its text."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return [plain(item) for item in value]
    if isinstance(value, int):
        return int(value)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return plain(value.item())
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)
