"""A server in this process, on a real port, with a worker that is a thread and nodes that need no models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import aiohttp
from aiohttp import web

from graph import Engine
from graph.cache.result_cache import CacheSettings
from graph.context import Context, PreviewImage
from graph.folders import Folders, ModelFolder
from graph.node import Files, Hint, Range, node, node_types_in
from graph.results import NodeResult
from graph.schema import Registry
from server.app import make_app
from server.config import Limits, ServerConfig
from server.http.hub import Hub
from server.http.safety import with_token
from server.queue.catalogue import Catalogue
from server.queue.prompts import PromptLimits, Prompts
from server.queue.scheduler import Scheduler
from server.queue.webhooks import Webhooks
from server.services import SERVICES, Services
from server.store.job_store import JobStore
from server.workers.engine_host import EngineHost
from server.workers.in_process import InProcessWorker
from server.workers.interface import WorkerFactory
from server.workers.plan import WorkerPlan


@node("Number", category="test")
def number(*, value: Annotated[int, Range(0, 100)] = 1) -> int:
    """A number."""
    return value


@node("Save", category="test", output_node=True)
def save(*, context: Context, value: int, prefix: str = "text") -> NodeResult:
    """Write the number to a file."""
    target = context.folders.save_target(prefix)
    name = f"{target.stem}_{target.counter:05}_.txt"
    (target.directory / name).write_text(str(value))
    return NodeResult(ui={"files": [{"filename": name, "subfolder": target.subfolder, "type": "output"}]})


@node("Steps", category="test", output_node=True)
def steps(*, context: Context, count: int = 3, seconds: float = 0.01) -> NodeResult:
    """Take a while."""
    import time

    for step in range(count):
        time.sleep(seconds)
        context.progress(step + 1, count)
    return NodeResult(ui={"text": ["done"]})


@node("Fail", category="test", output_node=True)
def fail(*, message: str = "no") -> NodeResult:
    """Raise."""
    raise ValueError(message)


@node("Pick", category="test", output_node=True)
def pick(*, file: Annotated[str, Files("input")]) -> NodeResult:
    """Name a file of the input folder."""
    return NodeResult(ui={"text": [file]})


@node("Paint", category="test", output_node=True)
def paint(
    *,
    context: Context,
    red: Annotated[int, Range(0, 255)] = 200,
    width: int = 8,
    height: int = 6,
    steps: Annotated[int, Range(1, 1000)] = 2,
    seconds: float = 0.0,
) -> NodeResult:
    """Save a picture of one colour as PNG, with a preview at each step."""
    import io
    import time

    from PIL import Image

    picture = Image.new("RGB", (width, height), (red, 0, 0))

    def preview() -> PreviewImage:
        buffer = io.BytesIO()
        picture.save(buffer, "jpeg")
        return PreviewImage("JPEG", buffer.getvalue())

    for step in range(steps):
        time.sleep(seconds)
        context.progress(step + 1, steps, preview)
    return _saved(context, picture)


@node("Copy", category="test", output_node=True)
def copy(*, context: Context, image: Annotated[str, Files("input"), Hint(image_upload=True)]) -> NodeResult:
    """Save a picture of the input folder as PNG."""
    from PIL import Image

    with Image.open(context.folders.annotated(image)) as picture:
        return _saved(context, picture)


def _saved(context: Context, picture: Any) -> NodeResult:
    target = context.folders.save_target("picture")
    name = f"{target.stem}_{target.counter:05}_.png"
    picture.save(target.directory / name)
    return NodeResult(ui={"images": [{"filename": name, "subfolder": target.subfolder, "type": "output"}]})


def folders_in(base: Path) -> Folders:
    """An installation's folders, made, with one model and one embedding."""
    for name in ("input", "output", "temp", "user", "models/checkpoints", "models/embeddings"):
        (base / name).mkdir(parents=True, exist_ok=True)
    endings = frozenset({".safetensors", ".pt"})
    models = {name: ModelFolder((base / "models" / name,), endings) for name in ("checkpoints", "embeddings")}
    return Folders(base / "input", base / "output", base / "temp", base / "user", models, {"ckpt": "checkpoints"})


def saved(value: int = 1, prefix: str = "text") -> dict[str, Any]:
    """A prompt that writes one file."""
    return {
        "1": {"class_type": "Number", "inputs": {"value": value}},
        "2": {"class_type": "Save", "inputs": {"value": ["1", 0], "prefix": prefix}},
    }


