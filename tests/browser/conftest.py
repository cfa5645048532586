"""A real server with the built editor, and a real browser on it.

Where Playwright, Chromium or web/dist are missing these tests are skipped;
with BROWSER_TESTS=required they fail instead.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.axe import AXE
from tests.browser.visit import profile, visit

ROOT = Path(__file__).parents[2]
DIST = ROOT / "web" / "dist" / "index.html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def need(present: object, what: str) -> None:
    """Skip the test without ``present``; with BROWSER_TESTS=required fail it."""
    if present:
        return
    if os.environ.get("BROWSER_TESTS") == "required":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    need(AXE.is_file(), "axe-core (make web)")
    return AXE.read_text()


class Server:
    """A separate server with its own folders."""

    def __init__(self, home: Path, *options: str):
        self.home = home
        self._options = options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self, **environment: str) -> None:
        """Start or restart the server and wait until it answers."""
        folders = [f"--{name}-directory={self.home / name}" for name in ("output", "input", "temp", "user")]
        self._log = (self.home / "log.txt").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "main.py"), "--port", str(self.port), "--cpu", *folders, *self._options],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        self._until_answered("/object_info/KSampler", 60)

    def until_ready(self) -> None:
        """Wait until a worker can draw."""
        self._until_answered("/readyz", 150)

    def _until_answered(self, path: str, seconds: float) -> None:
        late = time.monotonic() + seconds
        while True:
            try:
                self.get(path)
                return
            except OSError:
                if time.monotonic() > late or self._process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.1)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    need(DIST.is_file(), "web/dist (make web)")
    running = Server(tmp_path_factory.mktemp("editor"))
    running.until_ready()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for one module: while Playwright runs, its event loop prevents other tests from running theirs."""
    need(CHROMIUM, "Chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        need(None, "Playwright")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


# What a page keeps on the server, as it is for one who has never been there.
NEWCOMERS_SETTINGS = {
    "Sumi.theme": "auto",
    "Sumi.language": "auto",
    "Sumi.snap": False,
    "Sumi.lesson": 0,
    "Sumi.seeds": "before",
}


@pytest.fixture(autouse=True)
def nothing_saved(request: pytest.FixtureRequest, server: Server) -> None:
    """Before each test, remove all workflows, pictures of apps and settings from the server."""
    # The greeting lies over the canvas, just where tests let go of things.
    greeted = request.node.get_closest_marker("newcomer") is not None
    server.post("/settings", {**NEWCOMERS_SETTINGS, "Sumi.welcome": greeted})
    for pattern in ("workflows/**/*.json", "app_pictures/**/*.webp"):
        for path in (server.home / "user").rglob(pattern):
            path.unlink()


@pytest.fixture
def page(server: Server, browser: Any, nothing_saved: None) -> Iterator[Any]:
    """A page without stored data."""
    with profile(browser) as context:
        yield visit(context, server.url)
