"""Texts from workflows, file names and nodes are shown as text, never as HTML."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

TRAP = "<img src=x onerror=window.caught=1><b>trap</b>"


@pytest.fixture(autouse=True)
def _nothing_is_caught(page: Any) -> Iterator[None]:
    yield
    assert page.evaluate("window.caught") is None
    assert page.locator("b", has_text="trap").count() == 0


def _open(page: Any, tmp_path: Path, name: str, doc: dict[str, Any]) -> None:
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(doc))
    page.locator("#open-file").set_input_files(str(path))


def test_titles_notes_groups_slots_choices_and_subgraphs(page: Any, tmp_path: Path) -> None:
    definition = {
        "id": "9d3a2b10-0000-4aaa-8aaa-000000000001",
        "name": TRAP,
        "version": 1,
        "inputNode": {"id": -10, "bounding": [0, 0, 140, 80]},
        "outputNode": {"id": -20, "bounding": [400, 0, 140, 80]},
        "inputs": [{"id": "p", "name": TRAP, "type": TRAP, "linkIds": []}],
        "outputs": [],
        "nodes": [],
        "links": [],
        "groups": [],
    }
    nodes = [
        {"id": 1, "type": "Note", "pos": [0, 0], "size": [200, 100], "title": TRAP, "widgets_values": [TRAP]},
        {"id": 2, "type": "MarkdownNote", "pos": [0, 200], "size": [200, 100], "widgets_values": [TRAP]},
        {
            "id": 3,
            "type": TRAP,
            "pos": [300, 0],
            "size": [200, 100],
            "inputs": [{"name": TRAP, "type": TRAP, "link": None}],
            "outputs": [{"name": TRAP, "type": TRAP, "links": None}],
        },
        {
            "id": 4,
            "type": "CheckpointLoaderSimple",
            "pos": [600, 0],
            "size": [300, 100],
            "widgets_values": [TRAP],
            "color": TRAP,
        },
        {
            "id": 5,
            "type": definition["id"],
            "pos": [600, 200],
            "size": [300, 100],
            "inputs": [{"name": TRAP, "type": TRAP, "link": None, "label": TRAP}],
        },
    ]
    groups = [{"title": TRAP, "bounding": [-20, -80, 960, 500], "color": TRAP}]
    _open(
        page,
        tmp_path,
        "trap",
        {"nodes": nodes, "links": [], "groups": groups, "definitions": {"subgraphs": [definition]}, "version": 0.4},
    )
    page.get_by_role("tab", name="trap").wait_for()
    page.locator(".node-title", has_text=TRAP).nth(2).wait_for()
    page.locator(".slot-label", has_text=TRAP).first.wait_for()
    page.locator(".node", has_text="CheckpointLoaderSimple").or_(page.locator(".field", has_text=TRAP)).first.wait_for()
    page.get_by_role("button", name="Open the subgraph").click()
    page.locator(".crumbs", has_text=TRAP).wait_for()


def test_file_names_in_tabs_library_and_questions(page: Any, server: Any) -> None:
    name = "trap &lt;b&gt; 'x' <i>y<"
    path = urllib.parse.quote(f"workflows/{name}.json", safe="")
    body = json.dumps({"nodes": [], "links": [], "version": 0.4}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/userdata/{path}", body, method="POST"), timeout=30)
    page.keyboard.press("w")
    page.locator(".library-open", has_text=name).click()
    page.get_by_role("tab", name=name).wait_for()
    page.locator(".library-row", has_text=name).hover()
    page.locator(".library-row", has_text=name).get_by_title("Delete").click()
    page.locator("dialog h2", has_text=name).wait_for()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.locator(".library-open", has_text=name).wait_for(state="detached")


def test_errors_of_files_and_of_the_server(page: Any, tmp_path: Path) -> None:
    _open(page, tmp_path, "bad", {"nodes": [{"id": 1, "type": "X", "title": [TRAP]}]})
    page.locator(".notice", has_text="onerror").wait_for()
    node = {
        "id": 1,
        "type": "CheckpointLoaderSimple",
        "pos": [0, 0],
        "size": [300, 100],
        "widgets_values": [TRAP],
        "outputs": [{"name": n, "type": n, "links": None} for n in ("MODEL", "CLIP", "VAE")],
    }
    save = {
        "id": 2,
        "type": TRAP,
        "pos": [400, 0],
        "size": [300, 100],
        "inputs": [{"name": "model", "type": "MODEL", "link": 1}],
    }
    preview = {**save, "id": 3, "type": "PreviewAny", "pos": [400, 200]}
    preview["inputs"] = [{"name": "source", "type": "*", "link": 1}]
    _open(
        page,
        tmp_path,
        "refused",
        {"nodes": [node, preview], "links": [[1, 1, 0, 3, 0, "MODEL"]], "version": 0.4},
    )
    page.get_by_role("tab", name="refused").wait_for()
    page.keyboard.press("Control+Enter")
    page.locator(".node-trouble", has_text=re.compile("onerror")).or_(
        page.locator(".notice", has_text=re.compile("onerror|refused"))
    ).first.wait_for()


def test_pictures_with_such_names(page: Any, server: Any, tmp_path: Path) -> None:
    name = "a<img src=x onerror=window.caught=1>.png"
    picture = server.home / "input" / name
    picture.parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(picture)
    try:
        page.reload()
        page.wait_for_selector(".node")
        node = {"id": 1, "type": "LoadImage", "pos": [0, 0], "size": [300, 300], "widgets_values": [name, "image"]}
        _open(page, tmp_path, "picture", {"nodes": [node], "links": [], "version": 0.4})
        page.get_by_role("tab", name="picture").wait_for()
        page.locator(f'.loaded-picture img[alt="{name}"]').wait_for()
        page.locator(".field", has_text="onerror").click()
        page.locator(".popover .option", has_text=name).first.wait_for()
    finally:
        picture.unlink()


def test_scripts_come_from_here_only(page: Any) -> None:
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r"script-src[^;]*unsafe-inline", policy)
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.caught = 1";
            document.body.append(script);
        }"""
    )