def taking(seconds: float, count: int = 20) -> dict[str, Any]:
    """A prompt that runs for that long."""
    return {"1": {"class_type": "Steps", "inputs": {"count": count, "seconds": seconds / count}}}


@dataclass
class Served:
    """A running server and a client session that speaks to it."""

    base: Path
    config: ServerConfig
    store: JobStore
    scheduler: Scheduler
    hub: Hub
    url: str
    session: aiohttp.ClientSession
    services: Services

    async def get(self, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON (or bytes) of ``GET path``, which must answer with ``status``."""
        return await self.send("GET", path, status, **options)

    async def post(self, path: str, body: Any = None, status: int = 200, **options: Any) -> Any:
        """The answer of ``POST path`` with a JSON body."""
        return await self.send("POST", path, status, **({} if body is None else {"json": body}), **options)

    async def send(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The answer, decoded if it is JSON."""
        async with self.session.request(method, _whole(self.url + path), **options) as answer:
            data = await answer.read()
            assert answer.status == status, (answer.status, data[:500])
            return await answer.json() if answer.content_type == "application/json" and data else data

    async def queue(self, prompt: Mapping[str, Any], **more: Any) -> str:
        """Queue a prompt that must be accepted; its id."""
        return str((await self.post("/prompt", {"prompt": prompt, **more}))["prompt_id"])

    async def ended(self, prompt_id: str) -> dict[str, Any]:
        """The job of that id when it has ended."""
        job: dict[str, Any] = await self.get(f"/jobs/{prompt_id}?wait=20")
        assert job["status"] in ("success", "error", "interrupted"), job
        return job


def _whole(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True)


def registry() -> Registry:
    """The nodes above."""
    import sys

    types = node_types_in(sys.modules[__name__])
    return Registry({node_type.name: node_type for node_type in types})


@asynccontextmanager
async def serving(
    base: Path,
    *,
    workers: int = 1,
    limits: Limits | None = None,
    prompt_limits: PromptLimits | None = None,
    seconds: float = 60,
    factories: Mapping[str, WorkerFactory] | WorkerPlan | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """A server on a free port for the length of a ``with``; with workers it is ready at its start.

    ``factories`` make other workers than threads with the nodes above; a plan says how many of them.
    """
    folders = folders_in(base)
    config = with_token(ServerConfig(folders, limits=limits or Limits(), **options))
    hub, store = Hub(), JobStore(config.database)
    await store.open()

    def host() -> EngineHost:
        engine = Engine(registry(), folders=folders, cache=CacheSettings(disk=None))
        return EngineHost(registry(), engine, folders, versions={"torch": "none", "sumi": "0"})

    if factories is None:
        factories = {f"worker {index}": lambda: InProcessWorker("thread", host) for index in range(workers)}
    catalogue = Catalogue(folders, config.saved_nodes)
    config = replace(config, folders=catalogue.folders)
    scheduler = Scheduler(store, hub, catalogue, factories)
    webhooks = Webhooks(store, config.signing_token, delays=(0, 0.05, 0.1))
    scheduler.on_job_ended.append(webhooks.job_ended)
    prompts = Prompts(store, scheduler, prompt_limits, config.webhook_hosts)
    app = make_app(config, store, scheduler, hub, prompts)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    await webhooks.start()
    await scheduler.start()
    port = runner.addresses[0][1]
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.CookieJar(unsafe=True)
            ) as session,
            asyncio.timeout(seconds),
        ):
            while factories and not scheduler.ready:
                await asyncio.sleep(0.01)
            yield Served(base, config, store, scheduler, hub, f"http://127.0.0.1:{port}", session, app[SERVICES])
    finally:
        await hub.close()
        await scheduler.close()
        await webhooks.close()
        await runner.cleanup()
        await store.close()


@contextmanager
def serving_on_a_thread(base: Path, **options: Any) -> Iterator[int]:
    """The same for tests that are not asynchronous; gives the port."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ports: list[int] = []
    up = threading.Event()

    async def serve() -> None:
        async with serving(base, **options) as server:
            ports.append(int(server.url.rsplit(":", 1)[1]))
            up.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            up.set()

    thread = threading.Thread(target=run)
    thread.start()
    up.wait(30)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
