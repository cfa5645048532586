"""The panel of model files, and dragging them onto the canvas."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.canvas_page import document, header, middle
from tests.browser.conftest import DIST, Server, need
from tests.browser.visit import profile, visit
from tests.browser.waiting import steady, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
INK = "styles/ink_sdxl.safetensors"
METADATA = {
    "modelspec.title": "Ink drawings",
    "modelspec.author": "A painter",
    "modelspec.trigger_phrase": "in ink style",
    "ss_tag_frequency": json.dumps({"1_ink": {"brush": 12, "paper": 3}}),
    "ss_network_dim": "8",
}
LAYER = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"


def _write(path: Path, tensors: dict[str, list[int]], metadata: dict[str, str]) -> None:
    """Write a safetensors file of zeros in half precision."""
    header: dict[str, Any] = {"__metadata__": metadata}
    place = 0
    for name, shape in tensors.items():
        size = 2 * shape[0] * shape[1]
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(place))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two checkpoints, a LoRA with a picture beside it, and a textual inversion."""
    need(DIST.is_file(), "web/dist (make web)")
    home = tmp_path_factory.mktemp("library")
    models = home / "models"
    (models / "checkpoints").mkdir(parents=True)
    for name in ("sumi-tiny", "another"):
        shutil.copy(
            ROOT / "models" / "checkpoints" / "sumi-tiny.safetensors", models / "checkpoints" / f"{name}.safetensors"
        )
    _write(models / "loras" / INK, {LAYER: [8, 2048]}, METADATA)
    Image.new("RGB", (64, 64), "navy").save((models / "loras" / INK).with_suffix(".preview.png"))
    _write(models / "embeddings" / "sketch.safetensors", {"emb_params": [2, 768]}, {})
    running = Server(home, f"--models-dir={models}")
    running.post("/settings", {"Sumi.welcome": False})
    yield running
    running.stop()


@pytest.fixture
def desk(browser: Any, library: Server) -> Iterator[Any]:
    with profile(browser) as context:
        page = visit(context, library.url)
        steady(page)
        yield page


def _panel(page: Any) -> Any:
    return page.locator(".side-panel[data-panel=models]")


def _row(page: Any, name: str) -> Any:
    return _panel(page).locator(".model", has_text=name)


def _open(page: Any, name: str) -> Any:
    row = _row(page, name)
    row.get_by_role("button").first.click()
    return row


def _loaders(page: Any, kind: str) -> list[Any]:
    _panel(page).get_by_role("button", name="Close").click()
    steady(page)
    return [node["widgets_values"][0] for node in document(page)["nodes"] if node["type"] == kind]


def test_a_file_shows_kind_family_size_picture_words_and_notes(desk: Any) -> None:
    desk.keyboard.press("m")
    row = _open(desk, "ink_sdxl")
    text = row.inner_text()
    for said in ("LoRA", "SDXL", "33.", "KB", "in ink style", "brush", "Ink drawings", "A painter", "8"):
        assert said in text, said
    picture = row.locator("img")
    until(desk, lambda: picture.evaluate("image => image.naturalWidth") == 64)
    assert "Checkpoint" in _row(desk, "sumi-tiny").inner_text()
    assert _row(desk, "sketch").locator("img").count() == 0


def test_search_reads_names_words_and_notes(desk: Any) -> None:
    desk.keyboard.press("m")
    _row(desk, "ink_sdxl").wait_for()
    search = _panel(desk).get_by_role("searchbox")
    for wanted, found in (("brush", ["ink_sdxl.safetensors"]), ("painter sdxl", ["ink_sdxl.safetensors"]), ("zzz", [])):
        search.fill(wanted)
        until(desk, lambda found=found: _panel(desk).locator(".model strong").all_inner_texts() == found)
    search.fill("")
    _panel(desk).get_by_role("combobox", name="Folder").select_option("checkpoints")
    names = _panel(desk).locator(".model strong").all_inner_texts()
    assert names == ["another.safetensors", "sumi-tiny.safetensors"]


def test_a_file_dragged_onto_the_canvas_gets_its_loader(desk: Any) -> None:
    desk.keyboard.press("m")
    _row(desk, "ink_sdxl").wait_for()
    _row(desk, "ink_sdxl").locator(".model-head").drag_to(
        desk.locator(".canvas"), target_position={"x": 700.0, "y": 760.0}, source_position={"x": 20.0, "y": 20.0}
    )
    until(desk, lambda: desk.locator(".node", has_text="Load LoRA").count() == 1)
    assert _loaders(desk, "LoraLoader") == [INK]
    desk.keyboard.press("Control+z")
    until(desk, lambda: desk.locator(".node", has_text="Load LoRA").count() == 0)


def test_a_file_dragged_onto_its_loader_is_chosen_there(desk: Any) -> None:
    steady(desk)
    loader = next(node["id"] for node in document(desk)["nodes"] if node["type"] == "CheckpointLoaderSimple")
    desk.keyboard.press("m")
    _row(desk, "another").wait_for()
    steady(desk)
    x, y = middle(header(desk, loader))
    box = desk.locator(".canvas").bounding_box()
    _row(desk, "another").locator(".model-head").drag_to(
        desk.locator(".canvas"),
        target_position={"x": x - box["x"], "y": y - box["y"]},
        source_position={"x": 20.0, "y": 20.0},
        force=True,
    )
    assert _loaders(desk, "CheckpointLoaderSimple") == ["another.safetensors"]


def test_everything_works_by_keyboard(desk: Any) -> None:
    desk.keyboard.press("m")
    row = _row(desk, "ink_sdxl")
    row.wait_for()
    row.get_by_role("button").first.focus()
    desk.keyboard.press("Enter")
    row.get_by_role("button", name="Add its loader").focus()
    desk.keyboard.press("Enter")
    until(desk, lambda: desk.locator(".node", has_text="Load LoRA").count() == 1)


def test_a_textual_inversion_is_copied_for_the_prompt(desk: Any) -> None:
    desk.keyboard.press("m")
    row = _open(desk, "sketch")
    row.get_by_role("button", name="Copy for the prompt").click()
    until(desk, lambda: desk.evaluate("navigator.clipboard.readText()") == "embedding:sketch")


def test_on_a_phone_in_chinese(browser: Any, library: Server) -> None:
    with profile(browser, viewport={"width": 390, "height": 844}, has_touch=True, locale="zh-CN") as context:
        page = visit(context, library.url, ".canvas")
        page.get_by_role("button", name="模型", exact=True).tap()
        row = _row(page, "ink_sdxl")
        row.get_by_role("button").first.tap()
        assert "触发词" in row.inner_text()
        assert _panel(page).locator(".panel-body").evaluate("body => body.scrollWidth <= body.clientWidth")
        row.get_by_role("button", name="添加加载节点").tap()
        _panel(page).wait_for(state="detached")
