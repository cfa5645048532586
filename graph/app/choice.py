"""The fields and outputs that a workflow's author chose, as ComfyUI keeps them in ``extra.linearData``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

_WIDGET_ID: Final = re.compile(r"([^:]+):([^:]+):([^:]+)")
_MOST_ENTRIES: Final = 10_000


@dataclass(frozen=True, slots=True)
class ChosenField:
    """An entry of ``inputs``: its index, the possible (node id, field name), best first, and the height in pixels."""

    index: int
    names: tuple[tuple[str, str], ...]
    height: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """``opens_as_app``: ``extra.linearMode``, None if it is missing."""

    inputs: tuple[ChosenField, ...] = ()
    outputs: tuple[str, ...] = ()
    opens_as_app: bool | None = None


def read_choice(document: Mapping[str, Any]) -> Choice:
    """Read the author's choice; entries of a form that is not known are passed over."""
    extra = document.get("extra")
    extra = extra if isinstance(extra, dict) else {}
    data = extra.get("linearData")
    data = data if isinstance(data, dict) else {}
    mode = extra.get("linearMode")
    return Choice(
        tuple(
            field
            for index, entry in enumerate(_listed(data.get("inputs")))
            if (field := _chosen_field(index, entry)) is not None
        ),
        tuple(node for entry in _listed(data.get("outputs")) if (node := _id(entry)) is not None),
        mode if isinstance(mode, bool) else None,
    )


def _listed(value: Any) -> Sequence[Any]:
    return value[:_MOST_ENTRIES] if isinstance(value, list) else ()


def _chosen_field(index: int, entry: Any) -> ChosenField | None:
    if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], str):
        return None
    node_id = _id(entry[0])
    if node_id is None:
        return None
    names = [(node_id, entry[1])]
    widget_id = _WIDGET_ID.fullmatch(node_id)
    if widget_id is not None:
        # ComfyUI's newer form, graph:node:name, each part percent-encoded. "name#1" is the second widget of that name.
        _, node, name = (unquote(part) for part in widget_id.groups())
        names += [(node, name), (node, entry[1]), (node, name.partition("#")[0])]
    height = entry[2].get("height") if len(entry) > 2 and isinstance(entry[2], dict) else None
    return ChosenField(index, tuple(names), height if isinstance(height, int | float) else None)


def _id(value: Any) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) or (isinstance(value, str) and value) else None
