"""A real server process, and a client that speaks to it."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class RunningServer:
    """``python main.py`` on ``base`` and a free port. ``prepare`` runs in the child before the server does."""

    def __init__(self, base: Path, *flags: str, prepare: Callable[[], None] | None = None, warm_up: bool = False):
        self.base = base
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, str(ROOT / "main.py"), "--base-directory", str(base), "--port", str(self.port)]
        self.log = open(base / "server.log", "ab")  # noqa: SIM115 - closed in stop
        self.process = subprocess.Popen(
            [*command, "--cpu", *([] if warm_up else ["--no-warm-up"]), *flags],
            stdout=self.log,
            stderr=self.log,
            cwd=ROOT,
            preexec_fn=prepare,
        )
        try:
            self.until(lambda: self.answers("/healthz"))
        except AssertionError:
            self.stop()
            raise

    def answers(self, path: str) -> bool:
        """Whether ``path`` answers 200."""
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with status {self.process.returncode}:\n{self.said()}")
        try:
            return self.get(path)[0] == 200
        except OSError:
            return False

    def until(self, condition: Callable[[], Any], seconds: float = 30.0) -> Any:
        """Wait for ``condition`` to be true; its value."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                raise AssertionError(f"it did not happen within {seconds:g} s:\n{self.said()}")
            time.sleep(0.02)
        return value

    def until_ready(self) -> None:
        """Wait for a worker."""
        self.until(lambda: self.answers("/readyz"), 120)  # a busy machine takes long to import torch

    def until_workers(self, count: int) -> None:
        """Wait until ``count`` workers can take jobs."""
        self.until(lambda: f"\nsumi_workers {count}.0\n" in self.get("/metrics")[1], 120)

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON (or text) of ``GET path``."""
        return self._send(urllib.request.Request(self.url + path))

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and answer of ``POST path`` with a JSON body."""
        data = json.dumps(body).encode()
        return self._send(urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}))

    def queue(self, prompt: Mapping[str, Any], **more: Any) -> str:
        """Queue a prompt that must be accepted; its id."""
        status, answer = self.post("/prompt", {"prompt": prompt, **more})
        assert status == 200, (answer, self.said())
        return str(answer["prompt_id"])

    def ended(self, prompt_id: str, seconds: float = 30.0) -> dict[str, Any]:
        """The history entry of a prompt, once it has ended."""
        entry: dict[str, Any] = self.until(lambda: self.get(f"/history/{prompt_id}")[1].get(prompt_id), seconds)
        return entry

    def at_work(self, prompt_id: str) -> None:
        """Wait until that prompt runs."""
        self.until(lambda: prompt_id in [item[1] for item in self.get("/queue")[1]["queue_running"]])

    def worker_pids(self) -> list[int]:
        """The processes that the server has started."""
        try:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(pid) for pid in children.split()]

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self.process.kill()
        self.process.wait()
        self.log.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(60)
        finally:
            self.process.kill()
            self.log.close()
        return status

    def said(self) -> str:
        """The end of its log."""
        return (self.base / "server.log").read_text(errors="replace")[-4000:]

    def _send(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=150) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _decoded(error.read())


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running(
    base: Path, *flags: str, prepare: Callable[[], None] | None = None, warm_up: bool = False
) -> Iterator[RunningServer]:
    """A server for the length of a ``with``; SIGTERM must end it well."""
    server = RunningServer(base, *flags, prepare=prepare, warm_up=warm_up)
    try:
        yield server
    except BaseException:
        print(server.said())
        server.stop()
        raise
    assert server.stop() == 0, server.said()


def chain(*nodes: tuple[str, dict[str, Any]], number: int = 7) -> dict[str, Any]:
    """ProbeValue → ``nodes`` → ProbeShow, with the ids 0, 1, 2 …"""
    prompt: dict[str, Any] = {"0": {"class_type": "ProbeValue", "inputs": {"number": number}}}
    for class_type, inputs in [*nodes, ("ProbeShow", {"note": ""})]:
        previous = str(len(prompt) - 1)
        prompt[str(len(prompt))] = {"class_type": class_type, "inputs": {"thing": [previous, 0], **inputs}}
    return prompt


def steps(count: int, seconds: float, seed: int = 0) -> tuple[str, dict[str, Any]]:
    """A node that takes ``count`` steps of ``seconds``."""
    return "ProbeSteps", {"count": count, "seconds": seconds, "seed": seed}


def exists(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
