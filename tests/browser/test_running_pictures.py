"""The gallery of all results, and the picture viewer."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.visit import profile, visit
from tests.browser.waiting import becomes, until

pytestmark = pytest.mark.slow

PICTURE = ".node-picture img"


def make(page: Any, text: str) -> None:
    before = page.locator(PICTURE).get_attribute("src") if page.locator(PICTURE).count() else ""
    page.get_by_role("textbox", name="text").first.fill(text)
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_selector(f".node-picture img:not([src='{before}'])")
    page.wait_for_function("() => document.title.endsWith('· Sumi')")


def gallery(page: Any) -> None:
    page.get_by_role("button", name="Gallery").click()
    page.wait_for_selector(".thumbnail img")


def scale(page: Any) -> float:
    return float(page.locator(".viewer-zoom").inner_text().split()[0])


@pytest.fixture
def two(page: Any) -> Any:
    """Two pictures, the newer of which shows a pear and is open in the viewer."""
    make(page, "a red apple")
    make(page, "a green pear")
    gallery(page)
    page.locator(".thumbnail").first.click()
    page.wait_for_selector(".viewer-facts dd")
    return page


def test_zoom_and_pan_by_wheel_keys_and_two_fingers(two: Any) -> None:
    page = two
    until(page, lambda: scale(page) > 150)  # 128 px fitted to the window, once its size is known
    fitted = scale(page)
    page.mouse.move(500, 400)
    page.mouse.wheel(0, -400)
    page.wait_for_function("was => parseFloat(document.querySelector('.viewer-zoom').innerText) > 2 * was", arg=fitted)
    page.keyboard.press("0")
    becomes(page, lambda: scale(page), fitted)
    page.keyboard.press("1")
    becomes(page, lambda: scale(page), 100)
    page.keyboard.press("0")
    becomes(page, lambda: scale(page), fitted)
    left = page.locator(".viewer-stage > img").bounding_box()["x"]
    page.mouse.move(400, 400)
    page.mouse.down()
    page.mouse.move(460, 400, steps=3)
    page.mouse.up()
    becomes(page, lambda: page.locator(".viewer-stage > img").bounding_box()["x"], pytest.approx(left + 60, abs=2))
    page.keyboard.press("0")
    session = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 80), ("touchEnd", 0)):
        points = [{"x": 500 - apart, "y": 400, "id": 0}, {"x": 500 + apart, "y": 400, "id": 1}] if apart else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function(
        "was => Math.abs(parseFloat(document.querySelector('.viewer-zoom').innerText) / was - 2) < 0.1", arg=fitted
    )


def test_neighbours_facts_and_the_workflow_of_any_picture(two: Any) -> None:
    page = two
    facts = page.get_by_role("complementary", name="Generation details")
    facts.get_by_text("a green pear").wait_for()
    assert facts.get_by_text("sumi-tiny.safetensors").count() == 1
    assert facts.get_by_text("128 × 128").count() == 1
    page.keyboard.press("ArrowRight")
    facts.get_by_text("a red apple").wait_for()
    facts.get_by_role("button", name="Copy: Prompt").click()
    facts.get_by_role("button", name="Copy: Prompt").locator("path[d^='M5 12']").wait_for(state="attached")
    assert page.evaluate("() => navigator.clipboard.readText()") == "a red apple"
    tabs = page.get_by_role("tab").count()
    page.get_by_role("button", name="Open its workflow").click()
    page.wait_for_selector(".viewer", state="detached")
    assert page.get_by_role("tab").count() == tabs + 1
    assert page.get_by_role("textbox", name="text").first.input_value() == "a red apple"


def test_two_pictures_before_and_after(two: Any, tmp_path: Path) -> None:
    page = two
    page.keyboard.press("i")  # more room
    page.get_by_role("button", name=re.compile("^Compare")).click()
    split = page.get_by_role("slider", name="Compare")
    split.wait_for()
    page.wait_for_function("() => [...document.querySelectorAll('.viewer-stage img')].every((image) => image.complete)")
    box = page.locator(".viewer-stage").bounding_box()

    def green_of(picture: Image.Image, share: float) -> bool:
        """Return whether the fruit at that fraction of the stage's width is the green one."""
        x, y = int(box["width"] * share), int(box["height"] * 0.6)
        red, green, _ = picture.getpixel((x, y))[:3]
        return green > red

    def shot() -> Image.Image:
        return Image.open(io.BytesIO(page.locator(".viewer-stage").screenshot())).convert("RGB")

    picture = shot()
    assert green_of(picture, 0.45) and not green_of(picture, 0.56), "the pear to the left, the apple to the right"
    handle = split.bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 300, steps=4)
    page.mouse.up()
    becomes(page, lambda: split.get_attribute("aria-valuenow"), "90")
    picture = shot()
    assert green_of(picture, 0.45) and green_of(picture, 0.56)
    split.focus()
    page.keyboard.press("Shift+ArrowLeft")
    becomes(page, lambda: split.get_attribute("aria-valuenow"), "80")
    page.get_by_role("button", name=re.compile("^Compare")).click()
    split.wait_for(state="detached")


