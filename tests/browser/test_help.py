"""Tips, the help panel, and the search for nodes by words of their texts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.canvas_page import document, drag, header, middle, node, socket
from tests.browser.visit import profile, visit
from tests.browser.waiting import steady, until

pytestmark = pytest.mark.slow

STEPS = "Number of sampling steps."
TIP = ".tip"


def _panel(page: Any) -> Any:
    return page.locator(".side-panel[data-panel=help]")


def _search(page: Any, text: str) -> list[str]:
    page.keyboard.press("/")
    page.get_by_role("combobox", name="Search nodes").fill(text)
    found = [each.split("\n")[0] for each in page.locator(".palette .option").all_inner_texts()]
    page.keyboard.press("Escape")
    return found


def _by_class(page: Any, kind: str) -> int:
    return next(each["id"] for each in document(page)["nodes"] if each["type"] == kind)


def test_a_field_says_what_it_does_under_the_pointer(page: Any) -> None:
    steady(page)
    sampler = _by_class(page, "KSampler")
    node(page, sampler).locator("[data-widget=steps]").hover()
    tip = page.locator(TIP)
    tip.wait_for()
    assert STEPS in tip.inner_text()
    assert "1 … 10000 (20)" in tip.inner_text()
    page.mouse.move(30, 500)
    tip.wait_for(state="detached")


def test_headers_and_sockets_say_what_they_are(page: Any) -> None:
    steady(page)
    sampler = _by_class(page, "KSampler")
    header(page, sampler).hover()
    page.locator(TIP, has_text="Turn noise into a latent").wait_for()
    latent = socket(page, sampler, "LATENT", "output")
    latent.hover()
    page.locator(TIP, has_text="the compressed form").wait_for()
    page.mouse.move(30, 500)
    page.locator(TIP).wait_for(state="detached")
    assert latent.get_attribute("title") == "LATENT · LATENT", "the browser's own tip is back"


def test_keys_show_the_tip_of_the_field_in_focus(page: Any) -> None:
    steady(page)
    sampler = _by_class(page, "KSampler")
    header(page, sampler).click()
    page.keyboard.press("Enter")
    page.locator(TIP, has_text="Start of the random numbers").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
    page.keyboard.press("Escape")
    page.locator(TIP).wait_for(state="detached")


def test_f1_opens_the_help_at_the_field(page: Any) -> None:
    steady(page)
    sampler = _by_class(page, "KSampler")
    header(page, sampler).click()
    page.keyboard.press("Enter")
    page.keyboard.press("F1")
    panel = _panel(page)
    panel.get_by_role("heading", name="KSampler").wait_for()
    assert "seed" in panel.locator("[data-pointed]").inner_text()
    assert STEPS in panel.inner_text()


def test_the_panel_follows_the_selection_and_names_the_paper(page: Any) -> None:
    steady(page)
    decoder = _by_class(page, "VAEDecode")
    page.keyboard.press("F1")
    panel = _panel(page)
    panel.get_by_text("Select a node").wait_for()
    panel.get_by_role("searchbox").fill("lora")
    panel.get_by_role("button", name="Load LoRA").first.click()
    paper = panel.get_by_role("link", name="arXiv:2106.09685")
    assert paper.get_attribute("href") == "https://arxiv.org/abs/2106.09685"
    header(page, decoder).click()
    panel.get_by_role("heading", name="VAE Decode").wait_for()


def test_examples_and_a_small_workflow_show_the_node(page: Any) -> None:
    steady(page)
    page.keyboard.press("F1")
    panel = _panel(page)
    panel.get_by_role("searchbox").fill("CLIPVisionEncode")
    panel.locator(".help-found button").first.click()
    panel.get_by_role("button", name="Pictures as prompts").click()
    page.get_by_role("tab", name="Pictures as prompts").wait_for()
    # Its model files are missing here, so another panel says that.
    page.locator(".side-panel[data-panel=missing]").wait_for()
    page.get_by_role("button", name="Help", exact=True).click()
    panel.get_by_role("searchbox").fill("FreeU_V2")
    panel.locator(".help-found button").first.click()
    panel.get_by_role("button", name="Open a small workflow").click()
    page.get_by_role("tab", name="FreeU_V2").wait_for()
    panel.get_by_role("button", name="Close").click()
    steady(page)
    types = {each["type"] for each in document(page)["nodes"]}
    assert {"FreeU_V2", "CheckpointLoaderSimple", "KSampler", "SaveImage"} <= types
    places = [tuple(each["pos"]) for each in document(page)["nodes"]]
    assert len(set(places)) == len(places), "the nodes are laid out"


def test_the_small_workflow_runs(page: Any, server: Any) -> None:
    steady(page)
    page.keyboard.press("F1")
    panel = _panel(page)
    panel.get_by_role("searchbox").fill("RescaleCFG")
    panel.locator(".help-found button").first.click()
    panel.get_by_role("button", name="Open a small workflow").click()
    page.get_by_role("tab", name="RescaleCFG").wait_for()
    steady(page)
    page.locator("[data-widget=steps] input").fill("1")
    page.keyboard.press("Control+Enter")
    page.locator(".node-picture").first.wait_for()


def test_the_menu_has_the_text_and_opens_the_help(page: Any) -> None:
    steady(page)
    sampler = _by_class(page, "KSampler")
    node(page, sampler).locator("[data-widget=sampler_name]").click(button="right")
    menu = page.get_by_role("menu")
    assert "The method that removes noise" in menu.locator(".menu-help").inner_text()
    menu.get_by_role("menuitem", name="Help").click()
    assert "sampler_name" in _panel(page).locator("[data-pointed]").inner_text()


def test_typos_and_words_of_texts_find_nodes(page: Any) -> None:
    steady(page)
    assert "KSampler" in _search(page, "ksmapler")[:3]
    assert _search(page, "vae decdoe")[0] == "VAE Decode"
    assert "Rescale CFG" in " ".join(_search(page, "overexpose")) or "RescaleCFG" in _search(page, "overexpose")


def test_what_was_added_here_last_comes_first(page: Any) -> None:
    steady(page)
    sampler = _by_class(page, "KSampler")
    free = (200.0, 700.0)

    def suggestions() -> list[str]:
        drag(page, middle(socket(page, sampler, "LATENT", "output")), free)
        page.locator(".palette").wait_for()
        return [each.split("\n")[0] for each in page.locator(".palette .option").all_inner_texts()]

    assert suggestions()[0] == "VAE Decode"
    page.get_by_role("combobox", name="Search nodes").fill("Flip Latent")
    page.locator(".palette .option").first.wait_for()
    page.get_by_role("combobox", name="Search nodes").press("Enter")
    page.locator(".palette").wait_for(state="detached")
    added = max(each["id"] for each in document(page)["nodes"])
    page.keyboard.press("Delete")
    until(page, lambda: node(page, added).count() == 0)
    assert suggestions()[0] == "Flip Latent"
    page.keyboard.press("Escape")


def test_everything_is_there_in_chinese(browser: Any, server: Any) -> None:
    with profile(browser, locale="zh-CN") as context:
        page = visit(context, server.url)
        steady(page)
        header(page, 7).hover()
        page.locator(TIP, has_text="逐步把噪声变成符合提示词的潜空间").wait_for()
        page.keyboard.press("/")
        page.get_by_role("combobox", name="搜索节点").fill("随机数的起点")
        page.locator(".palette .option", has_text="K 采样器").first.wait_for()


@pytest.mark.parametrize("width", [390])
def test_a_long_press_on_a_phone_shows_the_text(browser: Any, server: Any, width: int) -> None:
    with profile(browser, viewport={"width": width, "height": 844}, has_touch=True, is_mobile=True) as context:
        page = visit(context, server.url, ".canvas")
        steady(page)
        page.get_by_role("button", name="Help", exact=True).click()
        panel = _panel(page)
        panel.get_by_role("searchbox").fill("denoise sampler")
        panel.locator(".help-found button", has_text="KSampler").first.click()
        panel.get_by_role("heading", name="KSampler").wait_for()
        box = panel.bounding_box()
        assert box["width"] <= width
