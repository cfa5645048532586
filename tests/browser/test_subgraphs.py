"""Subgraphs with the mouse: making, entering, linking to ports, showing inner fields, copying, running, unpacking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import document, drag, middle, node, open_document, socket
from tests.browser.waiting import becomes, last_run

pytestmark = pytest.mark.slow

WORKFLOW = Path(__file__).parents[2] / "workflows" / "text_to_image.json"


def _menu(page: Any, target: Any, item: str) -> None:
    target.wait_for()
    box = target.bounding_box()
    page.mouse.click(box["x"] + 8, box["y"] + box["height"] / 2, button="right")
    page.get_by_role("menuitem", name=item, exact=True).click()


def _make(page: Any, *numbers: int) -> Any:
    """Put nodes into a subgraph and return the subgraph node."""
    first, *others = numbers
    node(page, first).locator(".node-title").click()
    for number in others:
        node(page, number).locator(".node-title").click(modifiers=["Shift"])
    _menu(page, node(page, first).locator(".node-title"), "Make a subgraph")
    made = page.locator(".node[data-look=subgraph]")
    made.first.wait_for()
    return made


def _enter(page: Any, node: Any) -> None:
    node.get_by_role("button", name="Open the subgraph").click()
    page.locator(".crumbs").wait_for()
    page.locator(".node[data-look=boundary]").first.wait_for()


def _leave(page: Any) -> None:
    page.locator(".crumbs").get_by_role("button", name="Workflow").click()
    page.locator(".crumbs").wait_for(state="detached")


def _definition(doc: Any, index: int = 0) -> Any:
    return doc["definitions"]["subgraphs"][index]


def _ran(page: Any, server: Any) -> Any:
    """Return the prompt of the last run."""
    return last_run(page, server)["prompt"][2]


def test_made_run_and_dissolved_with_undo_all_the_way(page: Any, server: Any) -> None:
    start = document(page)
    made = _make(page, 2, 4)  # the prompt, and its encoding
    made.get_by_role("textbox", name="text").fill("a green pear")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node-picture img")
    holder = made.locator("xpath=ancestor::*[@data-id]").get_attribute("data-id")
    assert _ran(page, server)[f"{holder}:2"]["inputs"]["text"] == "a green pear"
    wrapped = document(page)
    assert len(wrapped["nodes"]) == 8
    _menu(page, made.locator(".node-title"), "Dissolve the subgraph")
    made.wait_for(state="detached")
    dissolved = document(page)
    assert len(dissolved["nodes"]) == 9
    assert any(node.get("widgets_values") == ["a green pear"] for node in dissolved["nodes"])
    page.keyboard.press("Control+z")
    assert document(page) == wrapped
    while page.get_by_role("button", name="Undo").is_enabled():
        page.get_by_role("button", name="Undo").click()
    assert document(page) == start
    page.get_by_role("button", name="Redo").click()
    made.wait_for()


def test_ports_by_mouse(page: Any) -> None:
    made = _make(page, 7, 8)  # sampling and decoding
    _enter(page, made)
    edge = page.locator(".node[data-look=boundary][aria-label=Inputs]")
    before = [port["name"] for port in _definition(document(page))["inputs"]]
    drag(page, middle(edge.locator(".socket[title^='+']")), middle(node(page, 7).locator("[data-widget=steps]")))
    edge.get_by_text("steps", exact=True).wait_for()
    opened = document(page)
    assert [port["name"] for port in _definition(opened)["inputs"]] == [*before, "steps"]

    _menu(page, edge.get_by_text("steps", exact=True), "Rename")
    page.locator("dialog[open]").get_by_role("textbox").fill("how long <b>")
    page.keyboard.press("Enter")
    edge.get_by_text("how long <b>", exact=True).wait_for()
    _menu(page, edge.get_by_text("how long <b>", exact=True), "Move up")
    moved = _definition(document(page))["inputs"]
    assert [port["name"] for port in moved] == [*before[:-1], "steps", before[-1]]

    _leave(page)
    made.get_by_role("spinbutton", name="how long <b>").wait_for()
    _enter(page, made)
    _menu(page, edge.get_by_text("how long <b>", exact=True), "Remove the port")
    edge.get_by_text("how long <b>", exact=True).wait_for(state="detached")
    for _ in range(4):  # removed, moved, renamed, drawn
        page.keyboard.press("Control+z")
    assert [port["name"] for port in _definition(document(page))["inputs"]] == before
    assert page.locator(".crumbs").count() == 1, "one is still inside"
    page.keyboard.press("Control+z")  # made
    page.locator(".crumbs").wait_for(state="detached")


def test_an_output_by_mouse(page: Any) -> None:
    made = _make(page, 7, 8)
    _enter(page, made)
    edge = page.locator(".node[data-look=boundary][aria-label=Outputs]")
    drag(page, middle(socket(page, 7, "LATENT", "output")), middle(edge.locator(".socket[title^='+']")))
    edge.get_by_text("LATENT", exact=True).wait_for()
    _leave(page)
    made.locator(".socket.source[title^='LATENT']").wait_for()
    holder = next(node for node in document(page)["nodes"] if node["type"] == _definition(document(page))["id"])
    assert [slot["name"] for slot in holder["outputs"]] == ["IMAGE", "LATENT"]


def test_fields_are_lifted_from_inside_and_from_outside(page: Any, server: Any) -> None:
    made = _make(page, 7, 8)
    assert made.get_by_role("spinbutton", name="seed").count() == 1, "a seed is at hand at once"
    _enter(page, made)
    _menu(page, node(page, 7).locator("[data-widget=steps]"), "Show on the subgraph’s node")
    _leave(page)
    steps = made.get_by_role("spinbutton", name="steps")
    steps.focus()
    steps.fill("3")
    page.keyboard.press("Tab")
    _menu(page, made.locator(".node-title"), "Fields on its node…")
    page.locator("dialog[open]").get_by_role("switch", name="cfg").check()
    page.locator("dialog[open]").get_by_role("switch", name="seed").uncheck()
    page.keyboard.press("Escape")
    made.get_by_role("spinbutton", name="cfg").wait_for()
    assert made.get_by_role("spinbutton", name="seed").count() == 0
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node-picture img")
    (sampler,) = (node for node in _ran(page, server).values() if node["class_type"] == "KSampler")
    assert sampler["inputs"]["steps"] == 3


def test_two_nodes_of_one_subgraph(page: Any) -> None:
    made = _make(page, 2, 4)
    made.locator(".node-title").click()
    page.keyboard.press("Control+d")
    made.nth(1).wait_for()
    _enter(page, made.first)
    node(page, 4).locator(".node-title").click()
    page.keyboard.press("Control+m")
    _leave(page)
    assert len(document(page)["definitions"]["subgraphs"]) == 1
    _menu(page, made.first.locator(".node-title"), "Make unique")
    definitions = document(page)["definitions"]["subgraphs"]
    assert len(definitions) == 2
    assert len({node["type"] for node in document(page)["nodes"] if len(node["type"]) == 36}) == 2


def test_one_in_another(page: Any, server: Any) -> None:
    inner = _make(page, 2, 4)
    inner.locator(".node-title").click()
    node(page, 7).locator(".node-title").click(modifiers=["Shift"])
    _menu(page, node(page, 7).locator(".node-title"), "Make a subgraph")
    node(page, 7).wait_for(state="detached")
    outer = page.locator(".node[data-look=subgraph]")
    outer.get_by_role("textbox", name="text").fill("two walls away")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node-picture img")
    (prompt,) = (
        node for key, node in _ran(page, server).items() if node["class_type"] == "CLIPTokenize" and key.count(":") == 2
    )
    assert prompt["inputs"]["text"] == "two walls away"
    _enter(page, outer)
    _enter(page, page.locator(".node[data-look=subgraph]"))
    assert page.locator(".crumbs button").count() == 3
    page.locator(".crumbs button").nth(1).click()
    page.locator(".crumbs button").nth(2).wait_for(state="detached")


def test_progress_is_shown_outside_and_inside(page: Any) -> None:
    made = _make(page, 7, 8)
    _enter(page, made)
    steps = node(page, 7).get_by_role("spinbutton", name="steps")
    steps.focus()
    steps.fill("4000")
    page.keyboard.press("Tab")
    _leave(page)
    page.keyboard.press("Control+Enter")
    page.locator(".node[data-look=subgraph][data-state=running] .node-progress").wait_for()
    _enter(page, made)
    page.locator(".react-flow__node[data-id='7'] .node[data-state=running] .node-progress").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".node[data-state=running]", state="detached")


def test_trouble_inside_is_shown_outside_with_the_way_there(page: Any, tmp_path: Path) -> None:
    made = _make(page, 7, 8)
    _enter(page, made)
    edge = page.locator(".node[data-look=boundary][aria-label=Inputs]")
    _menu(page, edge.get_by_text("latent_image", exact=True), "Remove the port")
    _leave(page)
    page.keyboard.press("Control+Enter")
    trouble = made.get_by_role("alert")
    trouble.get_by_text("latent_image").wait_for()
    trouble.get_by_role("button", name="Show the problem").click()
    page.locator(".crumbs").wait_for()
    node(page, 7).locator(".node[data-selected][data-state=error]").wait_for()


def test_a_subgraph_is_not_put_into_itself(page: Any) -> None:
    made = _make(page, 2, 4)
    made.locator(".node-title").click()
    page.keyboard.press("Control+c")
    _enter(page, made)
    before = document(page)
    page.keyboard.press("Control+v")
    page.get_by_text("cannot contain itself").wait_for()
    assert document(page) == before


def test_renamed_where_one_is(page: Any) -> None:
    made = _make(page, 2, 4)
    _enter(page, made)
    page.locator(".crumbs button").last.click()
    page.locator("dialog[open]").get_by_role("textbox").fill("Words <i>")
    page.keyboard.press("Enter")
    page.locator(".crumbs").get_by_text("Words <i>", exact=True).wait_for()
    _leave(page)
    page.get_by_role("article", name="Words <i>").wait_for()
    assert _definition(document(page))["name"] == "Words <i>"


def test_a_file_with_subgraphs_runs(page: Any, server: Any, tmp_path: Path) -> None:
    files = Path(__file__).parents[1] / "graph" / "formats" / "files"
    workflow = json.loads((files / "late_2025_subgraphs.json").read_text())
    path = tmp_path / "three.json"
    path.write_text(json.dumps(workflow))
    page.locator("#open-file").set_input_files(str(path))
    page.get_by_role("tab", name="three", exact=True).wait_for()
    page.keyboard.press("Control+Enter")
    page.locator(".node-picture img").nth(1).wait_for()
    ran = _ran(page, server)
    assert {node["class_type"] for node in ran.values()} >= {"KSampler", "VAEDecode"}
    assert ran["2:3"]["inputs"]["seed"] == 12345678901234567890


def _crumbs(page: Any) -> list[str]:
    return page.locator(".crumbs button").all_inner_texts()


def _retitle(page: Any, made: Any, title: str) -> None:
    made.locator(".node-title").dblclick()
    page.locator(".node-title-field").fill(title)
    page.keyboard.press("Enter")
    page.get_by_role("article", name=title, exact=True).wait_for()


def test_the_breadcrumb_follows_the_title_of_the_node(page: Any) -> None:
    made = _make(page, 2, 4)
    _retitle(page, made, "Words")
    _enter(page, made)
    assert _crumbs(page) == ["Workflow", "Words"]
    _leave(page)
    assert _definition(document(page))["name"] == "Words", "it is placed only here"
    made.locator(".node-title").click()
    page.keyboard.press("Control+d")
    page.locator(".node[data-look=subgraph]").nth(1).wait_for()
    _retitle(page, page.locator(".node[data-selected][data-look=subgraph]"), "Other words")
    assert _definition(document(page))["name"] == "Words", "two nodes stand for it"
    _enter(page, page.get_by_role("article", name="Other words", exact=True))
    assert _crumbs(page) == ["Workflow", "Other words"]
    page.locator(".crumbs button").last.click()
    page.locator("dialog[open]").get_by_role("textbox").fill("Both")
    page.keyboard.press("Enter")
    page.locator(".crumbs").get_by_text("Both", exact=True).wait_for()
    _leave(page)
    becomes(page, lambda: sorted(page.locator(".node[data-look=subgraph] .node-title").all_inner_texts()), ["Both"] * 2)


def test_escape_leaves_a_subgraph(page: Any) -> None:
    made = _make(page, 2, 4)
    _enter(page, made)
    page.keyboard.press("Escape")
    page.locator(".crumbs").wait_for(state="detached")
    assert page.evaluate("document.activeElement.dataset.look") == "subgraph"
    _enter(page, made)
    page.locator(".node:not([data-look=boundary]) textarea").first.click()
    for _ in ("the field", "the selection"):
        page.keyboard.press("Escape")
        assert len(_crumbs(page)) == 2
    page.keyboard.press("Escape")
    page.locator(".crumbs").wait_for(state="detached")
    page.keyboard.press("Escape")
    page.locator(".node[data-look=subgraph]").wait_for()


def test_a_group_node_is_shown_kept_run_and_converted(page: Any, server: Any, tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "cases" / "group_node.json"
    workflow = json.loads(source.read_text())
    for index, entry in enumerate(workflow["nodes"]):
        entry["pos"] = [360 * index, 0]
    open_document(page, tmp_path / "grouped.json", workflow)
    group = node(page, 9)
    assert group.locator(".node-title").inner_text() == "Draw"
    assert group.get_by_role("spinbutton", name="seed").input_value() == "555"
    assert document(page) == workflow, "shown and kept"
    page.keyboard.press("Control+Enter")
    page.locator(".node-picture img").wait_for()
    ran = _ran(page, server)
    settings = {"seed": 555, "steps": 4, "sampler_name": "heun", "scheduler": "karras", "cfg": 5.5}
    assert ran["9:0"]["inputs"].items() >= settings.items()
    _menu(page, group.locator(".node-title"), "Convert to a subgraph")
    group.locator(".node[data-look=subgraph]").wait_for()
    assert group.get_by_role("spinbutton", name="seed").input_value() == "555"
    page.keyboard.press("Control+Enter")
    group.locator(".node-title").click()
    becomes(page, lambda: _ran(page, server)["9:0"]["inputs"].items() >= settings.items(), True)
    assert document(page)["extra"]["groupNodes"] == {}
    page.keyboard.press("Control+z")
    becomes(page, lambda: document(page), workflow)
