"""ComfyUI's own front ends on a server with ``--multi-user --trust-user-header``: people choose their name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT, Server, need
from tests.browser.test_comfyui_front_ends import COUNT
from tests.browser.visit import profile

pytestmark = pytest.mark.slow

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "hers"}},
}
ENDED = "() => window.counted.execution_success"
QUEUED = "async () => (await (await window.app.api.fetchApi('/prompt')).json()).exec_info.queue_remaining"
HISTORY = "async () => Object.keys(await (await window.app.api.fetchApi('/history')).json())"


@pytest.fixture(params=["1.27.10", "1.58.1"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    root = ROOT / ".front-ends" / request.param
    need((root / "index.html").is_file(), f"{root} (make front-ends)")
    server = Server(tmp_path, f"--front-end-root={root}", "--multi-user", "--trust-user-header")
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def nothing_saved() -> None:
    """Do nothing: these tests start separate servers."""


def sign_in(context: Any, server: Server, name: str) -> Any:
    """Open the front end, which asks for a name, and enter a new one."""
    page = context.new_page()
    page.goto(server.url)
    page.locator("#new-user-input").fill(name)
    page.get_by_role("button", name="Next").click()
    return page


def opened(page: Any) -> Any:
    """Wait until the page shows a graph."""
    page.wait_for_function("() => window.app?.graph && window.app.vueAppReady !== false && window.app.api.user")
    return page


def test_each_person_sees_only_their_own_runs(served: Server, browser: Any) -> None:
    with profile(browser) as hers, profile(browser) as his, profile(browser) as late:
        ann = opened(sign_in(hers, served, "Ann"))
        bob = opened(sign_in(his, served, "Bob"))
        assert sorted(served.get("/users")["users"].values()) == ["Ann", "Bob"]
        for page in (ann, bob):
            page.evaluate(COUNT)
        ann.evaluate("async (graph) => { await window.app.loadApiJson(graph, 'hers'); }", GRAPH)
        ann.evaluate("async () => { await window.app.queuePrompt(0, 1); }")
        ann.wait_for_function(ENDED, timeout=120_000)  # by the WebSocket, which has no header
        (prompt_id,) = ann.evaluate(HISTORY)
        assert bob.evaluate(HISTORY) == [] and bob.evaluate(QUEUED) == 0
        assert bob.evaluate("() => window.counted") == {}
        assert served.get("/history") == {}  # of the user default
        (user,) = (name for name, shown in served.get("/users")["users"].items() if shown == "Ann")
        assert (served.home / "user" / user / "comfy.settings.json").is_file()
        assert list((served.home / "output").glob("hers*.png")) and prompt_id

        again = sign_in(late, served, "Ann")
        again.get_by_text("already exists").or_(again.get_by_text("Duplicate username")).first.wait_for()
