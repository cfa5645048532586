"""``main.py validate``: lists every problem of a workflow without running it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from commands.options import folders_of, registry_of
from commands.run import DONE, INVALID, read_workflow
from graph.errors import SumiError


def validate(options: argparse.Namespace) -> int:
    """Print each problem on a line (``--json``: as an object). Returns 0 if there are none, else 2."""
    import graph

    try:
        folders = folders_of(options)
        registry = registry_of(options, folders)
        workflow = read_workflow(options, registry, folders)
    except SumiError as error:
        print(f"error: {error}", file=sys.stderr)
        return INVALID
    problems = graph.validate(workflow, registry, folders=folders, run_custom=True)
    for problem in problems:
        if options.json:
            print(json.dumps(dataclasses.asdict(problem), ensure_ascii=False, default=repr))
        else:
            print(problem, file=sys.stderr)
    if problems:
        return INVALID
    if not options.json:
        print(f"{options.file}: valid, {len(workflow.nodes)} nodes")
    return DONE
