"""How the editor does with 1,000 nodes and 1,500 links, and how fast it is there at all.

Needs web/dist (make web), Chromium and Playwright. Prints one line a figure, the target beside it.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
NODES, LINKS, COLUMNS = 1000, 1500, 40

FRAMES = """() => new Promise((resolve) => {
    const times = [];
    let last = performance.now();
    const began = last;
    const tick = (now) => {
        times.push(now - last);
        last = now;
        if (now - began < 3000) requestAnimationFrame(tick);
        else resolve(times.slice(1));
    };
    requestAnimationFrame(tick);
})"""


def big_workflow() -> dict[str, Any]:
    """A grid of image nodes, linked from left to right."""
    chance = random.Random(1)
    nodes: list[dict[str, Any]] = [
        {
            "id": index + 1,
            "type": "ImageBlend",
            "pos": [300 * (index % COLUMNS), 240 * (index // COLUMNS)],
            "size": [240, 120],
            "flags": {},
            "order": index,
            "mode": 0,
            "inputs": [{"name": name, "type": "IMAGE", "link": None} for name in ("image1", "image2")],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [], "slot_index": 0}],
            "properties": {},
            "widgets_values": [0.5, "normal"],
        }
        for index in range(NODES)
    ]
    links: list[list[Any]] = []
    for target in chance.sample([(index, slot) for index in range(COLUMNS, NODES) for slot in (0, 1)], LINKS):
        index, slot = target
        origin = max(0, index - chance.randint(1, 2 * COLUMNS))
        links.append([len(links) + 1, origin + 1, 0, index + 1, slot, "IMAGE"])
        nodes[origin]["outputs"][0]["links"].append(len(links))
        nodes[index]["inputs"][slot]["link"] = len(links)
    return {
        "last_node_id": NODES,
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def report(name: str, value: float, unit: str, target: str) -> None:
    print(f"{name:<58}{value:>9.1f} {unit:<4} (target: {target})", flush=True)


def frames(page: Page, name: str, gesture: str) -> None:
    """Pan, zoom or drag a node for three seconds, one step every 16 ms, and time what the browser draws."""
    x, y = (720.0, 450.0)
    if gesture == "drag":
        box = page.locator(".canvas").bounding_box() or {}
        zoom = float(page.locator(".canvas").evaluate("canvas => canvas.style.getPropertyValue('--zoom')"))
        # A gap between two nodes is in the middle of everything; the next node begins 30 to the right of it.
        x, y = box["x"] + box["width"] / 2 + 100 * zoom, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.evaluate(f"window.measured = ({FRAMES})()")
    end = time.monotonic() + 3.0
    step = 0
    if gesture != "zoom":
        page.mouse.down(button="middle" if gesture == "pan" else "left")
    while time.monotonic() < end:
        step += 1
        if gesture != "zoom":
            page.mouse.move(x + 200 * ((step % 40) - 20) / 20, y + 120 * ((step % 30) - 15) / 15)
        else:
            page.mouse.wheel(0, 40 if step % 60 < 30 else -40)
        time.sleep(0.012)
    if gesture != "zoom":
        page.mouse.up(button="middle" if gesture == "pan" else "left")
    times = sorted(page.evaluate("window.measured"))
    within = 100 * sum(1 for each in times if each <= 20) / len(times)
    report(f"{name}: frames within 20 ms ({len(times)} frames)", within, "%", "95 %")
    report(f"{name}: 95th percentile of frame times", times[int(0.95 * len(times))], "ms", "20 ms")


def first_load(name: str) -> int:
    """Return the compressed bytes of a page and the files that it names."""
    dist = ROOT / "web" / "dist"
    named = re.findall(r'(?:src|href)="(?:\./)?(assets/[^"]+)"', (dist / name).read_text())
    return sum((dist / f"{file}.br").stat().st_size for file in [name, *named])


def app_page(browser: Browser, url: str) -> None:
    """Time an app's page with an empty cache until a field takes a letter, five times."""
    seconds = []
    for _ in range(5):
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        began = time.perf_counter()
        page.goto(f"{url}/app/text_to_image", wait_until="commit")
        page.locator(".app-field textarea").first.fill("a", timeout=60_000)
        seconds.append(time.perf_counter() - began)
        context.close()
    report("interactive, an app's page, median of five", 1000 * statistics.median(seconds), "ms", "1,000 ms")


def main() -> None:
    report("first load, compressed", first_load("index.html") / 1024, "KB", "400 KB")
    report("first load of an app's page, compressed", first_load("app.html") / 1024, "KB", "200 KB")
    with tempfile.TemporaryDirectory() as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        folders = [f"--{name}-directory={home}/{name}" for name in ("output", "input", "temp", "user")]
        command = [sys.executable, str(ROOT / "main.py"), "--port", str(port), "--cpu", "--no-warm-up", *folders]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            measure(f"http://127.0.0.1:{port}", Path(home))
        finally:
            server.terminate()
            server.wait(20)


def measure(url: str, home: Path) -> None:
    late = time.monotonic() + 60
    while time.monotonic() < late:
        try:
            urllib.request.urlopen(f"{url}/object_info/ImageBlend", timeout=5).read()
            break
        except OSError:
            time.sleep(0.2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        app_page(browser, url)
        context = browser.new_context(viewport={"width": 1440, "height": 900}, bypass_csp=True)
        page = context.new_page()
        for name in ("first visit", "second visit"):
            began = time.perf_counter()
            page.goto(url)
            page.wait_for_selector(".node .socket")
            report(f"interactive, {name}", 1000 * (time.perf_counter() - began), "ms", "1,000 ms")
        path = home / "big.json"
        path.write_text(json.dumps(big_workflow()))
        began = time.perf_counter()
        page.locator("#open-file").set_input_files(str(path))
        page.get_by_role("tab", name="big", exact=True).wait_for()
        page.wait_for_selector(".canvas[data-far]")
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        report(f"{NODES:,} nodes and {LINKS:,} links open", 1000 * (time.perf_counter() - began), "ms", "2,000 ms")
        page.wait_for_timeout(1000)
        frames(page, "pan, all in view", "pan")
        frames(page, "zoom, from all in view", "zoom")
        page.keyboard.press(".")
        page.wait_for_timeout(500)
        frames(page, "drag a node, all in view", "drag")
        if page.get_by_role("button", name="Undo").is_disabled():
            raise RuntimeError("no node was dragged")
        page.keyboard.press(".")
        page.wait_for_timeout(500)
        page.mouse.move(720, 450)
        for _ in range(14):
            page.mouse.wheel(0, -200)
            page.wait_for_timeout(30)
        page.wait_for_timeout(500)
        report("nodes built of elements, near", page.locator(".node").count(), "", "few")
        frames(page, "pan, near", "pan")
        browser.close()


if __name__ == "__main__":
    main()
