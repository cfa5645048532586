"""What axe-core finds in every part of the editor, in light and in dark: nothing serious, nothing critical."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`))"""


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file() and os.environ.get("BROWSER_TESTS") != "required":
        pytest.skip("axe-core is missing (make web)")
    return AXE.read_text()


def _check(page: Any, axe: str, state: str) -> None:
    page.evaluate(axe)
    assert page.evaluate(RUN) == [], state


@pytest.mark.newcomer
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_is_found(page: Any, server: Any, axe: str, theme: str) -> None:
    page.emulate_media(reduced_motion="reduce")  # what is on its way in has the contrast of what it passes through
    server.post("/settings", {"Sumi.theme": theme})
    page.reload()
    page.locator(f":root[data-theme={theme}] .node").first.wait_for()
    page.get_by_role("region", name="Examples").wait_for()
    _check(page, axe, "first visit")
    page.keyboard.press("Control+Enter")
    page.locator(".node-picture").wait_for()
    page.locator(".node-header .node-badge").last.wait_for()
    _check(page, axe, "after a run")

    page.keyboard.press("/")
    page.locator("[role=option]").first.wait_for()
    _check(page, axe, "search for nodes")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="sampler_name euler").click()
    page.locator("[role=option]").first.wait_for()
    _check(page, axe, "list of choices")
    page.keyboard.press("Escape")
    page.locator(".react-flow__node[data-id='7'] .node-header").click(button="right")
    page.get_by_role("menu").wait_for()
    _check(page, axe, "menu of a node")
    page.keyboard.press("Escape")

    for keys, name in (("Control+,", "Settings"), ("?", "Shortcuts"), ("Control+Shift+s", "Save the workflow")):
        page.keyboard.press(keys)
        page.get_by_role("dialog", name=name).wait_for()
        _check(page, axe, name)
        page.keyboard.press("Escape")
        page.get_by_role("dialog", name=name).wait_for(state="detached")

    page.keyboard.press("w")
    page.get_by_role("complementary", name="Workflows").wait_for()
    _check(page, axe, "workflows")
    page.keyboard.press("g")
    page.locator(".thumbnail").first.wait_for()
    _check(page, axe, "gallery")
    page.locator(".thumbnail").first.click()
    page.locator(".viewer-facts dd").first.wait_for()
    _check(page, axe, "viewer")
    page.get_by_role("button", name="Use as input").click()
    page.locator(".loaded-picture img").wait_for()
    page.locator(".viewer").wait_for(state="detached")
    page.keyboard.press("q")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    page.keyboard.press("Control+Enter")
    page.locator(".job").wait_for()
    _check(page, axe, "queue")
    page.get_by_role("button", name="Cancel all").click()
    page.get_by_role("button", name="Resume").click()
    page.keyboard.press("q")
    page.get_by_role("button", name="Paint a mask").click()
    page.locator(".mask-sheet canvas").wait_for()
    _check(page, axe, "mask painter")
