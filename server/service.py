"""Starts and closes the server and its parts, in order."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import ssl
from dataclasses import replace
from typing import Final

from aiohttp import web

from graph.errors import SumiError
from graph.operating_system import allow_many_open_files
from server.app import make_app
from server.config import ServerConfig
from server.files.temp_folder import sweep
from server.http.hub import Hub
from server.http.safety import log_users, with_token
from server.queue.catalogue import Catalogue
from server.queue.pack_questions import PackQuestions
from server.queue.prompts import Prompts
from server.queue.scheduler import Scheduler
from server.queue.webhooks import Webhooks
from server.store.job_store import JobStore
from server.workers.plan import WorkerPlan

log = logging.getLogger(__name__)


class ListenError(SumiError):
    """The server cannot listen on an address."""


async def run_service(config: ServerConfig, plan: WorkerPlan) -> None:
    """Serve until SIGTERM or SIGINT. Listens before the workers are up.

    Raises StoreError if the user folder cannot be used, ListenError for a port that is taken.
    """
    stop = _stop_on_signals()
    config = with_token(config)
    log_users(config)
    allow_many_open_files()  # each client needs one
    hub = Hub({"supports_preview_metadata": True, "max_upload_size": config.max_upload_size})
    store = JobStore(config.database)
    await store.open()
    try:
        if config.start_paused:
            await store.set_paused(True)
        catalogue = Catalogue(config.folders, config.saved_nodes, config.nodes_state)
        config = replace(config, folders=catalogue.folders)
        await catalogue.recall()
        scheduler = Scheduler(store, hub, catalogue, plan)
        prompts = Prompts(store, scheduler, webhook_hosts=config.webhook_hosts)
        webhooks = Webhooks(store, config.signing_token)
        scheduler.on_job_ended.append(webhooks.job_ended)
        scheduler.on_pack_question = PackQuestions(scheduler, prompts).answer
        app = make_app(config, store, scheduler, hub, prompts)
        runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            await _listen(runner, config)
            await webhooks.start()
            await scheduler.start()
            await asyncio.to_thread(sweep, config.folders.temp)
            await stop.wait()
            log.info("stopping")
        finally:
            await hub.close()
            await scheduler.close()
            await plan.close()
            await webhooks.close()
            await runner.cleanup()
    finally:
        await store.close()


async def _listen(runner: web.AppRunner, config: ServerConfig) -> None:
    context = _tls(config)
    scheme = "https" if context else "http"
    listening = False
    for address in config.listen:
        try:
            await web.TCPSite(runner, address, config.port, ssl_context=context).start()
        except OSError as error:
            if error.errno in _NO_SUCH_FAMILY and len(config.listen) > 1:
                log.warning("cannot listen on %s: %s", address, error.strerror or error)
                continue
            raise ListenError(
                f"cannot listen on {address} port {config.port}: {error.strerror or error}; "
                "choose another with --port or --listen"
            ) from error
        listening = True
        shown = f"[{address}]" if ":" in address else address
        log.info("listening on %s://%s:%d", scheme, shown, config.port)
    if not listening:
        raise ListenError(f"cannot listen on any of {', '.join(config.listen)}; choose others with --listen")


_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""Errors to ignore: ``--listen`` without a value includes IPv6, which not every machine has."""


def _tls(config: ServerConfig) -> ssl.SSLContext | None:
    if config.tls_certfile is None and config.tls_keyfile is None:
        return None
    if config.tls_certfile is None or config.tls_keyfile is None:
        raise ListenError("HTTPS needs both --tls-keyfile and --tls-certfile; only one was given")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.tls_certfile, config.tls_keyfile)
    except OSError as error:
        raise ListenError(
            f"--tls-certfile {config.tls_certfile}, --tls-keyfile {config.tls_keyfile}: {error}"
        ) from error
    return context


def _stop_on_signals() -> asyncio.Event:
    """Return an event that the first signal sets; a second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_now(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop_now, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop
