"""The lesson: six workflows with a text beside each, next and back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.axe import check
from tests.browser.visit import profile, visit
from tests.browser.waiting import becomes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TITLES = re.findall(r"^## \d+\. (.*)$", (ROOT / "docs" / "lesson.md").read_text(encoding="utf-8"), re.M)
TITLES_ZH = re.findall(r"^## \d+\. (.*)$", (ROOT / "docs" / "lesson.zh.md").read_text(encoding="utf-8"), re.M)
LATE = 600_000
"""Milliseconds for a chapter on a busy machine."""


def _panel(page: Any, name: str = "Lesson") -> Any:
    return page.get_by_role("complementary", name=name, exact=True)


def _title(page: Any, title: str) -> None:
    page.locator(".lesson h2", has_text=title).wait_for()


def _pictures(number: int) -> set[str]:
    """The titles of the nodes whose pictures are in the lesson's page."""
    document = json.loads((ROOT / "workflows" / f"lesson_{number}.json").read_text(encoding="utf-8"))
    return {node["title"] for node in document["nodes"] if "lesson_picture" in node["properties"]}


@pytest.mark.newcomer
def test_a_newcomer_walks_through_all_chapters(server: Any, browser: Any) -> None:
    """Next, Run, a picture and a table on the nodes, six times, and nothing on the console."""
    said: list[str] = []
    with profile(browser) as context:
        page = visit(context, server.url)
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.get_by_role("region", name="Examples").get_by_role("button", name="How Stable Diffusion works").click()
        panel = _panel(page)
        for number, title in enumerate(TITLES, start=1):
            _title(page, title)
            assert panel.get_by_text(f"{number} of 6").is_visible()
            panel.get_by_role("button", name="Run", exact=True).click()
            panel.get_by_role("button", name="Run again").wait_for(timeout=LATE)
            for shown in _pictures(number):
                node = page.get_by_role("article", name=shown, exact=True)
                node.locator(".node-picture img").first.wait_for()
                node.locator("table td").first.wait_for()
                width, loaded = node.locator(".node-picture img").first.evaluate(
                    "image => image.decode().then(() => [image.naturalWidth, image.complete])"
                )
                assert loaded and width == 900, shown
            assert page.locator(".node[data-state=error]").count() == 0
            if number < 6:
                panel.get_by_role("button", name="Next").click()
        assert panel.get_by_role("button", name="Next").count() == 0
        page.locator(".node-picture").last.click()
        page.locator(".viewer-facts table td").first.wait_for()
        page.keyboard.press("Escape")
        panel.get_by_role("button", name="Back").click()
        _title(page, TITLES[4])
        page.locator(".node-picture").first.wait_for()  # the earlier result is still there
    assert said == []


def test_the_place_is_remembered(server: Any, browser: Any) -> None:
    with profile(browser) as context:
        page = visit(context, server.url)
        page.locator(".canvas").click(button="right", position={"x": 20, "y": 200})
        page.get_by_role("menuitem", name="Lesson: how Stable Diffusion works").click()
        _title(page, TITLES[0])
        page.get_by_role("button", name=f"3. {TITLES[2]}").click()
        _title(page, TITLES[2])
        becomes(page, lambda: server.get("/settings").get("Sumi.lesson"), 3)
        page.reload()
        _title(page, TITLES[2])  # the open workflow is a chapter
        _panel(page).get_by_role("button", name="Close").click()
        page.locator(".lesson").wait_for(state="detached")
    with profile(browser) as context:
        page = visit(context, server.url)
        page.keyboard.press("w")
        card = page.locator(".lesson-card")
        card.get_by_text("3 of 6").wait_for()
        card.click()
        _title(page, TITLES[2])


def test_chapters_speak_the_chosen_language(server: Any, browser: Any) -> None:
    with profile(browser, locale="zh-CN") as context:
        page = visit(context, server.url)
        page.keyboard.press("w")
        page.locator(".lesson-card").click()
        _title(page, TITLES_ZH[0])
        page.get_by_role("article", name="前向扩散").wait_for()
        page.get_by_role("tab", name=TITLES_ZH[0]).wait_for()
        page.get_by_role("button", name="English").click()
        _title(page, TITLES[0])
        page.get_by_role("article", name="Forward diffusion").wait_for()


def test_the_lesson_by_keyboard(server: Any, browser: Any) -> None:
    with profile(browser) as context:
        page = visit(context, server.url)
        page.keyboard.press("w")
        page.locator(".lesson-card").focus()
        page.keyboard.press("Enter")
        _title(page, TITLES[0])
        page.get_by_role("document", name=TITLES[0]).focus()
        page.locator(".lesson-text p").last.wait_for()
        page.keyboard.press("End")
        becomes(page, lambda: page.locator(".lesson-text").evaluate("text => text.scrollTop > 0"), True)
        page.keyboard.press("Tab")  # Run; Back is disabled in the first chapter
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Next"
        page.keyboard.press("Enter")
        _title(page, TITLES[1])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["desk", "phone"])
def test_the_lesson_is_accessible_and_fits(
    server: Any, browser: Any, axe: str, theme: str, size: tuple[int, int]
) -> None:
    server.post("/settings", {"Sumi.theme": theme, "Sumi.lesson": 3})
    with profile(browser, viewport={"width": size[0], "height": size[1]}) as context:
        page = visit(context, server.url, ".canvas")
        page.emulate_media(reduced_motion="reduce")
        page.keyboard.press("w")
        page.locator(".lesson-card").wait_for()
        check(page, axe, "start panel")
        page.locator(".lesson-card").click()
        _title(page, TITLES[2])
        page.get_by_role("button", name="Run", exact=True).last.click()
        page.get_by_role("button", name="Run again").wait_for(timeout=LATE)
        check(page, axe, "chapter")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        panel = page.locator(".lesson").bounding_box()
        assert panel["x"] >= 0 and panel["x"] + panel["width"] <= size[0] + 1
        if size[0] == 390:  # on a phone the results are below the text
            results = _panel(page).get_by_role("region", name="Results")
            results.locator("table td").first.wait_for()
            results.get_by_role("button", name="Enlarge: Tokens").click()
            page.locator(".viewer img").first.wait_for()
