"""``main.py stubs``: writes the types of all nodes for Python's editors and checkers."""

from __future__ import annotations

import argparse
import sys

from commands.options import ROOT, folders_of, registry_of
from commands.run import DONE, FAILED, INVALID
from graph.errors import SumiError

TARGET = ROOT / "nodes" / "builder.pyi"


def stubs(options: argparse.Namespace) -> int:
    """Write ``nodes/builder.pyi``, or the file in ``options.output``, for the nodes of this installation."""
    from graph.writing.stub import stub

    try:
        registry = registry_of(options, folders_of(options))
    except SumiError as error:
        print(f"error: {error}", file=sys.stderr)
        return INVALID
    target = options.output or TARGET
    try:
        target.write_text(stub(registry), encoding="utf-8")
    except OSError as error:
        print(f"error: {target} cannot be written: {error.strerror or error}", file=sys.stderr)
        return FAILED
    print(f"{target}: the types of {len(registry)} nodes")
    return DONE
