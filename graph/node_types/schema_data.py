"""Converts node types to plain data and back, for processes that load no nodes.

The converted node types have no code: ``function`` raises when called. A mark records whether there is code that
validates, fingerprints, asks for lazy inputs or declares inputs again, since readers of the schema check for it.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from graph.errors import SumiError
from graph.schema import MISSING, Input, NodeType, Output

_CODE: Final = ("function", "check_lazy", "fingerprint", "validate", "redeclare")
_TUPLES: Final = frozenset({"choices", "file_endings"})


class NodeElsewhereError(SumiError):
    """The code of a node was called in a process that has only its description."""


def node_type_to_data(node_type: NodeType) -> dict[str, Any]:
    """Return everything about ``node_type`` that JSON can hold; default values are left out."""
    data = _fields_to_data(node_type, skip=("inputs", "outputs", "by_name", *_CODE))
    data["inputs"] = [_fields_to_data(declared) for declared in node_type.inputs]
    data["outputs"] = [_fields_to_data(declared) for declared in node_type.outputs]
    data["has"] = [name for name in _CODE[1:] if getattr(node_type, name) is not None]
    if node_type.validate is not None:
        # The server does not check inputs that this code names, so it must know them.
        data["validate_parameters"] = [
            [parameter.name, parameter.kind.name, parameter.default is not parameter.empty]
            for parameter in inspect.signature(node_type.validate).parameters.values()
        ]
    return data


def node_type_from_data(data: Mapping[str, Any]) -> NodeType:
    """Rebuild the node type that :func:`node_type_to_data` was given, without its code.

    Fields that this version does not know are ignored. Raises KeyError or TypeError for other data.
    """
    stand_in = _stand_in(data["name"])
    known = {field.name for field in dataclasses.fields(NodeType) if field.init}
    fields = {name: value for name, value in data.items() if name in known}
    fields["inputs"] = tuple(_from_data(Input, declared) for declared in data["inputs"])
    fields["outputs"] = tuple(_from_data(Output, declared) for declared in data["outputs"])
    fields["content_inputs"] = tuple(data.get("content_inputs", ()))
    fields.update({name: stand_in for name in data["has"]}, function=stand_in)
    if "validate_parameters" in data:
        fields["validate"] = _stand_in(data["name"], data["validate_parameters"])
    return NodeType(**fields)


def _fields_to_data(value: Any, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    data = {}
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        if field.name in skip or found is MISSING or _is_default(field, found):
            continue
        data[field.name] = _to_json(found)
    return data


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    default = field.default
    return default is not dataclasses.MISSING and type(value) is type(default) and bool(value == default)


def _to_json(value: Any) -> Any:
    if isinstance(value, Input):
        return _fields_to_data(value)
    if isinstance(value, Mapping):
        return {key: _to_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_to_json(inner) for inner in value]
    return value


def _from_data(kind: Any, data: Mapping[str, Any]) -> Any:
    known = {field.name for field in dataclasses.fields(kind)}
    if "by_choice" in data:
        inner = {key: each and _from_data(Input, each) for key, each in data["by_choice"].items()}
        data = {**data, "by_choice": inner}
    return kind(
        **{
            name: tuple(value) if name in _TUPLES and value is not None else value
            for name, value in data.items()
            if name in known
        }
    )


def _stand_in(name: str, parameters: Sequence[tuple[str, str, bool]] | None = None) -> Callable[..., Any]:
    """Return a function that raises; its signature shows ``parameters``: name, kind and whether there is a default."""

    def elsewhere(**_: Any) -> Any:
        raise NodeElsewhereError(f"node {name} runs in a worker; this process knows only its description")

    if parameters is not None:
        elsewhere.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(name, getattr(inspect.Parameter, kind), **({"default": None} if optional else {}))
                for name, kind, optional in parameters
            ]
        )
    return elsewhere
