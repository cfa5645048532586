"""``main.py nodes``: lists the nodes, or the inputs and outputs of one node."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from commands.options import folders_of, registry_and_packs_of
from commands.run import DONE, INVALID
from graph.errors import SumiError
from server.workers.node_packs import problems_of


def nodes(options: argparse.Namespace) -> int:
    """List the nodes by category, or print one node's schema in the form of ``/object_info``."""
    from graph.node_types.describe import describe

    try:
        folders = folders_of(options)
        registry, custom = registry_and_packs_of(options, folders)
    except SumiError as error:
        print(f"error: {error}", file=sys.stderr)
        return INVALID
    if options.name is None:
        for node_type in sorted(registry.values(), key=lambda kind: (kind.category, kind.name)):
            print(f"{node_type.category:28} {node_type.name:32} {node_type.description}".rstrip())
        for name, facts in problems_of([pack.describe() for pack in custom.packs]).items():
            for line in _remarks(facts):
                print(f"node pack {name} {line}", file=sys.stderr)
        return DONE
    if options.name not in registry:
        near = difflib.get_close_matches(options.name, registry, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; `main.py nodes` lists them"
        print(f"error: there is no node '{options.name}'{hint}", file=sys.stderr)
        return INVALID
    print(json.dumps(describe(registry[options.name], folders.names), indent=2, ensure_ascii=False))
    return DONE


def _remarks(facts: Mapping[str, Any]) -> Iterator[str]:
    """Return the remarks about a pack, one line each."""
    if "failure" in facts:
        yield f"cannot be used: {facts['failure']}"
    for name, why in facts.get("broken", {}).items():
        yield f"has a node {name} that cannot be used: {why}"
    if "hint" in facts:
        yield f"lacks something: {facts['hint']}"
    if "ignored" in facts:
        yield f"redefines built-in nodes; the built-in ones are kept: {', '.join(facts['ignored'])}"
    if "replaced" in facts:
        yield f"replaces built-in nodes: {', '.join(facts['replaced'])}"
    if "seconds" in facts:
        yield f"took {facts['seconds']:.1f} s to import"
    for line in facts.get("printed", ()):
        yield f"printed: {line}"
