"""What a node costs through the server: a chain of trivial nodes over HTTP and WebSocket, cold and cached.

    python benchmarks/nodes.py [--nodes 10000] [--repeat 3] [--json]

The server is ``main.py`` on a temporary folder, with one worker on the CPU and a pack of trivial nodes. One client
posts the prompt and reads its WebSocket until the run has ended. ``cold`` runs every node, ``cached`` is the same
prompt again. Each figure is the best of the repeats, the CPU time that of the same run. ``in process`` is the engine
alone (``benchmarks/graph.py``).

ComfyUI is not run here. Measured elsewhere, on a machine of the same size: 800 nodes of such a chain take it 71 s cold
and 28 s cached, and a chain of 2,000 fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import aiohttp

from benchmarks.graph import chain, measure
from benchmarks.running_server import children, cpu_seconds, free_port, get, process, until, with_trivial_nodes


def prompt(size: int, start: float) -> dict[str, Any]:
    """A chain of ``size`` nodes in API format."""
    return chain(size, start).to_api()


async def run(session: aiohttp.ClientSession, body: bytes, socket: aiohttp.ClientWebSocketResponse) -> int:
    """Post the prompt and read until its run has ended. Returns the number of ``executing`` messages."""
    async with session.post("/prompt", data=body, headers={"Content-Type": "application/json"}) as answer:
        if answer.status != 200:
            raise RuntimeError(await answer.text())
    executing = 0
    while True:
        text = (await socket.receive()).data
        if text.startswith('{"type":"executing"'):
            if '"node":null' in text:
                return executing
            executing += 1
        elif text.startswith('{"type":"execution_error"'):
            raise RuntimeError(text)


async def timed(port: int, size: int, repeat: int, pids: list[int]) -> dict[str, dict[str, float]]:
    """The best seconds of each kind of run, with the CPU seconds of server and worker."""
    best: dict[str, dict[str, float]] = {}
    client = uuid.uuid4().hex
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        session.ws_connect(f"/ws?clientId={client}", max_msg_size=0) as socket,
    ):
        for turn in range(repeat):
            body = json.dumps({"prompt": prompt(size, float(turn)), "client_id": client}).encode()
            for kind, ran in (("cold", size), ("cached", 0)):
                before = [cpu_seconds(pid) for pid in pids]
                began = time.perf_counter()
                executing = await run(session, body, socket)
                seconds = time.perf_counter() - began
                server, worker = (cpu_seconds(pid) - used for pid, used in zip(pids, before, strict=True))
                if executing != ran:
                    raise RuntimeError(f"{executing} nodes were said to run, not {ran}")
                if kind not in best or seconds < best[kind]["seconds"]:
                    best[kind] = {"seconds": seconds, "server_cpu": server, "worker_cpu": worker}
    return best


def benchmark(size: int, repeat: int) -> dict[str, dict[str, float]]:
    """Kind of run → its numbers."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        with_trivial_nodes(Path(folder))
        with process("main.py", "--base-directory", folder, "--port", str(port), "--cpu", "--no-warm-up") as server:
            until(lambda: get(port, "/readyz")["ready"], "a worker's start")
            pids = [server.pid, *(children(server.pid) or [server.pid])][:2]
            found = asyncio.run(timed(port, size, repeat, pids))
    alone = measure(chain, size, repeat)
    found["in process, cold"] = {"seconds": alone["cold"]}
    found["in process, cached"] = {"seconds": alone["cached"]}
    return found


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = benchmark(options.nodes, options.repeat)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{os.cpu_count()} cores; a chain of {options.nodes} nodes, best of {options.repeat}\n")
    print(f"{'':20}{'seconds':>10}{'µs a node':>12}{'CPU: server':>14}{'worker':>10}")
    for kind, numbers in found.items():
        line = f"{kind:20}{numbers['seconds']:>10.2f}{numbers['seconds'] / options.nodes * 1e6:>12.0f}"
        if "server_cpu" in numbers:
            line += f"{numbers['server_cpu']:>14.2f}{numbers['worker_cpu']:>10.2f}"
        print(line)
    print("\nComfyUI, measured elsewhere: 800 nodes take 71 s cold and 28 s cached; 2,000 fail")


if __name__ == "__main__":
    main()