def test_download_send_to_an_input_and_forget(two: Any, server: Any) -> None:
    page = two
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    name = download.value.suggested_filename
    assert Path(download.value.path()).read_bytes() == (server.home / "output" / name).read_bytes()
    before = set(server.get("/history"))
    page.get_by_role("button", name="Remove from the gallery").click()
    page.get_by_role("dialog", name="Remove this run").get_by_role("button", name="Remove", exact=True).click()
    page.wait_for_function("name => document.querySelector('.viewer').ariaLabel !== name", arg=name)
    assert before > set(server.get("/history"))
    assert (server.home / "output" / name).exists(), "the file stays"
    shown = page.locator(".viewer").get_attribute("aria-label")
    page.get_by_role("button", name="Use as input").click()
    page.locator(f".loaded-picture img[alt='{shown}']").wait_for()
    assert (server.home / "input" / shown).read_bytes() == (server.home / "output" / shown).read_bytes()
    assert page.locator(f".thumbnail[title='{name}']").count() == 0


def test_the_keyboard_comes_back_to_where_it_was(two: Any) -> None:
    page = two
    for _ in range(30):
        page.keyboard.press("Tab")
        inside = "() => document.activeElement === document.body || document.activeElement.closest('.viewer') !== null"
        assert page.evaluate(inside)
    page.keyboard.press("Escape")
    page.wait_for_selector(".viewer", state="detached")
    becomes(page, lambda: page.evaluate("() => document.activeElement.className"), "thumbnail")


def test_thousands_of_pictures_stay_smooth(server: Any, browser: Any, tmp_path: Path) -> None:
    """Scrolling loads pages from the server; only visible pictures are in the document."""
    count = 3000
    running = type(server)(tmp_path)
    running.stop()
    fill_history(tmp_path, count)
    running.start()
    try:
        with profile(browser) as context:
            look_through(visit(context, running.url), count)
    finally:
        running.stop()


def look_through(page: Any, count: int) -> None:
    gallery(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/jobs" in request.url else None)
    scroller = page.locator(".panel-body.gallery")
    late = time.monotonic() + 120
    height = 0
    while page.locator(f".thumbnail[title='{count:05}.png']").count() == 0:
        assert time.monotonic() < late
        scroller.evaluate("element => element.scrollTo(0, element.scrollHeight)")
        page.wait_for_timeout(20)
        height = scroller.evaluate("element => element.scrollHeight")
        assert page.locator(".thumbnail").count() < 60
    assert height > 100_000
    assert len(asked) == pytest.approx(count / 60, abs=3), "each page is asked for once"
    page.locator(f".thumbnail[title='{count:05}.png']").click()
    page.locator(".viewer").get_by_text(f"{count} / {count}").wait_for()


def fill_history(home: Path, count: int) -> None:
    """Fill the history as if that many prompts had run."""
    (home / "output").mkdir(exist_ok=True)
    Image.new("RGB", (64, 64), (90, 120, 200)).save(home / "output" / "00001.png")
    for index in range(2, count + 1):
        (home / "output" / f"{index:05}.png").hardlink_to(home / "output" / "00001.png")
    with sqlite3.connect(home / "user" / "sumi.db") as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
        for index in range(1, count + 1):
            when = 1_700_000_000 - index
            outputs = {"9": {"images": [{"filename": f"{index:05}.png", "subfolder": "", "type": "output"}]}}
            row = dict.fromkeys(names, "{}") | {
                "prompt_id": f"p{index}",
                "number": -index,
                "place": -index,
                "status": "success",
                "client_id": None,
                "attempts": 1,
                "worker_deaths": 0,
                "created": when,
                "started": when,
                "ended": when + 1,
                "outputs_to_execute": "[]",
                "messages": "[]",
                "cached": "[]",
                "outputs": json.dumps(outputs),
                "error": "null",
            }
            marks = ",".join("?" * len(names))
            connection.execute(f"INSERT INTO jobs VALUES ({marks})", [row[name] for name in names])
