"""Nodes under their Chinese names, which files never see."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WORDS = (ROOT / "web" / "src" / "i18n" / "nodes.zh.ts").read_text()


def test_every_node_and_field_of_sumi_has_a_chinese_name(server: Any) -> None:
    """What is the same in both, or a mathematician's letter, needs none."""
    titles, names = WORDS.split("export const names")
    known, translated = (set(re.findall(r"^  (\w+): ", part, re.M)) for part in (titles, names))
    same = {"clip", "vae", "sigma"}
    nodes = server.get("/object_info")
    assert set(nodes) - known == set()
    fields = {name for node in nodes.values() for group in node["input_order"].values() for name in group}
    fields -= {name for node in nodes.values() for name in node["input_order"].get("hidden", [])}
    assert {name for name in fields if len(name) > 1} - translated - same == set()


def test_chinese_names_are_shown_found_and_not_saved(server: Any, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector(".node")
    page.locator(".node", has_text="Sample").get_by_role("spinbutton", name="步数").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("外绘")
    page.keyboard.press("Enter")
    page.locator(".node", has_text="外扩图像（用于外绘）").wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    text = page.evaluate("navigator.clipboard.readText()")
    assert "ImagePadForOutpaint" in text and "KSampler" in text
    assert not set("外缩放步数种子") & set(text)
    context.close()
