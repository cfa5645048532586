"""``main.py run --sweep``: runs every combination of several values, then draws the labelled grid."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from commands.overrides import OverrideError, find_input
from graph import Engine, Workflow, events
from graph.folders import Folders
from graph.results import files_in
from graph.schema import Registry
from graph.sweep.grid import grid_workflow
from graph.sweep.reading import SweepError, problems_of, read_sweep
from graph.sweep.sweep import ASK_ABOVE, Sweep, output_nodes
from graph.writing.document_values import with_values

OnEvent = Callable[[events.Event, int | None], None]
"""Receives each event with the number of its combination; None for the grid."""


class SweepTooLargeError(OverrideError):
    """The sweep makes more than ``ASK_ABOVE`` pictures, and nobody has agreed to that."""


class Saved(NamedTuple):
    """A file that a sweep saved, and what it shows."""

    path: str
    label: str


def sweep_of(assignments: list[str], workflow: Workflow, registry: Registry, folders: Folders) -> Sweep:
    """Return the sweep that the ``--sweep`` options ask for. Raises OverrideError and ValidationError."""
    described = []
    for assignment in assignments:
        node_id, name, values = find_input(workflow, assignment, registry, "--sweep", "5.cfg=3,5,7")
        described.append({"node": node_id, "input": name, "values": values})
    sweep = read_sweep(described, workflow, registry, folders)
    problems = problems_of(sweep, registry, folders, output_nodes(workflow, registry), run_custom=True)
    if problems:
        raise SweepError(problems)
    return sweep


def confirm(sweep: Sweep, outputs: list[str], yes: bool) -> None:
    """Ask before more than ``ASK_ABOVE`` pictures, if a person can answer. Raises SweepTooLargeError without a yes."""
    count = sweep.pictures(outputs)
    if count <= ASK_ABOVE or yes:
        return
    message = f"--sweep: this makes {count} pictures, more than {ASK_ABOVE}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SweepTooLargeError(f"{message}; add --yes to run it")
    print(f"{message}. Run it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise SweepTooLargeError(f"{message}; nothing was run")


def run_sweep(
    engine: Engine,
    sweep: Sweep,
    workflow: Workflow,
    registry: Registry,
    folders: Folders,
    on_event: OnEvent,
    *,
    previews: bool = False,
    announce: Callable[[str], None] = lambda text: None,
) -> list[Saved]:
    """Run every combination, then the grid. Returns the saved files with their labels, in order of the combinations.

    ``announce`` is called with a line of text before each combination, and before the grid.
    Raises NodeError and Interrupted as :meth:`Engine.run` does.
    """
    outputs = output_nodes(workflow, registry)
    shown: dict[int, Mapping[str, Mapping[str, Any]]] = {}
    for place, number in enumerate(sweep.order(), start=1):
        announce(f"{place} of {len(sweep)}: {sweep.label(number)}")
        result = engine.run(
            sweep.workflow(number),
            targets=sweep.targets(number, outputs),
            listener=_numbered(on_event, number),
            extra_pnginfo=_editor(workflow, sweep, number, registry),
            previews=previews,
        )
        shown[number] = result.outputs
    saved = [
        Saved(path, sweep.label(number))
        for number in sorted(shown)
        for output in shown[number].values()
        for path in _paths(output, folders)
    ]
    grid = grid_workflow(sweep, shown, outputs, workflow.to_api())
    if grid.nodes:
        announce("Grid")
        extra: dict[str, Any] = {"workflow": dict(workflow.editor)} if workflow.editor else {}
        result = engine.run(grid, listener=_numbered(on_event, None), extra_pnginfo={**extra, "sweep": sweep.as_data()})
        saved += [Saved(path, "grid") for output in result.outputs.values() for path in _paths(output, folders)]
    return saved


def _editor(workflow: Workflow, sweep: Sweep, number: int, registry: Registry) -> dict[str, Any] | None:
    """Return what pictures of the combination carry of the editor's document: the document with these values."""
    if workflow.editor is None:
        return None
    document = with_values(workflow.editor, sweep.values(number), registry)
    return None if document is None else {"workflow": document}


def _paths(output: Mapping[str, Any], folders: Folders) -> list[str]:
    return [
        str(Path(folders.place(file.folder)) / file.relative)
        for file in files_in(output)
        if file.folder in ("output", "temp")
    ]


def _numbered(on_event: OnEvent, number: int | None) -> Callable[[events.Event], None]:
    return lambda event: on_event(event, number)
