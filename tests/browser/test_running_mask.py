"""Painting a mask, and what is sampled under it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

pytestmark = pytest.mark.slow


def workflow(picture: str) -> dict[str, Any]:
    """Encode a loaded picture, sample under its mask, decode."""

    def node(
        number: int, kind: str, inputs: list[tuple[str, str, int | None]], outputs: list[str], values: list[Any]
    ) -> Any:
        return {
            "id": number,
            "type": kind,
            "pos": [320 * ((number - 1) % 4), 380 * ((number - 1) // 4)],
            "size": [270, 330 if kind in ("LoadImage", "SaveImage") else 120],
            "flags": {},
            "order": number,
            "mode": 0,
            "inputs": [{"name": name, "type": type_, "link": link} for name, type_, link in inputs],
            "outputs": [{"name": type_, "type": type_, "links": []} for type_ in outputs],
            "properties": {},
            "widgets_values": values,
        }

    links = [
        [1, 2, 0, 5, 0, "IMAGE"],
        [2, 1, 2, 5, 1, "VAE"],
        [3, 5, 0, 6, 0, "LATENT"],
        [4, 2, 1, 6, 1, "MASK"],
        [5, 1, 1, 3, 0, "CLIP"],
        [6, 1, 1, 4, 0, "CLIP"],
        [7, 1, 0, 7, 0, "MODEL"],
        [8, 3, 0, 7, 1, "CONDITIONING"],
        [9, 4, 0, 7, 2, "CONDITIONING"],
        [10, 6, 0, 7, 3, "LATENT"],
        [11, 7, 0, 8, 0, "LATENT"],
        [12, 1, 2, 8, 1, "VAE"],
        [13, 8, 0, 9, 0, "IMAGE"],
    ]
    nodes = [
        node(1, "CheckpointLoaderSimple", [], ["MODEL", "CLIP", "VAE"], ["sumi-tiny.safetensors"]),
        node(2, "LoadImage", [], ["IMAGE", "MASK"], [picture, "image"]),
        node(3, "CLIPTextEncode", [("clip", "CLIP", 5)], ["CONDITIONING"], ["a green pear"]),
        node(4, "CLIPTextEncode", [("clip", "CLIP", 6)], ["CONDITIONING"], [""]),
        node(5, "VAEEncode", [("pixels", "IMAGE", 1), ("vae", "VAE", 2)], ["LATENT"], []),
        node(6, "SetLatentNoiseMask", [("samples", "LATENT", 3), ("mask", "MASK", 4)], ["LATENT"], []),
        node(
            7,
            "KSampler",
            [
                ("model", "MODEL", 7),
                ("positive", "CONDITIONING", 8),
                ("negative", "CONDITIONING", 9),
                ("latent_image", "LATENT", 10),
            ],
            ["LATENT"],
            [3, "fixed", 12, 5.0, "euler", "normal", 1.0],
        ),
        node(8, "VAEDecode", [("samples", "LATENT", 11), ("vae", "VAE", 12)], ["IMAGE"], []),
        node(9, "SaveImage", [("images", "IMAGE", 13)], [], ["painted"]),
    ]
    for number, origin, slot, *_ in links:
        nodes[origin - 1]["outputs"][slot]["links"].append(number)
    return {"nodes": nodes, "links": links, "groups": [], "version": 0.4}


def open_painter(page: Any, server: Any, tmp_path: Path, size: tuple[int, int] = (128, 128)) -> Any:
    """Open the painter on a LoadImage node's gradient picture. Returns the box of the sheet."""
    name = f"{tmp_path.name}.png"
    (server.home / "input").mkdir(exist_ok=True)
    across = numpy.linspace(40, 220, size[0])[None, :, None] * numpy.ones((size[1], 1, 3))
    Image.fromarray(across.astype("uint8")).save(server.home / "input" / name)
    file = tmp_path / "inpaint_by_hand.json"
    file.write_text(json.dumps(workflow(name)))
    page.locator("#open-file").set_input_files(str(file))
    page.locator(f".loaded-picture img[alt='{name}']").wait_for()
    page.get_by_role("button", name="Paint a mask").click()
    page.wait_for_selector(".mask-foot .primary:enabled")
    page.wait_for_function("() => document.querySelector('.mask-sheet img').complete")
    return page.locator(".mask-sheet canvas").bounding_box()


def stroke(page: Any, box: Any, *points: tuple[float, float], button: str = "left") -> None:
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down(button=button)
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up(button=button)


def painted(page: Any) -> numpy.ndarray:
    """Return the painted mask, 0..255, height × width."""
    found = page.evaluate(
        """() => {
            const canvas = document.querySelector(".mask-sheet canvas");
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return [canvas.width, canvas.height, Array.from(data.filter((_, index) => index % 4 === 3))];
        }"""
    )
    return numpy.array(found[2], dtype=numpy.uint8).reshape(found[1], found[0])


def slide(page: Any, name: str, value: float) -> None:
    page.get_by_role("slider", name=name).fill(str(value))


