"""Chinese names of nodes, which are not written into files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.browser.visit import profile, visit
from tests.browser.waiting import until

ROOT = Path(__file__).parents[2]
WORDS = (ROOT / "web" / "src" / "i18n" / "nodes.zh.ts").read_text()


def test_every_node_and_field_of_sumi_has_a_chinese_name(server: Any) -> None:
    """Names that are the same in both languages, and mathematical letters, need no translation."""
    titles, names = WORDS.split("export const names")
    known, translated = (set(re.findall(r"^  \"?([^\":]+)\"?: ", part, re.M)) for part in (titles, names))
    same = {"clip", "vae", "sigma"}
    nodes = server.get("/object_info")
    assert set(nodes) - known == set()
    fields = {name for node in nodes.values() for group in node["input_order"].values() for name in group}
    fields -= {name for node in nodes.values() for name in node["input_order"].get("hidden", [])}
    assert {name for name in fields if len(name) > 1} - translated - same == set()


def test_chinese_names_are_shown_found_and_not_saved(server: Any, browser: Any) -> None:
    with profile(browser, locale="zh-CN") as context:
        page = visit(context, server.url)
        page.locator(".node", has_text="Sample").get_by_role("spinbutton", name="步数").wait_for()
        page.keyboard.press("/")
        page.keyboard.type("外绘")
        page.keyboard.press("Enter")
        page.locator(".node", has_text="外扩图像（用于外绘）").wait_for()
        page.keyboard.press("Control+a")
        page.keyboard.press("Control+c")
        until(page, lambda: "ImagePadForOutpaint" in page.evaluate("navigator.clipboard.readText()"))
        text = page.evaluate("navigator.clipboard.readText()")
        assert "KSampler" in text
        assert not set("外缩放步数种子") & set(text)
