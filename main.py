"""Sumi's command line. ``python main.py --help`` is fast: a command's code is imported only when it runs."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    import gc

    gc.disable()  # for the imports below; main turns it on again
    gc.set_threshold(5_000, 10, 10)  # a workflow of thousands of nodes makes objects that stay: look at them less often

    import install

    install.prepare(sys.argv[1:])  # continues in .venv if this Python lacks the packages

from commands.options import cache_options, device_options, folder_options, run_options, workflow_changes
from commands.processes import leave
from commands.server_options import add_server_options
from graph.garbage import uncollected
from graph.operating_system import print_any_text


def parser() -> argparse.ArgumentParser:
    """Return the parser with all commands and their options."""
    top = argparse.ArgumentParser(
        prog="main.py", description="A node-graph engine for Stable Diffusion. Without a COMMAND it starts the server."
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    folders, device, cache = folder_options(), device_options(), cache_options()

    _add_server_command(commands, "serve", help="start the server and its editor (the default)")
    _add_server_command(commands, "worker")  # started by the server, with the server's own options

    cluster = commands.add_parser("cluster")  # started by the server
    cluster.add_argument("address")
    cluster.add_argument("--cpus", type=int)

    changes = workflow_changes()
    run = commands.add_parser(
        "run", parents=[folders, device, cache, run_options(), changes], help="run a workflow without a server"
    )
    _add_file(run)

    commands.add_parser("app", help="run a saved workflow, with an option for each field of its form", add_help=False)

    validate = commands.add_parser("validate", parents=[folders, device, changes], help="list a workflow's problems")
    _add_file(validate)
    validate.add_argument("--json", action="store_true", help="print each problem as a line of JSON")

    export = commands.add_parser("export", parents=[folders, changes], help="write a workflow as Python or JSON")
    _add_file(export)
    form = export.add_mutually_exclusive_group(required=True)
    form.add_argument(
        "--python", dest="form", action="store_const", const="python", help="a script that makes the same"
    )
    form.add_argument("--api", dest="form", action="store_const", const="api", help="JSON in the API dialect")
    form.add_argument("--editor", dest="form", action="store_const", const="editor", help="JSON for the editor")
    export.add_argument("-o", "--output", type=Path, metavar="OUT", help="the file to write (default: standard output)")

    diff = commands.add_parser("diff", parents=[folders], help="say what differs between two workflows or pictures")
    diff.add_argument("before", type=Path, metavar="A", help="workflow JSON, or a PNG, WebP or JPEG that carries one")
    diff.add_argument("after", type=Path, metavar="B")
    diff.add_argument("--json", action="store_true", help="print one JSON object")

    stubs = commands.add_parser("stubs", parents=[folders], help="write the nodes' types for Python editors")
    stubs.add_argument("-o", "--output", type=Path, metavar="OUT", help="default: nodes/builder.pyi")

    nodes = commands.add_parser("nodes", parents=[folders], help="list the nodes, or print one node's schema")
    nodes.add_argument("name", nargs="?", metavar="NAME")

    commands.add_parser("info", parents=[folders, device], help="show devices, precision, folders and the models found")
    return top


def _add_server_command(commands: Any, name: str, **options: Any) -> None:
    """Add a command with the server's options. Its --verbose takes a level and replaces the shared one."""
    command = commands.add_parser(
        name,
        parents=[folder_options(), device_options(), cache_options()],
        conflict_handler="resolve",
        allow_abbrev=False,
        **options,
    )
    add_server_options(command)


def _add_file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", metavar="FILE", help="workflow JSON, or a PNG, WebP or JPEG that carries one; - for standard input"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 the run failed, 2 invalid, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["serve", *arguments]
    with uncollected():
        own_options = arguments[0] == "app"  # they depend on the app
        options = argparse.Namespace(command="app") if own_options else parser().parse_args(arguments)
        options.arguments = arguments[1:]
        command = importlib.import_module(f"commands.{options.command}")
    try:
        status: int = getattr(command, options.command)(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe (`main.py nodes | head`). Without this, Python would report it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    print_any_text(sys.stdout, sys.stderr)
    leave(main())
