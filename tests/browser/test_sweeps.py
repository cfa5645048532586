"""Trying several values: from a field's menu to the grid in the gallery."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.axe import check
from tests.browser.canvas_page import document, middle, node, open_document
from tests.browser.visit import profile, visit
from tests.browser.waiting import last_run, until

pytestmark = pytest.mark.slow

SAMPLER, PROMPT = 7, 2


def open_sweep(page: Any, number: int | str, field: str, role: str = "spinbutton") -> Any:
    """Right-click a field and return the dialog."""
    found = node(page, number).get_by_role(role, name=field, exact=True)
    page.mouse.click(*middle(found), button="right")
    page.get_by_role("menuitem", name="Try several values…").click()
    dialog = page.get_by_role("dialog", name="Try several values")
    dialog.wait_for()
    return dialog


def swept(page: Any, server: Any, output: str, count: int) -> Any:
    """Return the history entry of a sweep once its output has shown ``count`` pictures."""
    until(page, lambda: server.get("/prompt")["exec_info"]["queue_remaining"] == 0, 400)
    entry = last_run(page, server)
    assert len(entry["outputs"][output]["images"]) == count, entry["status"]
    return entry


def values(dialog: Any, name: str) -> Any:
    return dialog.get_by_role("textbox", name=f"Values: {name}", exact=True)


def test_two_fields_become_pictures_and_a_grid(page: Any, server: Any) -> None:
    before = document(page)
    dialog = open_sweep(page, SAMPLER, "steps")
    assert values(dialog, "steps").evaluate("field => field === document.activeElement")
    run = dialog.get_by_role("button", name="Run", exact=True)
    assert run.is_disabled()
    values(dialog, "steps").fill("1..2")
    until(page, lambda: dialog.locator(".sweep-count").inner_text() == "2 pictures")
    dialog.get_by_role("button", name="Add a field").click()
    dialog.get_by_role("combobox", name="Field").nth(1).select_option(label="sampler_name")
    dialog.get_by_role("button", name="euler", exact=True).click()
    dialog.get_by_role("button", name="ddim", exact=True).click()
    until(page, lambda: values(dialog, "sampler_name").input_value() == "euler, ddim")
    until(page, lambda: dialog.locator(".sweep-count").inner_text().startswith("4 pictures"))
    run.click()
    dialog.wait_for(state="detached")
    entry = swept(page, server, "9", 5)
    assert [axis["values"] for axis in entry["prompt"][3]["sweep"]] == [[1, 2], ["euler", "ddim"]]
    assert document(page)["nodes"] == before["nodes"], "a sweep changes nothing in the workflow"
    page.get_by_role("button", name="Gallery").click()
    first = page.locator(".gallery .thumbnail").first
    first.wait_for()
    assert first.get_attribute("title") == "Grid: Sumi_grid_00001_.png"
    assert page.locator(".gallery .thumbnail-badge").count() == 1
    first.click()
    until(page, lambda: page.locator(".viewer img").first.evaluate("img => img.naturalWidth > 300"))


def test_mistakes_are_said_at_their_field(page: Any) -> None:
    dialog = open_sweep(page, SAMPLER, "cfg")
    field = values(dialog, "cfg")
    said = dialog.locator(".sweep-axis small")
    for text, message in (("3,x", "“x” is not a number"), ("3,999", "at most 100"), ("1..", "is not a number")):
        field.fill(text)
        until(page, lambda message=message: message in said.inner_text())
        assert field.get_attribute("aria-invalid") == "true"
        assert dialog.get_by_role("button", name="Run", exact=True).is_disabled()
    field.fill("0.5..0.8")
    until(page, lambda: said.inner_text() == "0.5 · 0.6 · 0.7 · 0.8")
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")


def test_mistakes_are_said_in_the_chosen_language(browser: Any, server: Any) -> None:
    with profile(browser, locale="zh-CN") as context:
        page = visit(context, server.url)
        node(page, SAMPLER).get_by_role("spinbutton", name="cfg").click(button="right")
        page.get_by_role("menuitem", name="尝试多个值…").click()
        dialog = page.get_by_role("dialog")
        said = dialog.locator(".sweep-axis small")
        for text, message in (("3,x", "“x”不是数字"), ("3,999", "最多为 100"), ("1,3..8.5,", "缺少数字")):
            dialog.get_by_role("textbox").fill(text)
            until(page, lambda message=message: message in said.inner_text())
        dialog.get_by_role("textbox").fill("0.01..9.99")
        dialog.get_by_role("button", name="添加字段").click()
        dialog.get_by_role("textbox").nth(1).fill("1..200")
        count = dialog.locator(".sweep-count")
        until(page, lambda: "199800 种组合：最多 10000 种" in count.inner_text())
        assert not re.search("[a-z]", count.inner_text())


def test_words_of_a_prompt_are_replaced(page: Any, server: Any) -> None:
    dialog = open_sweep(page, PROMPT, "text", "textbox")
    values(dialog, "text").fill("red|green")
    until(page, lambda: dialog.locator(".sweep-axis small").inner_text() == "red · green")
    values(dialog, "text").press("Enter")
    dialog.wait_for(state="detached")
    entry = swept(page, server, "9", 3)
    assert entry["prompt"][3]["sweep"][0]["values"] == ["a red apple", "a green apple"]
    with Image.open(server.home / "output" / entry["outputs"]["9"]["images"][1]["filename"]) as picture:
        (prompt,) = [each for each in json.loads(picture.info["workflow"])["nodes"] if each["id"] == PROMPT]
    assert prompt["widgets_values"] == ["a green apple"], "the picture opens with the text that made it"


def test_many_pictures_are_asked_about(page: Any, server: Any) -> None:
    dialog = open_sweep(page, SAMPLER, "seed")
    values(dialog, "seed").fill("1..144")
    until(page, lambda: dialog.locator(".sweep-count").inner_text().startswith("144 pictures"))
    dialog.get_by_role("button", name="Run", exact=True).click()
    asked = page.get_by_role("dialog", name="Make 144 pictures?")
    asked.get_by_role("button", name="Cancel").click()
    asked.wait_for(state="detached")
    assert dialog.is_visible()
    dialog.get_by_role("button", name="Run", exact=True).click()
    asked.get_by_role("button", name="Make 144 pictures").click()
    dialog.wait_for(state="detached")
    until(page, lambda: len(server.get("/queue")["queue_running"]) == 1)
    server.post("/interrupt", {})
    until(page, lambda: server.get("/queue")["queue_running"] == [], 400)


def test_a_field_inside_a_subgraph_is_named_by_its_path(page: Any, server: Any, tmp_path: Path) -> None:
    node(page, PROMPT).locator(".node-title").click()
    page.mouse.click(*middle(node(page, PROMPT).locator(".node-title")), button="right")
    page.get_by_role("menuitem", name="Make a subgraph").click()
    made = page.locator(".node[data-look=subgraph]")
    made.wait_for()
    holder = made.locator("xpath=ancestor::*[@data-id]").get_attribute("data-id")
    field = made.get_by_role("textbox", name="text")
    page.mouse.click(*middle(field), button="right")
    page.get_by_role("menuitem", name="Try several values…").click()
    dialog = page.get_by_role("dialog", name="Try several values")
    values(dialog, "text").fill("red|blue")
    until(page, lambda: dialog.locator(".sweep-count").inner_text().startswith("2 pictures"))
    dialog.get_by_role("button", name="Run", exact=True).click()
    dialog.wait_for(state="detached")
    assert swept(page, server, "9", 3)["prompt"][3]["sweep"][0]["node"] == f"{holder}:{PROMPT}"


def test_a_primitive_that_feeds_one_field_stands_for_it(page: Any, tmp_path: Path) -> None:
    doc = json.loads((Path(__file__).parents[2] / "workflows" / "text_to_image.json").read_text())
    sampler = next(entry for entry in doc["nodes"] if entry["id"] == SAMPLER)
    slot = len(sampler["inputs"])
    sampler["inputs"].append({"name": "cfg", "type": "FLOAT", "link": 900, "widget": {"name": "cfg"}})
    doc["nodes"].append(
        {
            "id": 90,
            "type": "PrimitiveNode",
            "pos": [sampler["pos"][0], sampler["pos"][1] - 200],
            "size": [210, 82],
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": "FLOAT", "type": "FLOAT", "links": [900], "widget": {"name": "cfg"}}],
            "properties": {},
            "widgets_values": [5.0, "fixed"],
        }
    )
    doc["links"].append([900, 90, 0, SAMPLER, slot, "FLOAT"])
    open_document(page, tmp_path / "primitive.json", doc)
    dialog = open_sweep(page, 90, "cfg")
    values(dialog, "cfg").fill("3,4")
    until(page, lambda: dialog.locator(".sweep-count").inner_text().startswith("2 pictures"))


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_the_app_view_has_the_same_dialog(browser: Any, server: Any, size: tuple[int, int]) -> None:
    screen = {"width": size[0], "height": size[1]}
    with profile(browser, viewport=screen, has_touch=size[0] < 600) as context:
        page = visit(context, f"{server.url}/app/text_to_image", ".app-field")
        page.get_by_role("button", name="Try several values…").click()
        dialog = page.get_by_role("dialog", name="Try several values")
        field = dialog.locator("input[type=text]")
        field.fill("red|green")
        until(page, lambda: dialog.locator(".sweep-axis small").inner_text() == "red · green")
        until(page, lambda: dialog.locator(".sweep-count").inner_text().startswith("2 pictures"))
        dialog.get_by_role("button", name="Run", exact=True).click()
        dialog.wait_for(state="detached")
        sweep = swept(page, server, "9", 3)["prompt"][3]["sweep"]
        assert sweep[0]["values"] == ["a red apple", "a green apple"]


SMALL = {
    "nodes": [
        {
            "id": 1,
            "type": "EmptyImage",
            "pos": [0, 0],
            "size": [260, 150],
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
            "properties": {},
            "widgets_values": [64, 64, 1, 0],
        },
        {
            "id": 2,
            "type": "SaveImage",
            "pos": [0, 240],
            "size": [260, 200],
            "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            "outputs": [],
            "properties": {},
            "widgets_values": ["small"],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    "groups": [],
    "last_node_id": 2,
    "last_link_id": 1,
    "version": 0.4,
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_dialog_fits_and_is_accessible(
    browser: Any, server: Any, tmp_path: Path, axe: str, theme: str, width: int
) -> None:
    size = {"width": width, "height": 844 if width < 600 else 900}
    with profile(browser, viewport=size, locale="zh-CN", color_scheme=theme, reduced_motion="reduce") as context:
        page = visit(context, server.url, ".canvas")
        open_document(page, tmp_path / "small.json", SMALL)
        page.mouse.click(*middle(node(page, 1).locator("[data-widget=width]")), button="right")
        page.get_by_role("menuitem", name="尝试多个值…").click()
        dialog = page.get_by_role("dialog", name="尝试多个值")
        fields = dialog.locator("input[type=text]")
        fields.nth(0).fill("64,128")
        for _ in range(2):
            dialog.get_by_role("button", name="添加字段").click()
        fields.nth(1).fill("x")
        until(page, lambda: fields.nth(1).get_attribute("aria-invalid") == "true")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        outside = "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).length"
        assert dialog.locator("button, input, select").evaluate_all(outside) == 0
        check(page, axe, "sweep")
        fields.nth(1).fill("64,96")
        dialog.locator(".sweep-axis").nth(2).get_by_role("button").last.click()
        until(page, lambda: dialog.locator(".sweep-count").inner_text().startswith("4 张图片"))
        dialog.get_by_role("button", name="运行", exact=True).click()
        dialog.wait_for(state="detached")
        swept(page, server, "2", 5)