def test_paint_and_inpaint(page: Any, server: Any, tmp_path: Path) -> None:
    box = open_painter(page, server, tmp_path)
    slide(page, "Size", 64)
    stroke(page, box, (0.75, 0), (0.75, 1))
    page.get_by_role("button", name="Use this mask").click()
    page.locator(f".loaded-picture img[alt='{tmp_path.name}-mask.png']").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_selector(".node-picture img")
    made = max((server.home / "output").glob("painted*.png"), key=lambda path: path.stat().st_mtime_ns)
    after = numpy.asarray(Image.open(made).convert("RGB"), dtype=float)
    before = numpy.asarray(Image.open(server.home / "input" / f"{tmp_path.name}.png").convert("RGB"), dtype=float)
    change = abs(after - before).mean(axis=2)
    # What is kept has been through the VAE, which is small here: near, not the same.
    assert change[:, :48].mean() < 20, "what is not painted is kept"
    assert change[:, 80:].mean() > 2.5 * change[:, :48].mean(), "the painted area is regenerated"


def test_brush_eraser_undo_redo_invert_and_clear(page: Any, server: Any, tmp_path: Path) -> None:
    box = open_painter(page, server, tmp_path)
    assert painted(page).max() == 0
    slide(page, "Size", 20)
    stroke(page, box, (0.2, 0.5), (0.8, 0.5))
    first = painted(page)
    assert first[64, 64] == 255 and first[64 - 14, 64] == 0
    stroke(page, box, (0.5, 0.2), (0.5, 0.8), button="right")
    erased = painted(page)
    assert erased[64, 64] == 0 and erased[64, 32] == 255
    page.keyboard.press("Control+z")
    assert (painted(page) == first).all()
    page.keyboard.press("Control+Shift+z")
    assert (painted(page) == erased).all()
    page.get_by_role("button", name="Invert").click()
    assert abs(painted(page).astype(int) - (255 - erased.astype(int))).max() <= 1
    page.get_by_role("button", name="Clear").click()
    assert painted(page).max() == 0
    for _ in range(4):
        page.get_by_role("button", name="Undo").last.click()
    assert painted(page).max() == 0 and page.get_by_role("button", name="Undo").last.is_disabled()
    page.keyboard.press("e")
    stroke(page, box, (0.2, 0.5), (0.8, 0.5))
    assert painted(page).max() == 0, "an eraser paints nothing"
    page.keyboard.press("b")
    slide(page, "Softness", 1)
    slide(page, "Size", 60)
    stroke(page, box, (0.5, 0.5), (0.5, 0.5))
    soft = painted(page)
    assert soft[64, 64] > soft[64, 64 + 12] > soft[64, 64 + 24] > 0


def test_a_mask_is_gone_on_with_and_other_shapes_fit(page: Any, server: Any, tmp_path: Path) -> None:
    box = open_painter(page, server, tmp_path, (400, 120))
    assert box["width"] / box["height"] == pytest.approx(400 / 120, rel=0.02)
    slide(page, "Size", 40)
    stroke(page, box, (0.25, 0.5), (0.25, 0.5))
    page.get_by_role("button", name="Use this mask").click()
    page.locator(f".loaded-picture img[alt='{tmp_path.name}-mask.png']").wait_for()
    page.get_by_role("button", name="Paint a mask").click()
    page.wait_for_selector(".mask-foot .primary:enabled")
    again = painted(page)
    assert again.shape == (120, 400) and again[60, 100] == 255 and again[60, 300] == 0
    box = page.locator(".mask-sheet canvas").bounding_box()
    stroke(page, box, (0.75, 0.5), (0.75, 0.5))
    page.get_by_role("button", name="Use this mask").click()
    page.wait_for_selector("dialog", state="detached")
    newest = max((server.home / "input" / "masks").glob("*.png"), key=lambda path: path.stat().st_mtime_ns)
    alpha = numpy.asarray(Image.open(newest).getchannel("A"))
    assert alpha[60, 100] == 0 and alpha[60, 300] == 0 and alpha[60, 200] == 255


def test_painting_by_touch_while_zoomed(page: Any, server: Any, tmp_path: Path) -> None:
    box = open_painter(page, server, tmp_path)
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    page.mouse.wheel(0, -300)
    page.wait_for_function(
        "width => document.querySelector('.mask-sheet canvas').getBoundingClientRect().width > 1.5 * width",
        arg=box["width"],
    )
    slide(page, "Size", 10)
    session = page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5
    for kind, shift in (("touchStart", 0), ("touchMove", 10), ("touchMove", 20), ("touchEnd", None)):
        points = [] if shift is None else [{"x": x + shift, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function("() => !document.querySelector('.mask-tools [aria-label^=Undo]').disabled")
    found = painted(page)
    rows, columns = numpy.nonzero(found)
    assert abs(rows.mean() - 64) < 3 and 60 < columns.mean() < 75
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
