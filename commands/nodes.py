"""``main.py nodes``: what nodes there are, and what one of them takes and gives."""

from __future__ import annotations

import argparse
import difflib
import json
import sys

from commands.options import folders_of, registry_and_packs_of
from commands.run import DONE, INVALID
from graph.errors import SumiError


def nodes(options: argparse.Namespace) -> int:
    """List the nodes by category, or print one node's schema as ``/object_info`` gives it."""
    from graph.describe import describe

    try:
        folders = folders_of(options)
        registry, custom = registry_and_packs_of(options, folders)
    except SumiError as error:
        print(f"error: {error}", file=sys.stderr)
        return INVALID
    if options.name is None:
        for node_type in sorted(registry.values(), key=lambda kind: (kind.category, kind.name)):
            print(f"{node_type.category:28} {node_type.name:32} {node_type.description}".rstrip())
        for name, reason in custom.failures.items():
            print(f"cannot be used: {name}: {reason.strip().splitlines()[-1]}", file=sys.stderr)
        return DONE
    if options.name not in registry:
        near = difflib.get_close_matches(options.name, registry, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; `main.py nodes` lists them"
        print(f"error: there is no node '{options.name}'{hint}", file=sys.stderr)
        return INVALID
    print(json.dumps(describe(registry[options.name], folders.names), indent=2, ensure_ascii=False))
    return DONE
