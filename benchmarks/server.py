"""How fast the server answers, idle and while a picture is sampled, beside a bare aiohttp application; and a crowd.

    python benchmarks/server.py [--requests N] [--jobs N] [--json]

The server is ``main.py`` on a temporary folder, with one worker on the CPU. The bare application says "hello" and
nothing else, in a separate process: it is what the library and the machine allow. Both are asked in turn, by
the same client over kept-alive connections: one request at a time for the percentiles, 16 connections for the rate.

The crowd: 100 WebSocket clients are connected all the time, and 5,000 small jobs of theirs run. 2,000 prompts are
posted at once, over 16 connections. The memory of server and worker is read when 1,000 and when all jobs have ended;
the worker keeps 100 results (``--cache-lru``), since a cache that fills is no leak. Every client must hear of the end
of each of its jobs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import aiohttp

from benchmarks.running_server import (
    children,
    cpu_seconds,
    free_port,
    get,
    post,
    process,
    resident_mebibytes,
    until,
    with_trivial_nodes,
)

CONNECTIONS = 16
SAMPLER = "5"
WARM_UP = 100

HELLO = """
import sys
from aiohttp import web
async def hello(request):
    return web.Response(text="hello")
app = web.Application()
app.router.add_get("/hello", hello)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


def prompt(seed: int) -> dict[str, Any]:
    """A picture that takes minutes."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sumi-tiny.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a red house"}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 256, "height": 256, "batch_size": 1}},
        SAMPLER: {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0], "seed": seed,
                "steps": 10_000, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "benchmark"}},
    }  # fmt: skip


class Connection:
    """One kept-alive HTTP connection, as thin as it can be: what is measured is the server."""

    def __init__(self, port: int, path: str):
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    def ask(self) -> float:
        """Seconds from the request to the last byte of the answer, which must be a 200."""
        began = time.perf_counter()
        self._socket.sendall(self._request)
        status, length = self._file.readline(), 0
        while (line := self._file.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self._file.read(length)
        if b" 200 " not in status:
            raise RuntimeError(f"{self._request!r} was answered with {status!r}")
        return time.perf_counter() - began

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def measure(port: int, path: str, count: int) -> dict[str, float]:
    """p50 and p99 in milliseconds of ``count`` requests one after the other; requests a second over all connections."""
    connection = Connection(port, path)
    for _ in range(WARM_UP):
        connection.ask()
    times = sorted(connection.ask() for _ in range(count))
    connection.close()

    def share(_: int) -> None:
        one = Connection(port, path)
        for _ in range(count // CONNECTIONS):
            one.ask()
        one.close()

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        began = time.perf_counter()
        list(threads.map(share, range(CONNECTIONS)))
        seconds = time.perf_counter() - began
    return {
        "p50_ms": 1000 * times[count // 2],
        "p99_ms": 1000 * times[int(count * 0.99)],
        "max_ms": 1000 * times[-1],
        "per_second": count // CONNECTIONS * CONNECTIONS / seconds,
    }


def benchmark(count: int) -> dict[str, dict[str, float]]:
    """Name of the measurement → its numbers."""
    found: dict[str, dict[str, float]] = {}
    bare, port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder, process("-c", HELLO, str(bare)):
        flags = [f"--{name}-directory={folder}/{name}" for name in ("output", "input", "user", "temp")]
        with process("main.py", "--port", str(port), "--cpu", *flags):
            until(lambda: get(port, "/readyz")["ready"], "a worker's start")
            time.sleep(3)  # the worker imports torch before it is needed
            for state in ("idle", "sampling"):
                if state == "sampling":
                    for seed in range(20):
                        post(port, "/prompt", {"prompt": prompt(seed)})
                    until(lambda: sampled(port) > 0, "sampling")
                before = sampled(port)
                found[f"bare aiohttp, {state}"] = measure(bare, "/hello", count)
                found[f"GET /queue, {state}"] = measure(port, "/queue", count)
                found[f"GET /prompt, {state}"] = measure(port, "/prompt", count)
                if state == "sampling":
                    until(lambda: sampled(port) > before, "a further step of the sampler")  # noqa: B023
            post(port, "/queue", {"clear": True})
            post(port, "/interrupt", {})
    return found


CLIENTS = 100
BURST = 2_000
FIRST_JOBS = 1_000


def small_prompt(number: int) -> dict[str, Any]:
    """Three trivial nodes that no other prompt has computed."""
    return {
        "1": {"class_type": "Number", "inputs": {"value": float(number)}},
        "2": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": 1.0}},
        "3": {"class_type": "Total", "inputs": {"first": ["2", 0]}},
    }


class Crowd:
    """Clients with WebSockets, who post prompts in turn."""

    def __init__(self, session: aiohttp.ClientSession):
        self._session = session
        self._posted = 0
        self.ended = 0
        self.messages = 0
        self._listeners: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """Connect every client."""
        for number in range(CLIENTS):
            socket = await self._session.ws_connect(f"/ws?clientId=client-{number}")
            self._listeners.append(asyncio.create_task(self._listen(socket)))

    async def post(self, count: int) -> float:
        """Post that many prompts over ``CONNECTIONS`` connections. Returns the seconds until all are accepted."""
        numbers = iter(range(self._posted, self._posted + count))
        self._posted += count
        began = time.perf_counter()
        await asyncio.gather(*(self._post_each(numbers) for _ in range(CONNECTIONS)))
        return time.perf_counter() - began

    async def wait(self) -> None:
        """Wait until every client has heard of the end of its jobs."""
        while self.ended < self._posted:
            await asyncio.sleep(0.05)

    async def leave(self) -> None:
        for listener in self._listeners:
            listener.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)

    async def _post_each(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            body = {"prompt": small_prompt(number), "client_id": f"client-{number % CLIENTS}"}
            async with self._session.post("/prompt", json=body) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status}: {await answer.text()}")

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            self.messages += 1
            self.ended += message.data.startswith('{"type":"execution_success"')


async def of_a_crowd(port: int, jobs: int, pids: dict[str, int]) -> dict[str, float]:
    found: dict[str, float] = {}

    def read_memory(after: int) -> None:
        for name, pid in pids.items():
            found[f"{name}, MiB after {after} jobs"] = resident_mebibytes(pid)

    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=CLIENTS + CONNECTIONS)
    ) as session:
        crowd = Crowd(session)
        await crowd.connect()
        await crowd.post(FIRST_JOBS)
        await crowd.wait()
        read_memory(FIRST_JOBS)
        began, before = time.perf_counter(), cpu_seconds(pids["server"])
        found[f"{BURST} prompts accepted, s"] = await crowd.post(BURST)
        found["CPU of the server meanwhile, s"] = cpu_seconds(pids["server"]) - before
        await crowd.wait()
        found[f"{BURST} jobs ended, s"] = time.perf_counter() - began
        await crowd.post(jobs - FIRST_JOBS - BURST)
        await crowd.wait()
        read_memory(jobs)
        found["messages to 100 clients"] = crowd.messages
        await crowd.leave()
    return found


def crowd(jobs: int) -> dict[str, float]:
    """Start a server for a crowd. Returns name → figure."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        with_trivial_nodes(Path(folder))
        flags = ["--base-directory", folder, "--port", str(port), "--cpu", "--no-warm-up", "--cache-lru", "100"]
        with process("main.py", *flags) as server:
            until(lambda: get(port, "/readyz")["ready"], "a worker's start")
            worker = dict(zip(["worker"], children(server.pid), strict=False))
            return asyncio.run(of_a_crowd(port, jobs, {"server": server.pid, **worker}))


