"""Says what an editor document holds that its workflow and its surroundings do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from graph.formats.canvas import BYPASSED, MUTED
from graph.formats.link_sources import PRIMITIVE, REROUTE
from graph.writing.places import NOTE_TYPES

_CHANGES: Final = frozenset({"randomize", "increment", "decrement", "increment-wrap"})


def dropped(document: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each kind of thing in ``document``, which was read before, that does not run unchanged:
    subgraphs, muted and bypassed nodes, reroutes, primitives, group nodes, bends of links."""
    nodes = [node for node in document.get("nodes") or () if isinstance(node, Mapping)]
    definitions = document.get("definitions")
    subgraphs = {
        str(each.get("id")): each
        for each in (definitions.get("subgraphs") or () if isinstance(definitions, Mapping) else ())
        if isinstance(each, Mapping)
    }
    said: list[str] = []
    for node in nodes:
        kind = str(node.get("type"))
        if kind in subgraphs and node.get("mode") not in (MUTED, BYPASSED):
            said.append(_subgraph(node, subgraphs[kind]))
        elif kind.startswith(("workflow/", "workflow>")):
            said.append(f"Group node {node.get('id')} ({kind[9:]}): the nodes inside are written one by one.")
    for mode, what in ((MUTED, "muted"), (BYPASSED, "bypassed")):
        found = [node for node in nodes if node.get("mode") == mode]
        said += _counted(found, f"{what} node is left out", f"{what} nodes are left out")
    found = [node for node in nodes if node.get("type") == REROUTE]
    said += _counted(found, "reroute became a direct link", "reroutes became direct links")
    found = [node for node in nodes if node.get("type") == PRIMITIVE]
    said += _counted(found, "primitive became a value", "primitives became values")
    found = [node for node in nodes if _changing_seed(node.get("widgets_values"))]
    said += _counted(found, "seed no longer changes after each run", "seeds no longer change after each run")
    extra = document.get("extra")
    bends = extra.get("reroutes") if isinstance(extra, Mapping) else None
    if isinstance(bends, list) and bends:
        said.append(f"{len(bends)} bends of links are left out.")
    return said


def _subgraph(holder: Mapping[str, Any], definition: Mapping[str, Any]) -> str:
    inside = [node for node in definition.get("nodes") or () if isinstance(node, Mapping)]
    notes = sum(node.get("type") in NOTE_TYPES for node in inside)
    lost = ["their places", *(["notes"] if notes else []), *(["groups"] if definition.get("groups") else [])]
    name = definition.get("name") or definition.get("id")
    return (
        f"Subgraph {holder.get('id')} ({name}): its nodes are written one by one, with IDs that begin with "
        f"{holder.get('id')}:, without {' and '.join(lost)}."
    )


def _changing_seed(values: Any) -> bool:
    """Whether a number is followed by the control that changes it after each run."""
    listed = values if isinstance(values, list) else []
    return any(
        type(number) is int and isinstance(control, str) and control in _CHANGES for number, control in pairwise(listed)
    )


def _counted(nodes: Sequence[Mapping[str, Any]], one: str, several: str) -> list[str]:
    """Return a sentence with the number of nodes and their first ids; none for no nodes."""
    if not nodes:
        return []
    listed = ", ".join(str(node.get("id")) for node in nodes[:10]) + (" …" if len(nodes) > 10 else "")
    return [f"{len(nodes)} {one if len(nodes) == 1 else several}: {listed}."]
