"""Chooses variable names for the nodes of a workflow."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from graph.workflow import Link, WorkflowNode

_LONGEST: Final = 40
_WORD_BREAK: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def variable_names(nodes: Mapping[str, WorkflowNode], taken: Collection[str] = ()) -> dict[str, str]:
    """Return a variable name for each node, all different: from its title, else from the input that it feeds if there
    are several nodes of its class, else from its class. ``taken`` are names to avoid, in addition to Python's."""
    used = _Names({*taken, *keyword.kwlist, *dir(builtins)})
    feeds = _inputs_fed(nodes)
    classes = Counter(node.class_type for node in nodes.values())
    names: dict[str, str] = {}
    for node_id, node in nodes.items():
        fed = feeds.get(node_id, set())
        role = next(iter(fed)) if classes[node.class_type] > 1 and len(fed) == 1 else ""
        name = identifier(node.title or "") or identifier(role) or identifier(node.class_type) or "node"
        names[node_id] = used.unused(name)
    return names


def identifier(text: str) -> str:
    """Return ``text`` as a variable name of small letters; empty if no character of it can be in one."""
    spaced = _WORD_BREAK.sub("_", unicodedata.normalize("NFKC", text))
    name = re.sub(r"\W+", "_", spaced).strip("_").lower()
    if len(name) > _LONGEST:
        name = name[:_LONGEST].rpartition("_")[0] or name[:_LONGEST]
    name = unicodedata.normalize("NFKC", name)
    if name and not name.isidentifier():
        name = f"n{name}"
    return name if name.isidentifier() else ""


def _inputs_fed(nodes: Mapping[str, WorkflowNode]) -> dict[str, set[str]]:
    feeds: dict[str, set[str]] = {}
    for node in nodes.values():
        for name, value in node.inputs.items():
            if isinstance(value, Link):
                feeds.setdefault(value.node, set()).add(name)
    return feeds


class _Names:
    """Names in use. ``unused`` appends a number to a name that is taken."""

    def __init__(self, taken: Collection[str]):
        self._used = set(taken)
        self._last: dict[str, int] = {}

    def unused(self, name: str) -> str:
        number = self._last.get(name, 1)
        unused = name
        while unused in self._used:
            number += 1
            unused = f"{name}_{number}"
        self._last[name] = number
        self._used.add(unused)
        return unused
