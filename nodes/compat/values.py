"""Converts values between Sumi's nodes and a pack's: models, control networks, guiders and samplers.

A pack expects an object with methods; Sumi's values are handles. The objects of
:mod:`nodes.compat.comfy.model_objects` represent a handle while a pack's node runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from graph.errors import SumiError
from graph.results import Blocked, NodeResult
from graph.schema import Output


class PackResultError(SumiError):
    """A pack's node returned something that is not a result."""


def to_pack(value: Any) -> Any:
    """Convert ``value`` for a pack."""
    handles = sys.modules.get("nodes.models.handle")
    if handles is None:
        return value
    if isinstance(value, handles.Handle) or _is_sampler(value):
        from nodes.compat.comfy import model_objects

        return model_objects.to_pack(value)
    if _is_controlled(value):
        from nodes.compat.comfy import model_objects

        return model_objects.conditioning_to_pack(value)
    return value


def from_pack(value: Any, kind: str = "") -> Any:
    """Convert ``value``, which a pack returned, for Sumi's nodes. ``kind`` is the type of its socket."""
    if kind == "SAMPLER" and hasattr(value, "sample"):
        from nodes.compat.comfy import model_objects

        return model_objects.sampler_from_pack(value)
    if not any(base.__module__.startswith((_OBJECTS, _SPANDREL)) for base in type(value).__mro__):
        return value
    from nodes.compat.comfy import model_objects

    return model_objects.from_pack(value)


_OBJECTS: Final = "nodes.compat.comfy"
"""The package of the classes of packs' objects."""
_SPANDREL: Final = "spandrel."
"""The package of the networks that packs load with spandrel."""


def _is_sampler(value: Any) -> bool:
    module = type(value).__module__
    return hasattr(value, "sample") and module.startswith(("nodes.sampling.", f"{_OBJECTS}."))


def _is_controlled(value: Any) -> bool:
    """Return whether it is a CONDITIONING with a control."""
    return (
        isinstance(value, list)
        and all(isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], dict) for entry in value)
        and any(entry[1].get("control") is not None for entry in value)
    )


def result_of(returned: Any, outputs: tuple[Output, ...]) -> NodeResult:
    """Read the result of a class-style function: a tuple, or a dict of ``result``, ``ui`` and ``expand``.

    Missing values become None and extra values are dropped, since packs return such results where ComfyUI does not
    check. An empty dict counts as no result.
    Raises PackResultError for other values.
    """
    ui: Mapping[str, Any] | None = None
    expand: Mapping[str, Any] | None = None
    if isinstance(returned, Mapping) and not returned.keys().isdisjoint(("ui", "result", "expand")):
        ui, expand = returned.get("ui"), returned.get("expand")
        returned = returned.get("result")
    elif isinstance(returned, Mapping) and not returned:
        returned = None
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
        return from_pack(value, output.type)
    if value is None:
        return []
    try:
        return [from_pack(element, output.type) for element in value]
    except TypeError:
        raise PackResultError(f"output '{output.name}' is a list; the node returned a {type(value).__name__}") from None


def _graph(expand: Mapping[str, Any]) -> dict[str, Any]:
    """Return the graph with the models in its inputs converted for Sumi's nodes."""
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
    """Return ``value`` as JSON data: tuples and sets become lists, numpy's scalars numbers,
    other objects their text."""
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
