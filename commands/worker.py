"""``main.py worker``: the process that holds torch, the models and the engine. The server starts it.

It talks to the server over standard input and output; what nodes print goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable
from typing import Any

from commands.options import engine_of, folders_of, registry_and_packs_of
from commands.processes import take_standard_streams
from graph.garbage import uncollected
from graph.operating_system import SIGKILL
from nodes.packs.loading import dialect, loaded_dialect
from server.workers.engine_host import EngineHost, PackConnection
from server.workers.interface import RunRequest
from server.workers.loop import WorkerLoop
from server.workers.own_folders import claim_folders


def worker(options: argparse.Namespace) -> int:
    """Run jobs for the server that started this process, until that server ends."""
    incoming, outgoing = take_standard_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the server, which then ends its workers
    sys.addaudithook(_exit_instead_of_killing)
    WorkerLoop(incoming, outgoing, lambda: host_of(options), warm_up_of(options), options.send_files).serve()
    return 0


def host_of(options: argparse.Namespace) -> EngineHost:
    """Return an engine host set up from the options."""
    import nodes.pictures.metadata
    from nodes import device
    from nodes.device_memory import device_stats

    with uncollected():
        folders = folders_of(options)
        own_folders = claim_folders(folders.user / "work") if options.send_files else None
        if own_folders is not None:
            folders = own_folders.folders(folders)
        registry, custom = registry_and_packs_of(options, folders)
    nodes.pictures.metadata.enabled = not options.disable_metadata
    return EngineHost(
        registry,
        engine_of(options, registry, folders),
        folders,
        previews=options.preview_method != "none",
        versions={
            "sumi": device.sumi_version(),
            "python": platform.python_version(),
            "torch": device.torch_version(),
            "device": device.describe(),
        },
        failures=custom.failures,
        packs=[pack.describe() for pack in custom.packs],
        pack_server=_pack_server,
        connect_packs=_connect,
        run_begins=_run_begins,
        devices=device_stats,
        models=_models,
        unload=_unload,
        own_folders=own_folders,
    )


def _pack_server() -> Any | None:
    """Return the server object of node packs, if one of them has imported it."""
    packs = loaded_dialect()
    return packs.pack_server() if packs is not None else None


def _connect(to_server: PackConnection) -> None:
    """Connect node packs to the server, if there are any."""
    dialect().connect(to_server.send, to_server.ask, to_server.interrupt)


def _run_begins(request: RunRequest) -> None:
    """Tell node packs, if there are any, which client and run the nodes work for."""
    packs = loaded_dialect()
    if packs is not None:
        packs.run_begins(request.client_id, request.prompt_id)


def _models() -> list[str]:
    """Return the names of loaded models; none before the module that loads them is imported."""
    residency = sys.modules.get("nodes.models.residency")
    return [str(entry) for entry in residency.loaded()] if residency is not None else []


def _unload() -> None:
    residency = sys.modules.get("nodes.models.residency")
    if residency is not None:
        residency.free()


def warm_up_of(options: argparse.Namespace) -> Callable[[], str]:
    """Return the function to call once nodes are described: it imports torch and what the first picture needs.

    With ``--no-warm-up`` it does nothing.
    """
    return str if options.no_warm_up else _warm_up


def _warm_up() -> str:
    """Return the error message if nodes cannot compute here, or ""."""
    from nodes.warm_up import warm_up

    try:
        warm_up()
    except Exception as error:  # a broken installation may raise anything: ImportError, OSError for a library, …
        return f"torch cannot be imported: {type(error).__name__}: {error}"
    return ""


def _exit_instead_of_killing(event: str, arguments: tuple[Any, ...]) -> None:
    """End with status 137 (128 + SIGKILL) where a node's code sends SIGKILL to this process.

    So the server can tell it from a kill by another process, which is not the fault of the job.
    """
    if event == "os.kill" and arguments == (os.getpid(), SIGKILL):
        os._exit(128 + SIGKILL)
