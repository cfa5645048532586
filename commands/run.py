"""``main.py run``: runs a workflow without a server."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from commands.options import check_cache_options, engine_of, folders_of, registry_of
from commands.overrides import with_changes
from graph import events
from graph.errors import Interrupted, SumiError, ValidationError
from graph.garbage import uncollected

if TYPE_CHECKING:
    from commands.terminal import Terminal
    from graph import Engine, Workflow
    from graph.folders import Folders
    from graph.schema import Registry
    from graph.sweep.sweep import Sweep

log = logging.getLogger(__name__)

DONE, FAILED, INVALID, STOPPED = 0, 1, 2, 130


def run(options: argparse.Namespace) -> int:
    """Run the workflow in ``options.file`` and return the exit status (see ``main.main``)."""
    return run_read(options, read_workflow)


def run_read(options: argparse.Namespace, read: Callable[[argparse.Namespace, Registry, Folders], Workflow]) -> int:
    """Run the workflow that ``read(options, registry, folders)`` returns, and return the exit status."""
    import nodes.pictures.metadata
    from graph import validate

    try:
        check_cache_options(options)
        with uncollected():
            folders = folders_of(options)
            registry = registry_of(options, folders)
        workflow = read(options, registry, folders)
        sweep = _sweep(options, workflow, registry, folders)
        problems = [] if sweep else validate(workflow, registry, folders=folders, run_custom=True)
        if problems:
            raise ValidationError(problems)
    except SumiError as error:
        return _report(error, options.json, INVALID)
    nodes.pictures.metadata.enabled = not options.disable_metadata
    with engine_of(options, registry, folders) as engine:
        if sweep is not None:
            return _run_sweep(engine, sweep, workflow, registry, folders, options)
        return _run(engine, workflow, registry, folders, options)


def read_workflow(options: argparse.Namespace, registry: Registry, folders: Folders) -> Workflow:
    """Read the workflow in ``options.file`` (``-``: standard input) and apply ``--set`` and ``--prompt``.

    Log what another program's file contains that the workflow does not.
    """
    from commands.example_pictures import copy_named_pictures
    from graph import load
    from graph.formats.a1111.model_files import ModelFiles

    source = sys.stdin.buffer.read() if options.file == "-" else Path(options.file)
    workflow = load(source, registry, ModelFiles(folders))
    copy_named_pictures(workflow, folders)
    for note in workflow.notes:
        log.warning("%s: %s", options.file, note)
    return with_changes(workflow, options, registry)


def _sweep(options: argparse.Namespace, workflow: Workflow, registry: Registry, folders: Folders) -> Sweep | None:
    """Return the sweep of the ``--sweep`` options, which a person has agreed to; None without such options."""
    if not options.sweep:
        return None
    from commands.sweep import confirm, sweep_of
    from graph.sweep.sweep import output_nodes

    sweep = sweep_of(options.sweep, workflow, registry, folders)
    confirm(sweep, output_nodes(workflow, registry), options.yes)
    return sweep


def _run(engine: Engine, workflow: Workflow, registry: Registry, folders: Folders, options: argparse.Namespace) -> int:
    terminal = _terminal(workflow, folders)
    listener = _importing_torch(_print_json if options.json else terminal, workflow, registry)
    extra = {"workflow": dict(workflow.editor)} if workflow.editor else None

    def run() -> list[str]:
        engine.run(workflow, listener=listener, extra_pnginfo=extra, previews=options.json and options.previews)
        return terminal.saved

    return _finished(engine, run, terminal, options)


def _importing_torch(listener: events.Listener, workflow: Workflow, registry: Registry) -> events.Listener:
    """Return ``listener``, which now also starts the import of torch if nodes that compute are to run.

    It is imported in a thread while the first nodes open files and read prompts. If no node has to run, it is not.
    """
    types = {node_id: registry.get(node.class_type) for node_id, node in workflow.nodes.items()}
    computing = {node_id for node_id, found in types.items() if found is not None and found.environment}
    begun = False

    def listen(event: events.Event) -> None:
        nonlocal begun
        if isinstance(event, events.NodesCached):
            computing.difference_update(event.node_ids)
        elif isinstance(event, events.NodeStarted) and computing and not begun:
            from nodes.torch_import import begin_import_of_torch

            begun = True
            begin_import_of_torch()
        listener(event)

    return listen


def _run_sweep(
    engine: Engine,
    sweep: Sweep,
    workflow: Workflow,
    registry: Registry,
    folders: Folders,
    options: argparse.Namespace,
) -> int:
    from commands.sweep import run_sweep

    terminal = _terminal(workflow, folders)

    def listen(event: events.Event, number: int | None) -> None:
        if options.json:
            _print_json(event, {"index": number})
        else:
            terminal(event)

    def announce(text: str) -> None:
        if not options.json:
            terminal.heading(text)

    def run() -> list[str]:
        previews = options.json and options.previews
        saved = run_sweep(engine, sweep, workflow, registry, folders, listen, previews=previews, announce=announce)
        if options.json:
            print(json.dumps({"event": "sweep_finished", "files": [file._asdict() for file in saved]}), flush=True)
            return []
        return [f"{file.path}\t{file.label}" for file in saved]

    return _finished(engine, run, terminal, options)


def _terminal(workflow: Workflow, folders: Folders) -> Terminal:
    from commands.terminal import Terminal

    return Terminal(folders, {node_id: node.title for node_id, node in workflow.nodes.items() if node.title})


def _finished(engine: Engine, run: Callable[[], list[str]], terminal: Terminal, options: argparse.Namespace) -> int:
    """Call ``run``, print the lines that it returns and return the exit status."""
    try:
        with _interrupted_by_signals(engine):
            lines = run()
    except Interrupted:
        terminal.close()
        if not options.json:
            print("interrupted; finished results are kept", file=sys.stderr)
        return STOPPED
    except SumiError as error:
        terminal.close()
        return FAILED if options.json else _report(error, False, FAILED)
    terminal.close()
    for line in lines:
        print(line)
    return DONE


def _report(error: SumiError, as_json: bool, status: int) -> int:
    if not as_json:
        print(f"error: {error}" if "\n" not in str(error) else str(error), file=sys.stderr)
        return status
    body: dict[str, Any] = {"event": "invalid", "error": type(error).__name__, "message": str(error)}
    if isinstance(error, ValidationError):
        body["problems"] = [dataclasses.asdict(problem) for problem in error.problems]
    print(json.dumps(body, ensure_ascii=False, default=repr), flush=True)
    return status


def _print_json(event: events.Event, more: Mapping[str, Any] = MappingProxyType({})) -> None:
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(event).__name__).lstrip("_")
    body = {"event": name, **{field.name: getattr(event, field.name) for field in dataclasses.fields(event)}}
    body.update(more)
    if isinstance(event, events.NodePreview):
        body["data"] = base64.b64encode(event.data).decode()
    print(json.dumps(body, ensure_ascii=False, default=repr), flush=True)


@contextmanager
def _interrupted_by_signals(engine: Engine) -> Iterator[None]:
    """Stop the run at its next progress report on Ctrl+C or SIGTERM; a second one ends the process at once.

    Between the runs of a sweep, the signal raises Interrupted.
    """

    def stop(number: int, _frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        if not engine.interrupt():
            raise Interrupted("the run was interrupted")

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
