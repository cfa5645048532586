"""Makes the pictures of the editor in docs/images with the embedded model, in a real browser.

    .venv/bin/python docs/make_images.py

Needs `make web`, Playwright and Chromium. Starts a server and draws a red apple and a panda.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from time import sleep

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
PORT = 8931
ADDRESS = f"http://127.0.0.1:{PORT}"


def wait_for_server() -> None:
    while True:
        try:
            with urllib.request.urlopen(f"{ADDRESS}/readyz"):
                return
        except (urllib.error.URLError, ConnectionError):
            sleep(0.5)


def draw(page: Page, prompt: str, pictures: int) -> None:
    """Write the prompt, run, and wait for that number of pictures in the gallery."""
    page.locator(".node", has_text="Encode the prompt").first.wait_for()
    page.locator(".node textarea").first.fill(prompt)
    page.get_by_role("button", name="Run", exact=True).click()
    while len(list(folder_of_output.glob("*.png"))) < pictures:
        page.wait_for_timeout(300)
    page.wait_for_timeout(4000)  # notices go
    for strip in page.locator(".welcome .icon-button").all():
        strip.click()
    page.keyboard.press("Escape")
    page.locator(".canvas").focus()
    page.keyboard.press(".")
    page.wait_for_timeout(800)


with tempfile.TemporaryDirectory() as name:
    base = Path(name)
    folder_of_output = base / "output"
    folders = [f"--{kind}-directory={base / kind}" for kind in ("input", "output", "temp", "user")]
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), "serve", f"--port={PORT}", "--cpu", *folders],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_server()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
            for theme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": 1440, "height": 900}, locale="en-US", color_scheme=theme
                )
                page = context.new_page()
                page.goto(ADDRESS)
                page.wait_for_selector(".node")
                if theme == "light":
                    draw(page, "a red apple", 1)
                    page.screenshot(path=IMAGES / "editor.png")
                    shutil.copy(next(folder_of_output.glob("*.png")), IMAGES / "text_to_image.png")
                else:
                    page.get_by_role("button", name="Gallery").first.click()
                    draw(page, "a panda", 2)
                    page.screenshot(path=IMAGES / "editor-dark.png")
                context.close()
            browser.close()
    finally:
        server.terminate()
        server.wait()
