"""``main.py run``: a workflow becomes pictures, with no server."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.options import engine_of, folders_of, registry_of
from commands.overrides import set_inputs, set_prompt
from graph import events
from graph.errors import Interrupted, SumiError, ValidationError

if TYPE_CHECKING:
    from graph import Engine, Workflow
    from graph.folders import Folders
    from graph.schema import Registry

DONE, FAILED, INVALID, STOPPED = 0, 1, 2, 130


def run(options: argparse.Namespace) -> int:
    """Run the workflow in ``options.file``; the exit status says how it went."""
    import nodes.pictures.metadata
    from graph import validate

    try:
        folders = folders_of(options)
        registry = registry_of(options, folders)
        workflow = read_workflow(options, registry)
        problems = validate(workflow, registry, folders=folders, run_custom=True)
        if problems:
            raise ValidationError(problems)
    except SumiError as error:
        return _report(error, options.json, INVALID)
    nodes.pictures.metadata.enabled = not options.disable_metadata
    with engine_of(options, registry, folders) as engine:
        return _run(engine, workflow, folders, options)


def read_workflow(options: argparse.Namespace, registry: Registry) -> Workflow:
    """The workflow in ``options.file`` (``-``: standard input) with ``--set`` and ``--prompt`` applied."""
    from graph import load

    source = sys.stdin.buffer.read() if options.file == "-" else Path(options.file)
    workflow = load(source, registry)
    if options.prompt is not None:
        workflow = set_prompt(workflow, options.prompt, registry)
    return set_inputs(workflow, options.set, registry)


def _run(engine: Engine, workflow: Workflow, folders: Folders, options: argparse.Namespace) -> int:
    from commands.terminal import Terminal

    titles = {node_id: node.title for node_id, node in workflow.nodes.items() if node.title}
    terminal = Terminal(folders, titles)
    listener = _print_json if options.json else terminal
    extra = {"workflow": dict(workflow.editor)} if workflow.editor else None
    try:
        with _interrupted_by_signals(engine):
            engine.run(workflow, listener=listener, extra_pnginfo=extra, previews=options.json and options.previews)
    except Interrupted:
        terminal.close()
        if not options.json:
            print("interrupted; what was done is kept", file=sys.stderr)
        return STOPPED
    except SumiError as error:
        terminal.close()
        return FAILED if options.json else _report(error, False, FAILED)
    terminal.close()
    for path in terminal.saved:
        print(path)
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


def _print_json(event: events.Event) -> None:
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(event).__name__).lstrip("_")
    body = {"event": name, **{field.name: getattr(event, field.name) for field in dataclasses.fields(event)}}
    if isinstance(event, events.NodePreview):
        body["data"] = base64.b64encode(event.data).decode()
    print(json.dumps(body, ensure_ascii=False, default=repr), flush=True)


@contextmanager
def _interrupted_by_signals(engine: Engine) -> Iterator[None]:
    """Ctrl+C or SIGTERM stops the run at its next tick; a second one ends the process at once."""

    def stop(number: int, _frame: Any) -> None:
        engine.interrupt()
        signal.signal(number, signal.SIG_DFL)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
