"""Sumi's command line. ``python main.py --help`` answers at once: a command's code is imported when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Any

from commands.options import cache_options, device_options, folder_options
from commands.server_options import add_server_options


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(
        prog="main.py", description="A node-graph engine for Stable Diffusion. Without a COMMAND it serves."
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    folders, device, cache = folder_options(), device_options(), cache_options()

    _add_server_command(commands, "serve", help="serve ComfyUI's interface over HTTP (the default)")
    _add_server_command(commands, "worker")  # started by the server, with the server's own options

    run = commands.add_parser("run", parents=[folders, device, cache], help="run a workflow with no server")
    _add_workflow(run)
    run.add_argument("--json", action="store_true", help="print one JSON event a line")
    run.add_argument("--previews", action="store_true", help="with --json: previews too, base64")
    run.add_argument("--disable-metadata", action="store_true", help="save pictures without the workflow in them")

    validate = commands.add_parser("validate", parents=[folders, device], help="list everything wrong with a workflow")
    _add_workflow(validate)
    validate.add_argument("--json", action="store_true", help="print one problem a line, as JSON")

    nodes = commands.add_parser("nodes", parents=[folders], help="list the nodes, or print one node's schema")
    nodes.add_argument("name", nargs="?", metavar="NAME")

    commands.add_parser("info", parents=[folders, device], help="devices, precision, folders and models found")
    return top


def _add_server_command(commands: Any, name: str, **options: Any) -> None:
    """Its --verbose takes a level, as ComfyUI's does, and so takes the place of the other commands' one."""
    command = commands.add_parser(
        name,
        parents=[folder_options(), device_options(), cache_options()],
        conflict_handler="resolve",
        allow_abbrev=False,
        **options,
    )
    add_server_options(command)


def _add_workflow(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", metavar="FILE", help="JSON in either dialect, or a PNG or WebP that holds one; - for stdin"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.input=value",
        help="change an input first; NODE is an id, else a title or class that occurs once; may be repeated",
    )
    command.add_argument("--prompt", metavar="TEXT", help="set the text that reaches the sampler's `positive`")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 1 the run failed, 2 invalid, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["serve", *arguments]
    options = parser().parse_args(arguments)
    options.arguments = arguments[1:]
    command = importlib.import_module(f"commands.{options.command}")
    try:
        status: int = getattr(command, options.command)(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough (`main.py nodes | head`); Python would complain again as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
