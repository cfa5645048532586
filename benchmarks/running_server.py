"""Servers that benchmarks start, what they ask them, and how much time and memory those processes use."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

_PACK = """
from graph.node import node
from graph.results import NodeResult

@node("Number", category="benchmark", environment=False)
def number(*, value: float = 0.0) -> float:
    "A number."
    return value

@node("Add", category="benchmark", environment=False)
def add(*, a: float, b: float = 1.0) -> float:
    "a + b."
    return a + b

@node("Total", category="benchmark", environment=False, output_node=True)
def total(*, first: float) -> None:
    "Shows its input."
    return NodeResult(ui={"total": [first]})
"""


def get(port: int, path: str) -> Any:
    """The JSON at a path of the server."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return json.load(answer)


def post(port: int, path: str, body: Any) -> None:
    """Post JSON; raises HTTPError unless it is accepted."""
    urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode()).close()


def until(condition: Any, what: str, seconds: float = 120) -> None:
    """Wait for ``condition`` to be true; ``what`` names it in the error."""
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
    """A Python process in the checkout, which is ended with the block."""
    started = subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(30)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far; NaN where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The ids of a process's children."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def resident_mebibytes(pid: int) -> float:
    """Memory of a process that is in RAM; NaN where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def with_trivial_nodes(base: Path) -> None:
    """Put a pack with the nodes Number, Add and Total into a base directory."""
    pack = base / "custom_nodes" / "trivial.py"
    pack.parent.mkdir()
    pack.write_text(_PACK)