def sampled(port: int) -> float:
    """How far the running job's sampler is, 0..1; 0 while another node runs."""
    running = get(port, "/queue")["queue_running"]
    if not running:
        return 0.0
    job = get(port, f"/jobs/{running[0][1]}")
    whole = float(job["progress"]) * len(prompt(0))
    return whole % 1 if job["node"] == SAMPLER else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=2_000, help="of each kind, twice (default: 2000)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--jobs", type=int, default=5_000, help="of the crowd, at least 3000 (default: 5000)")
    options = parser.parse_args()
    if options.jobs < FIRST_JOBS + BURST:
        parser.error(f"--jobs: expected {FIRST_JOBS + BURST} or more")
    found = benchmark(options.requests)
    among_many = crowd(options.jobs)
    if options.json:
        print(json.dumps({**found, "crowd": among_many}, indent=2))
        return
    print(f"{os.cpu_count()} cores; {options.requests} requests of each kind; rate over {CONNECTIONS} connections\n")
    print(f"{'':28}{'p50':>9}{'p99':>9}{'max':>9}{'requests/s':>12}")
    for name, numbers in found.items():
        times = "".join(f"{numbers[key]:>7.2f}ms" for key in ("p50_ms", "p99_ms", "max_ms"))
        print(f"{name:28}{times}{numbers['per_second']:>12.0f}")
    print()
    for name, figure in among_many.items():
        print(f"{name:34}{figure:>10.1f}")


if __name__ == "__main__":
    main()
