"""axe-core finds no serious or critical problem in any part of the editor, in the light and dark themes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.axe import check

pytestmark = pytest.mark.slow


@pytest.mark.newcomer
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_is_found(page: Any, server: Any, axe: str, theme: str) -> None:
    page.emulate_media(reduced_motion="reduce")  # what is on its way in has the contrast of what it passes through
    server.post("/settings", {"Sumi.theme": theme})
    page.reload()
    page.locator(f":root[data-theme={theme}] .node").first.wait_for()
    page.get_by_role("region", name="Examples").wait_for()
    check(page, axe, "first visit")
    page.keyboard.press("Control+Enter")
    page.locator(".node-picture").wait_for()
    page.locator(".node-header .node-badge").last.wait_for()
    check(page, axe, "after a run")

    page.keyboard.press("/")
    page.locator("[role=option]").first.wait_for()
    check(page, axe, "search for nodes")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="sampler_name euler").click()
    page.locator("[role=option]").first.wait_for()
    check(page, axe, "list of choices")
    page.keyboard.press("Escape")
    page.locator(".react-flow__node[data-id='7'] .node-header").click(button="right")
    page.get_by_role("menu").wait_for()
    check(page, axe, "menu of a node")
    page.keyboard.press("Escape")

    for keys, name in (("Control+,", "Settings"), ("?", "Shortcuts"), ("Control+Shift+s", "Save the workflow")):
        page.keyboard.press(keys)
        page.get_by_role("dialog", name=name).wait_for()
        check(page, axe, name)
        page.keyboard.press("Escape")
        page.get_by_role("dialog", name=name).wait_for(state="detached")

    page.keyboard.press("w")
    page.get_by_role("complementary", name="Workflows").wait_for()
    check(page, axe, "workflows")
    page.keyboard.press("m")
    page.locator(".model button").first.click()
    page.locator(".model-details").wait_for()
    check(page, axe, "models")
    page.keyboard.press("F1")
    page.get_by_role("complementary", name="Help").wait_for()
    page.get_by_role("searchbox").fill("ksampler")
    page.locator(".help-found button").first.click()
    page.locator(".help-part").first.wait_for()
    check(page, axe, "help")
    page.keyboard.press("g")
    page.locator(".thumbnail").first.wait_for()
    check(page, axe, "gallery")
    page.locator(".thumbnail").first.click()
    page.locator(".viewer-facts dd").first.wait_for()
    check(page, axe, "viewer")
    page.get_by_role("button", name="Use as input").click()
    page.locator(".loaded-picture img").wait_for()
    page.locator(".viewer").wait_for(state="detached")
    page.keyboard.press("q")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    page.keyboard.press("Control+Enter")
    page.locator(".job").wait_for()
    check(page, axe, "queue")
    page.get_by_role("button", name="Cancel all").click()
    page.get_by_role("button", name="Resume").click()
    page.keyboard.press("q")
    page.get_by_role("button", name="Paint a mask").click()
    page.locator(".mask-sheet canvas").wait_for()
    check(page, axe, "mask painter")
