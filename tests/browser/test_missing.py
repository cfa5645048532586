"""A panel lists the nodes, models and pictures that an opened workflow lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import document, open_document
from tests.browser.visit import profile, visit
from tests.browser.waiting import steady, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MODEL = "sumi_tiny.ckpt"


def _lacking() -> Any:
    """Return the default workflow with another checkpoint, a picture that does not exist, and a node of a pack."""
    doc = json.loads((ROOT / "workflows" / "text_to_image.json").read_text())
    loader = next(node for node in doc["nodes"] if node["type"] == "CheckpointLoaderSimple")
    loader["widgets_values"] = [MODEL]
    url = "https://example.org/sumi_tiny.ckpt"
    listed = {"name": MODEL, "url": url, "hash": "ab12", "hash_type": "SHA256", "directory": "checkpoints"}
    loader["properties"]["models"] = [listed]
    common = {"size": [210, 80], "flags": {}, "order": 0, "mode": 0, "inputs": [], "outputs": []}
    doc["nodes"] += [
        {**common, "id": 901, "type": "LoadImage", "pos": [0, 900], "widgets_values": ["gone.png", "image"]},
        {
            **common,
            "id": 902,
            "type": "FancyNode",
            "pos": [400, 900],
            "properties": {"cnr_id": "fancy-pack", "ver": "1.4.0", "aux_id": "someone/fancy"},
        },
    ]
    doc["last_node_id"] = 902
    return doc


def _panel(page: Any) -> Any:
    return page.locator(".side-panel[data-panel=missing]")


def _on_desk(page: Any, kind: str) -> list[Any]:
    """Return the first values of the nodes of a kind. The panel is closed for it and opened again."""
    _panel(page).get_by_role("button", name="Close").click()
    steady(page)
    found = [node["widgets_values"][0] for node in document(page)["nodes"] if node["type"] == kind]
    page.mouse.click(74, 58, button="right")
    page.get_by_role("menuitem", name="What is missing").click()
    return found


@pytest.fixture(params=[(1440, 900), (390, 844)], ids=["desk", "phone"])
def opened(request: pytest.FixtureRequest, browser: Any, server: Any, tmp_path: Path) -> Iterator[Any]:
    width, height = request.param
    with profile(browser, viewport={"width": width, "height": height}, has_touch=width < 640) as context:
        page = visit(context, server.url, ".canvas")
        open_document(page, tmp_path / "lacking.json", _lacking())
        _panel(page).wait_for()
        yield page


def test_the_panel_names_what_is_missing(opened: Any) -> None:
    panel = _panel(opened)
    text = panel.inner_text()
    for said in ("FancyNode", "1.4.0", MODEL, "models/checkpoints/", "SHA256", "ab12", "gone.png"):
        assert said in text
    pack = panel.get_by_role("link", name="fancy-pack")
    assert pack.get_attribute("href") == "https://registry.comfy.org/nodes/fancy-pack"
    assert panel.get_by_role("link", name="https://example.org/sumi_tiny.ckpt").count() == 1
    box = panel.bounding_box()
    assert panel.locator(".panel-body").evaluate("body => body.scrollWidth <= body.clientWidth"), box


def test_the_nearest_model_is_used_instead_and_undone(opened: Any) -> None:
    panel = _panel(opened)
    models = panel.get_by_role("region", name="Models")
    assert models.get_by_role("combobox").input_value() == "sumi-tiny.safetensors"
    models.get_by_role("button", name="Use", exact=True).click()
    models.wait_for(state="detached")
    if opened.viewport_size["width"] > 640:
        assert _on_desk(opened, "CheckpointLoaderSimple") == ["sumi-tiny.safetensors"]
    opened.keyboard.press("Control+z")
    models.wait_for()


def test_a_picture_is_uploaded_instead(opened: Any, tmp_path: Path) -> None:
    picture = tmp_path / "mine.png"
    picture.write_bytes((ROOT / "tests" / "cases" / "odd.png").read_bytes())
    panel = _panel(opened)
    pictures = panel.get_by_role("region", name="Pictures")
    pictures.locator("input[type=file]").set_input_files(str(picture))
    pictures.wait_for(state="detached")
    if opened.viewport_size["width"] > 640:
        assert _on_desk(opened, "LoadImage")[0].startswith("mine")


def test_show_leads_to_the_node(page: Any, tmp_path: Path) -> None:
    open_document(page, tmp_path / "lacking.json", _lacking())
    panel = _panel(page)
    panel.get_by_role("region", name="Nodes").get_by_role("button", name="Show").click()
    steady(page)
    fancy = page.locator(".react-flow__node[data-id='902'] > article")
    until(page, lambda: fancy.get_attribute("data-selected") == "true")


def test_a_complete_workflow_opens_without_the_panel(page: Any, tmp_path: Path) -> None:
    doc = json.loads((ROOT / "workflows" / "text_to_image.json").read_text())
    open_document(page, tmp_path / "complete.json", doc)
    page.wait_for_timeout(300)
    assert _panel(page).count() == 0


def test_nothing_is_downloaded(browser: Any, server: Any, tmp_path: Path) -> None:
    with profile(browser) as context:
        page = visit(context, server.url)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        open_document(page, tmp_path / "lacking.json", _lacking())
        _panel(page).wait_for()
        _panel(page).get_by_role("button", name="Look again").click()
        page.wait_for_timeout(500)
        assert [url for url in asked if not url.startswith((server.url, "blob:", "data:"))] == []
