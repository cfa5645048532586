"""The workers of ``main.py serve --cluster``: actors of a Ray cluster."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from commands.devices import devices_of, gpu_count
from commands.options import ROOT, OptionError, folders_of
from commands.server_options import WorkerCount, without_secrets
from server.workers.cluster.bridge import AUTO
from server.workers.cluster.cluster import Cluster
from server.workers.plan import WorkerPlan
from server.workers.travelling_files import ServerFiles
from server.workers.wire_worker import WireWorker

_OF_THIS_MACHINE: Final = ("--base-directory", "--user-directory", "--input-directory", "--output-directory")
_OF_THE_SERVER: Final = ("--cluster", "--workers", "--worker-resources", "--temp-directory")


def cluster_plan(options: argparse.Namespace) -> WorkerPlan:
    """Return the workers on the cluster that ``--cluster`` names. Raises OptionError."""
    _check(options)
    count: WorkerCount = options.workers or _default_count(options)
    is_auto = options.cluster == AUTO
    resources = options.worker_resources or (_share_of_this_machine(options, count) if is_auto else {"num_cpus": 1})
    cpus = max(os.cpu_count() or 1, count.most * int(resources.get("num_cpus", 1))) if is_auto else None
    command = [sys.executable, str(ROOT / "main.py"), "cluster", options.cluster]
    cluster = Cluster([*command, *(["--cpus", str(cpus)] if cpus is not None else [])])
    files = ServerFiles(folders_of(options))
    factories = {
        f"worker {index}": partial(_worker, cluster, f"worker {index}", options, resources, files)
        for index in range(count.most)
    }
    return WorkerPlan(factories, count.least, close=cluster.close)


def _worker(
    cluster: Cluster, name: str, options: argparse.Namespace, resources: Mapping[str, Any], files: ServerFiles
) -> WireWorker:
    transport = cluster.transport(
        name, str(ROOT), os.path.abspath(options.base_directory), worker_arguments(options.arguments), resources
    )
    return WireWorker(name, transport, files=files)


def worker_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a worker on another machine: the server's, without folders that only the server has."""
    kept: list[str] = []
    skip = False
    for argument in without_secrets(arguments):
        if skip:
            skip = False
        elif argument in (*_OF_THIS_MACHINE, *_OF_THE_SERVER):
            skip = True
        elif argument.partition("=")[0] not in (*_OF_THIS_MACHINE, *_OF_THE_SERVER):
            kept.append(argument)
    return [*kept, "--send-files"]


def _check(options: argparse.Namespace) -> None:
    if options.in_process:
        raise OptionError("--in-process runs the nodes in this process, but --cluster elsewhere; remove one of them")
    if importlib.util.find_spec("ray") is None:
        raise OptionError("--cluster needs Ray, which is not installed; run: python install.py --extra cluster")
    host, colon, port = options.cluster.rpartition(":")
    if options.cluster != AUTO and not (host and colon and port.isdecimal()):
        raise OptionError(f"--cluster {options.cluster}: expected HOST:PORT, such as 10.0.0.1:6379, or {AUTO}")


def _default_count(options: argparse.Namespace) -> WorkerCount:
    count = len(devices_of(options.device)) if options.cluster == AUTO else 1
    return WorkerCount(count, count)


def _share_of_this_machine(options: argparse.Namespace, count: WorkerCount) -> dict[str, Any]:
    if options.device != "cpu" and gpu_count():
        return {"num_gpus": 1}
    return {"num_cpus": max(1, (os.cpu_count() or 1) // count.most)}
