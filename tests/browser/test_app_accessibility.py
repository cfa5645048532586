"""axe-core finds no serious or critical problem in the app view, in both languages and themes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.axe import check
from tests.browser.conftest import ROOT
from tests.browser.test_running_mask import workflow as masked_workflow
from tests.browser.visit import profile

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_is_found(
    server: Any, browser: Any, axe: str, theme: str, language: str, tmp_path: Any
) -> None:
    server.post("/settings", {"Sumi.theme": theme, "Sumi.language": language})
    saved = server.home / "user" / "default" / "workflows" / "mine.json"
    saved.parent.mkdir(parents=True, exist_ok=True)
    doc = json.loads((ROOT / "workflows" / "text_to_image.json").read_text())
    next(entry for entry in doc["nodes"] if entry["type"] == "KSampler")["widgets_values"][2] = 3
    saved.write_text(json.dumps(doc))
    for viewport in ({"width": 1440, "height": 900}, {"width": 390, "height": 844}):
        with profile(browser, viewport=viewport) as context:
            page = context.new_page()
            page.emulate_media(reduced_motion="reduce")
            page.goto(f"{server.url}/app/mine")
            page.locator(f":root[data-theme={theme}][lang={language}] .app-field").first.wait_for()
            page.locator("summary").click()
            check(page, axe, "form")
            page.locator(".run-button").click()
            page.locator(".app-strip img").first.wait_for(timeout=180_000)
            check(page, axe, "after a run")
            page.locator(".app-form > header button[aria-pressed]").click()
            page.locator(".app-arrange").wait_for()
            check(page, axe, "arranging")
            page.goto(f"{server.url}/app")
            page.locator(".app-list li").first.wait_for()
            check(page, axe, "list")
            page.goto(server.url)
            page.locator(".node, .app-view").first.wait_for()
            if page.locator(".app-view").count() == 0:
                page.locator(".view-toggle").click()
            page.locator(".app-field").first.wait_for()
            check(page, axe, "app view in the editor")
            path = tmp_path / "mask.json"
            path.write_text(json.dumps(masked_workflow("none.png")))
            page.locator("#open-file").set_input_files(str(path))
            page.get_by_role("tab", name="mask").wait_for()
            if page.locator(".app-view").count() == 0:
                page.locator(".view-toggle").click()
            page.locator("[data-kind=picture]").wait_for()
            check(page, axe, "picture")
