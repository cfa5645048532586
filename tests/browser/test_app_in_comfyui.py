"""ComfyUI's front end 1.58.1 opens what the app view wrote, with the same fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import document
from tests.browser.conftest import ROOT, Server, need
from tests.browser.visit import profile, visit
from tests.browser.waiting import becomes

pytestmark = pytest.mark.slow

FRONT_END = ROOT / ".front-ends" / "1.58.1"


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[Server]:
    need((FRONT_END / "index.html").is_file(), f"{FRONT_END} (make front-ends)")
    running = Server(tmp_path, f"--front-end-root={FRONT_END}")
    running.post("/settings", {"Comfy.TutorialCompleted": True})
    yield running
    running.stop()


def arranged(page: Any) -> Any:
    """Arrange an app in Sumi's editor and return the file."""
    page.get_by_role("button", name="Show as an app").click()
    page.get_by_role("button", name="Arrange the fields").click()
    for name in ("Negative prompt", "Width", "Height", "Model", "Sampler", "Scheduler", "Number of pictures"):
        page.get_by_role("button", name=f"Remove {name}", exact=True).click()
        page.get_by_role("button", name=f"Remove {name}", exact=True).wait_for(state="detached")
    page.get_by_role("button", name="Move Seed up").click()
    page.get_by_role("switch", name="Open this workflow as an app").check()
    page.get_by_role("button", name="Show the graph").click()
    page.locator(".node").first.wait_for()
    return document(page)


def test_it_opens_an_arranged_app_with_the_same_fields(server: Server, comfyui: Server, browser: Any) -> None:
    with profile(browser) as context:
        doc = arranged(visit(context, server.url))
    assert doc["extra"]["linearMode"] is True
    assert doc["extra"]["linearData"]["inputs"] == [[2, "text"], [7, "steps"], [7, "seed"], [7, "cfg"]]
    assert doc["extra"]["linearData"]["outputs"] == [9]
    with profile(browser) as context:
        page = context.new_page()
        page.goto(comfyui.url)
        page.wait_for_function("() => window.app?.graph && window.app.vueAppReady !== false")
        fields = page.get_by_test_id("app-mode-widget-item")
        load = "async (text) => { await window.app.loadGraphData(JSON.parse(text), true, true, 'mine.app'); }"

        def names() -> list[str]:
            """Load the file until the front end, which opens its own workflow while it starts, shows it."""
            if not fields.count():
                page.evaluate(load, json.dumps(doc))
                page.wait_for_timeout(3000)
            return [text.split("\n")[0] for text in fields.all_inner_texts()]

        becomes(page, names, ["text", "steps", "seed", "cfg"], 120)
