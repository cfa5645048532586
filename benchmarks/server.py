"""How fast the server answers, idle and while a picture is sampled, beside a bare aiohttp application.

    python benchmarks/server.py [--requests N] [--json]

The server is ``main.py`` on a folder of its own, with one worker on the CPU. The bare application says "hello" and
nothing else, in a process of its own: it is what the library and the machine allow. Both are asked in turn, by
the same client over kept-alive connections: one request at a time for the percentiles, 16 connections for the rate.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
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


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return json.load(answer)


def post(port: int, path: str, body: Any) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode()).close()


def until(condition: Any, what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            if condition():
                return
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.05)


@contextlib.contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(30)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


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
    options = parser.parse_args()
    found = benchmark(options.requests)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{os.cpu_count()} cores; {options.requests} requests of each kind; rate over {CONNECTIONS} connections\n")
    print(f"{'':28}{'p50':>9}{'p99':>9}{'max':>9}{'requests/s':>12}")
    for name, numbers in found.items():
        times = "".join(f"{numbers[key]:>7.2f}ms" for key in ("p50_ms", "p99_ms", "max_ms"))
        print(f"{name:28}{times}{numbers['per_second']:>12.0f}")


if __name__ == "__main__":
    main()
