"""``main.py serve``: runs the server and its workers."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from functools import partial

from commands.access_options import access_of, take_tokens_from_environment
from commands.cluster_workers import cluster_plan
from commands.devices import devices_of
from commands.example_pictures import copy_example_pictures
from commands.options import ROOT, OptionError, check_cache_options, configure_device, folders_of, nodes_state
from commands.run import DONE, INVALID
from commands.server_options import WorkerCount, without_secrets
from graph.errors import SumiError
from graph.folders import Folders
from server.config import MEBIBYTE, ServerConfig
from server.monitoring.logs import configure_logs
from server.workers.interface import Worker, WorkerFactory
from server.workers.plan import WorkerPlan
from server.workers.process import ProcessWorker

log = logging.getLogger(__name__)


def serve(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl+C. Returns 2 if an option is invalid or the port is taken."""
    from server.service import run_service

    configure_logs(options.verbose, as_json=options.log_json)
    inherited = take_tokens_from_environment()
    options.token = options.token or inherited
    try:
        folders = folders_of(options)
        copy_example_pictures(folders)
        configure_device(options)
        check_cache_options(options)
        if options.ignored:
            log.warning("these flags of ComfyUI have no effect in Sumi and are ignored: %s", " ".join(options.ignored))
        asyncio.run(run_service(config_of(options, folders), worker_plan(options)))
    except SumiError as error:
        print(f"error: {error}", file=sys.stderr)
        return INVALID
    return DONE


def config_of(options: argparse.Namespace, folders: Folders) -> ServerConfig:
    """Return the server's configuration from the options. Raises OptionError."""
    access = access_of(options)
    return ServerConfig(
        folders=folders,
        listen=tuple(address.strip() for address in options.listen.split(",") if address.strip()),
        port=options.port,
        tls_keyfile=options.tls_keyfile,
        tls_certfile=options.tls_certfile,
        enable_cors_header=options.enable_cors_header,
        max_upload_size=int(options.max_upload_size * MEBIBYTE),
        front_end_root=options.front_end_root,
        token=access.token,
        user_tokens=access.user_tokens,
        multi_user=access.multi_user,
        trust_user_header=access.trust_user_header,
        no_auth=options.no_auth,
        trusted_hosts=tuple(options.trusted_host),
        start_paused=options.start_paused,
        default_model=options.default_model,
        webhook_hosts=tuple(options.webhook_host),
        interfaces=tuple(dict.fromkeys(options.api)),
        argv=("main.py", *without_secrets(options.arguments)),
        nodes_state=partial(nodes_state, options, folders),
    )


def worker_plan(options: argparse.Namespace) -> WorkerPlan:
    """Return a factory for each worker, by name, and how many of them always run.

    Without ``--workers`` there is one per device; else they take turns on the devices. With ``--in-process`` the only
    worker is a thread of this process, with ``--cluster`` they are actors of a Ray cluster. Raises OptionError.
    """
    count: WorkerCount | None = options.workers
    if options.cluster is not None:
        return cluster_plan(options)
    if options.in_process:
        if count is not None and count.most > 1:
            raise OptionError(f"--in-process runs one worker, but --workers is {count}; remove one of them")
        return WorkerPlan({"worker 0": partial(_in_process_worker, options)})
    if options.worker_resources is not None:
        raise OptionError("--worker-resources needs --cluster; the workers of this machine have all of its resources")
    devices = devices_of(options.device)
    count = count or WorkerCount(len(devices), len(devices))
    factories: dict[str, WorkerFactory] = {
        f"worker {index}": partial(
            ProcessWorker,
            f"worker {index}",
            [*worker_command(options, devices[index % len(devices)]), "--import-record", f"importing-{index}.json"],
        )
        for index in range(count.most)
    }
    return WorkerPlan(factories, count.least)


def _in_process_worker(options: argparse.Namespace) -> Worker:
    from commands.worker import host_of, warm_up_of
    from server.workers.in_process import InProcessWorker

    return InProcessWorker("worker 0", lambda: host_of(options), warm_up=warm_up_of(options))


def worker_command(options: argparse.Namespace, device: str) -> list[str]:
    """Return the command line of a worker that computes on ``device``."""
    arguments = without_secrets(options.arguments)
    return [sys.executable, str(ROOT / "main.py"), "worker", *arguments, "--device", device]
