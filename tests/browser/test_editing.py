"""Making and changing a graph with mouse and keyboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.canvas_page import document, drag, middle, socket
from tests.browser.visit import profile, visit

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def _add(page: Any, name: str, x: int, y: int) -> None:
    page.mouse.dblclick(x, y)
    page.get_by_role("combobox", name="Search nodes").fill(name)
    page.keyboard.press("Enter")


def test_text_to_image_from_an_empty_canvas_by_mouse(page: Any) -> None:
    page.get_by_role("button", name="New workflow").click()
    page.wait_for_selector(".node", state="detached")
    places = {
        "Load Checkpoint": (140, 130),
        "CLIP Text Encode": (460, 110),
        "Empty Latent Image": (140, 380),
        "KSampler": (860, 110),
        "VAE Decode": (1150, 110),
        "Save Image": (860, 480),
    }
    names = ["Load Checkpoint", "CLIP Text Encode", "CLIP Text Encode", *list(places)[2:]]
    for index, name in enumerate(names):
        x, y = places[name]
        _add(page, name, x, y + (230 if index == 2 else 0))
    checkpoint, positive, negative, empty, sampler, decode, save = range(1, 8)
    for origin, output, target, given in [
        (checkpoint, "CLIP", positive, "clip"),
        (checkpoint, "CLIP", negative, "clip"),
        (checkpoint, "MODEL", sampler, "model"),
        (positive, "CONDITIONING", sampler, "positive"),
        (negative, "CONDITIONING", sampler, "negative"),
        (empty, "LATENT", sampler, "latent_image"),
        (sampler, "LATENT", decode, "samples"),
        (checkpoint, "VAE", decode, "vae"),
        (decode, "IMAGE", save, "images"),
    ]:
        drag(page, middle(socket(page, origin, output, "output")), middle(socket(page, target, given, "input")))
    assert len(document(page)["links"]) == 9
    for node in (positive, negative):
        page.locator(f".react-flow__node[data-id='{node}'] textarea").fill("a lighthouse" if node == positive else "")
    for name in ("width", "height"):
        field = page.locator(f".react-flow__node[data-id='{empty}']").get_by_role("spinbutton", name=name)
        field.focus()
        field.fill("64")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node-picture img")


def test_sockets_that_do_not_fit_refuse(page: Any) -> None:
    before = document(page)
    drag(page, middle(socket(page, 1, "MODEL", "output")), middle(socket(page, 8, "vae", "input")))
    page.keyboard.press("Escape")
    assert document(page)["links"] == before["links"]


def test_undo_and_redo_over_twenty_steps(page: Any) -> None:
    start = document(page)
    for step in range(20):
        page.locator(f".react-flow__node[data-id='{step % 9 + 1}'] .node-header").click()
        page.keyboard.press("Control+b" if step % 2 else "ArrowRight")
    end = document(page)
    assert end != start
    for _ in range(20):
        page.keyboard.press("Control+z")
    assert document(page) == start
    for _ in range(20):
        page.keyboard.press("Control+Shift+z")
    assert document(page) == end


def test_copy_paste_and_delete(page: Any) -> None:
    page.locator(".react-flow__node[data-id='7'] .node-header").click()
    page.keyboard.press("Control+c")
    page.keyboard.press("Control+v")
    assert len(document(page)["nodes"]) == 10
    page.keyboard.press("Delete")
    page.keyboard.press("Delete")


def test_chinese(server: Any, browser: Any) -> None:
    with profile(browser, locale="zh-CN") as context:
        page = visit(context, server.url)
        page.get_by_role("button", name="运行", exact=True).wait_for()
        assert page.evaluate("document.documentElement.lang") == "zh-CN"


def test_text_from_a_workflow_is_never_html(page: Any, tmp_path: Path) -> None:
    trap = "<img src=x onerror=window.caught=1>"
    inputs = [{"name": trap, "type": trap, "link": None}]
    nodes = [
        {"id": 1, "type": "Note", "pos": [0, 0], "size": [200, 100], "title": trap, "widgets_values": [trap]},
        {
            "id": 2,
            "type": trap,
            "pos": [300, 0],
            "size": [200, 100],
            "inputs": inputs,
        },
    ]
    groups = [{"title": trap, "bounding": [-20, -80, 600, 300], "color": trap}]
    path = tmp_path / "trap.json"
    path.write_text(json.dumps({"nodes": nodes, "links": [], "groups": groups, "version": 0.4}))
    page.locator("#open-file").set_input_files(str(path))
    page.get_by_text(trap).first.wait_for()
    page.wait_for_timeout(300)  # time enough for a picture that is not there to fail
    assert page.evaluate("window.caught") is None


def test_a_file_of_a_thousand_nodes(page: Any, tmp_path: Path) -> None:
    nodes = [
        {
            "id": index + 1,
            "type": "EmptyLatentImage",
            "pos": [300 * (index % 40), 200 * (index // 40)],
            "size": [240, 100],
        }
        for index in range(1000)
    ]
    path = tmp_path / "thousand.json"
    path.write_text(json.dumps({"nodes": nodes, "links": [], "groups": [], "version": 0.4}))
    page.locator("#open-file").set_input_files(str(path))
    page.wait_for_selector(".canvas[data-far]")
    assert page.locator(".node").count() == 0, "far nodes are painted"
    page.mouse.move(700, 450)
    for _ in range(14):
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(30)
    page.wait_for_selector(".node")
    assert page.locator(".node").count() < 80


def test_a_painted_mask_becomes_the_pictures_alpha(page: Any, server: Any, tmp_path: Path) -> None:
    picture = tmp_path / "grey.png"
    Image.new("RGB", (64, 64), (120, 120, 120)).save(picture)
    _add(page, "Load Image", 700, 700)
    page.locator(".loaded-picture input[type=file]").set_input_files(str(picture))
    page.locator(".loaded-picture img[alt='grey.png']").wait_for()
    page.get_by_role("button", name="Paint a mask").click()
    page.wait_for_selector(".mask-foot .primary:enabled")
    sheet = page.locator(".mask-sheet canvas").bounding_box()
    page.mouse.move(sheet["x"] + sheet["width"] * 0.25, sheet["y"] + sheet["height"] / 2)
    page.mouse.down()
    page.mouse.move(sheet["x"] + sheet["width"] * 0.75, sheet["y"] + sheet["height"] / 2, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Use this mask").click()
    page.locator(".loaded-picture img[alt='grey-mask.png']").wait_for()
    alpha = Image.open(server.home / "input" / "masks" / "grey-mask.png").getchannel("A")
    assert alpha.getpixel((32, 32)) == 0, "the painted area is the one to regenerate"
    assert alpha.getpixel((32, 2)) == 255
