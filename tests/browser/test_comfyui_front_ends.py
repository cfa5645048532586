"""ComfyUI's own front ends start on Sumi's server, offer the examples, and run them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT, Server, need
from tests.browser.visit import profile
from tests.browser.waiting import until

pytestmark = pytest.mark.slow

LOADERS = {
    *("CheckpointLoaderSimple", "ImageOnlyCheckpointLoader", "LoraLoader", "LoraLoaderModelOnly", "VAELoader"),
    *("ControlNetLoader", "UpscaleModelLoader", "StyleModelLoader", "GLIGENLoader", "UNETLoader"),
}
"""Classes that front end 1.27 looks up when it starts; without one of them it registers no loader."""

BUSY = ".p-progressspinner:visible, .p-blockui-mask:visible, [role=progressbar]:visible"
NODES = "() => window.app?.graph?._nodes?.map((node) => node.type) ?? []"
COUNT = """() => {
    window.counted = {};
    const count = (name) => (window.counted[name] = (window.counted[name] ?? 0) + 1);
    for (const name of ["progress", "b_preview", "executed", "execution_success", "execution_error"])
        window.app.api.addEventListener(name, () => count(name));
}"""
FIT = """() => {
    const canvas = window.app.canvas;
    const [x, y] = window.app.graph._nodes.find((node) => node.type === "SaveImage").pos;
    canvas.ds.scale = 1;
    canvas.ds.offset = [200 - x, 200 - y];
    canvas.setDirty(true, true);
}"""
SET = """([type, values]) => {
    for (const node of window.app.graph._nodes.filter((node) => node.type === type))
        for (const widget of node.widgets) if (widget.name in values) widget.value = values[widget.name];
}"""


class FrontEnd:
    """A server that serves one release, and a page on it that a person opens for the first time."""

    def __init__(self, server: Server, page: Any):
        self.server = server
        self.page = page

    def nodes(self) -> list[str]:
        return self.page.evaluate(NODES)

    def run(self) -> dict[str, int]:
        """Run the graph and return the number of each event."""
        self.page.evaluate(COUNT)
        self.page.keyboard.press("Control+Enter")
        ended = "() => window.counted.execution_success || window.counted.execution_error"
        self.page.wait_for_function(ended, timeout=120_000)
        return self.page.evaluate("() => window.counted")

    def shows_a_picture(self) -> None:
        """Wait until the save node shows the picture that was saved."""
        self.page.evaluate(FIT)  # pictures are loaded when their node is drawn
        width = (
            "() => Math.max(0, ...window.app.graph._nodes.filter((node) => node.type === 'SaveImage')"
            ".flatMap((node) => node.imgs ?? []).map((picture) => picture.naturalWidth))"
        )
        shown = ".lg-node img[src*='/view?']:visible"
        until(
            self.page,
            lambda: self.page.evaluate(width) > 0 or self.page.locator(shown).count() > 0,
        )


@pytest.fixture(scope="module", params=["1.27.10", "1.58.1"])
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Server]]:
    root = ROOT / ".front-ends" / request.param
    need((root / "index.html").is_file(), f"{root} (make front-ends)")
    server = Server(tmp_path_factory.mktemp("front-end"), f"--front-end-root={root}")
    yield request.param, server
    server.stop()


@pytest.fixture(autouse=True)
def nothing_saved() -> None:
    """Do nothing: these tests start separate servers."""


@pytest.fixture
def front_end(release: tuple[str, Server], browser: Any) -> Iterator[FrontEnd]:
    _, server = release
    server.post("/settings", {"Comfy.TutorialCompleted": False})
    with profile(browser) as context:
        page = context.new_page()
        page.goto(server.url)
        page.wait_for_function("() => window.app?.graph && window.app.vueAppReady !== false")
        yield FrontEnd(server, page)


def test_the_server_has_the_loaders_that_front_ends_look_up(release: tuple[str, Server]) -> None:
    _, server = release
    assert server.get("/object_info").keys() >= LOADERS


def test_it_starts_without_an_error_and_offers_the_examples(front_end: FrontEnd) -> None:
    page = front_end.page
    for title in ("Text to image", "Latent upscale"):
        page.get_by_text(title, exact=True).first.wait_for()
    loaded = "(pictures) => pictures.filter((picture) => picture.naturalWidth >= 100).length"
    until(page, lambda: page.locator("img:visible").evaluate_all(loaded) >= 2)
    until(page, lambda: page.locator(BUSY).count() == 0)


def test_an_example_runs_with_progress_preview_and_picture(front_end: FrontEnd) -> None:
    page = front_end.page
    page.get_by_text("Text to image", exact=True).first.click()
    until(page, lambda: "KSampler" in front_end.nodes())
    page.evaluate(SET, ["KSampler", {"steps": 5}])
    counted = front_end.run()
    assert counted.get("execution_success") == 1 and "execution_error" not in counted
    assert counted["progress"] >= 5 and counted["b_preview"] >= 1 and counted["executed"] >= 1
    front_end.shows_a_picture()
    until(page, lambda: page.locator(BUSY).count() == 0)
    assert list((front_end.server.home / "output").rglob("*.png"))


def test_the_default_graph_runs_on_the_embedded_model(
    release: tuple[str, Server], browser: Any, tmp_path: Path
) -> None:
    version, server = release
    if version != "1.27.10":
        return  # the default graph of newer releases is for models that Sumi does not run
    server.post("/settings", {"Comfy.TutorialCompleted": True})
    with profile(browser) as context:
        page = context.new_page()
        page.goto(server.url)
        front_end = FrontEnd(server, page)
        until(page, lambda: "KSampler" in front_end.nodes())
        page.evaluate(SET, ["CheckpointLoaderSimple", {"ckpt_name": "sumi-tiny.safetensors"}])
        page.evaluate(SET, ["EmptyLatentImage", {"width": 128, "height": 128}])
        page.evaluate(SET, ["KSampler", {"steps": 4}])
        counted = front_end.run()
        assert counted.get("execution_success") == 1 and counted["progress"] >= 4 and counted["b_preview"] >= 1
        front_end.shows_a_picture()
