"""Runs a workflow that a Python script builds, with the options of ``main.py run``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from commands.options import cache_options, device_options, folder_options, run_options, workflow_changes
from commands.overrides import with_changes
from commands.run import DONE, FAILED, run_read
from graph.errors import SumiError
from graph.operating_system import print_any_text

if TYPE_CHECKING:
    from graph import Registry, Workflow
    from graph.folders import Folders
    from nodes.builder import Builder


def run_script(build: Callable[[Builder], object], arguments: list[str] | None = None) -> NoReturn:
    """Run the workflow that ``build`` adds to a builder, or write it as JSON, as the command line says; then exit.

    The exit status is that of ``main.py run``: 0 done, 1 the run failed, 2 invalid, 130 interrupted.
    """
    print_any_text(sys.stdout, sys.stderr)
    sys.exit(run_built(build, sys.argv[1:] if arguments is None else arguments))


def run_built(build: Callable[[Builder], object], arguments: list[str]) -> int:
    """Do what :func:`run_script` does and return the exit status."""
    options = _parser().parse_args(arguments)
    if options.save_api is not None or options.save_editor is not None:
        return _save(build, options)

    def read(options: argparse.Namespace, registry: Registry, _folders: Folders) -> Workflow:
        return with_changes(_built(build, registry).workflow(), options, registry)

    return run_read(options, read)


def _parser() -> argparse.ArgumentParser:
    parents = [folder_options(), device_options(), cache_options(), run_options(), workflow_changes()]
    parser = argparse.ArgumentParser(description="Runs the workflow that this script builds.", parents=parents)
    parser.add_argument(
        "--save-api", type=Path, metavar="FILE", help="write the workflow in the API dialect; do not run"
    )
    parser.add_argument(
        "--save-editor", type=Path, metavar="FILE", help="write the workflow for the editor; do not run"
    )
    return parser


def _built(build: Callable[[Builder], object], registry: Registry) -> Builder:
    from nodes.builder import Builder

    builder = Builder(registry)
    build(builder)
    return builder


def _save(build: Callable[[Builder], object], options: argparse.Namespace) -> int:
    from commands.options import folders_of, registry_of

    try:
        builder = _built(build, registry_of(options, folders_of(options)))
        if options.save_api is not None:
            _write(options.save_api, builder.to_api())
        if options.save_editor is not None:
            _write(options.save_editor, builder.to_editor())
    except (SumiError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    return DONE


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    print(path)
