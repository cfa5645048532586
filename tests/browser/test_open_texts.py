"""Placeholders in texts are filled in when the workflow is queued."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.browser.waiting import last_run

PICTURE = ".node img[src*='/view']"


@pytest.mark.slow
def test_a_dynamic_prompt_and_a_file_name_are_settled_when_queued(page: Any, server: Any) -> None:
    page.locator(".node", has_text="Prompt").get_by_role("textbox", name="text").first.fill("a {red|green} apple")
    page.locator(".node", has_text="Save").get_by_role("textbox", name="filename_prefix").fill(
        "%date:yyyy%/%Sample.steps%"
    )
    page.keyboard.press("Tab")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(PICTURE)
    entry = last_run(page, server)
    nodes = entry["prompt"][2]
    texts = [node["inputs"]["text"] for node in nodes.values() if node["inputs"].get("text")]
    assert texts in (["a red apple"], ["a green apple"])
    (saved,) = (image for output in entry["outputs"].values() for image in output.get("images", []))
    assert saved["subfolder"] == time.strftime("%Y")
    assert saved["filename"].startswith("20_")
    kept = entry["prompt"][3]["extra_pnginfo"]["workflow"]["nodes"]
    values = [value for node in kept for value in node.get("widgets_values", [])]
    assert texts[0] in values, "the picture's workflow gives the same picture again"
    assert "%date:yyyy%/%Sample.steps%" in values
    # What the person wrote stays in the field.
    assert page.get_by_role("textbox", name="text").first.input_value() == "a {red|green} apple"
