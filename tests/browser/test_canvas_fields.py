"""The fields on a node, used like a person would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.canvas_page import document, drag, header, middle, node, nodes, open_document
from tests.browser.visit import profile, visit
from tests.browser.waiting import becomes, until

pytestmark = pytest.mark.slow


def _number(page: Any, name: str, number: int = 7) -> Any:
    return node(page, number).get_by_role("spinbutton", name=name)


def _type(page: Any, name: str, text: str) -> Any:
    field = _number(page, name)
    field.click()
    field.fill(text)
    return field


def test_a_number_is_dragged_within_its_bounds(page: Any) -> None:
    x, y = middle(_number(page, "steps"))
    drag(page, (x, y), (x + 40, y))
    assert int(_number(page, "steps").input_value()) == pytest.approx(30, abs=1)
    drag(page, (x, y), (x - 600, y))
    assert _number(page, "steps").input_value() == "1", "its least"
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert _number(page, "steps").input_value() == "20", "a drag is one step"


def test_a_slider_goes_where_the_pointer_is(page: Any) -> None:
    slider = node(page, 7).locator("[data-widget='denoise'] .field")
    assert slider.get_attribute("data-tight") == "true"
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    drag(page, (box["x"] + box["width"] * 0.9, y), (box["x"] + box["width"] * 0.25, y))
    assert float(_number(page, "denoise").input_value()) == pytest.approx(0.25, abs=0.02)
    drag(page, (box["x"] + box["width"] * 0.3, y), (box["x"] - 200, y))
    assert _number(page, "denoise").input_value() == "0.0"


@pytest.mark.parametrize("text", ["abc", "2*", "1.2.3"])
def test_what_is_no_number_is_refused_in_place(page: Any, text: str) -> None:
    field = _type(page, "steps", text)
    assert field.get_attribute("aria-invalid") == "true"
    page.keyboard.press("Enter")
    assert field.input_value() == text, "it can be mended"
    page.keyboard.press("Tab")
    assert field.input_value() == "20"
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_what_is_typed_is_kept_to_the_bounds(page: Any) -> None:
    _type(page, "steps", "1000000")
    page.keyboard.press("Enter")
    assert _number(page, "steps").input_value() == "10000"
    _type(page, "cfg", "7,25")
    page.keyboard.press("Enter")
    assert _number(page, "cfg").input_value() == "7.25"
    _type(page, "cfg", "9")
    page.keyboard.press("Escape")
    assert _number(page, "cfg").input_value() == "7.25"
    _number(page, "cfg").focus()
    page.keyboard.press("ArrowUp")
    assert _number(page, "cfg").input_value() == "7.35"


def test_a_seed_past_what_floats_hold_stays_exact(page: Any) -> None:
    _type(page, "seed", "18446744073709551615")
    page.keyboard.press("Enter")
    assert nodes(page)[7]["widgets_values"][0] == 18446744073709551615


@pytest.mark.parametrize(
    ("control", "next_seed"), [("fixed", 5), ("increment", 6), ("decrement", 4), ("randomize", None)]
)
def test_a_seed_does_between_runs_what_is_chosen(page: Any, control: str, next_seed: int | None) -> None:
    _type(page, "seed", "5")
    page.keyboard.press("Enter")
    choice = node(page, 7).get_by_role("combobox", name="Between runs")
    choice.select_option(control)
    assert choice.evaluate("select => select.scrollWidth <= select.clientWidth"), "its label is not cut"
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".node-picture img", timeout=240_000)  # the first run also loads the model
    assert _number(page, "seed").input_value() == "5", "the seed that made the picture"
    with page.expect_response(lambda answer: answer.url.endswith("/prompt")):
        page.keyboard.press("Control+Enter")
    if next_seed is None:
        assert _number(page, "seed").input_value() != "5"
    else:
        assert _number(page, "seed").input_value() == str(next_seed)
    assert nodes(page)[7]["widgets_values"][1] == control
    if control == "fixed":
        page.get_by_role("button", name="Run with a new seed").click()
        page.wait_for_function("() => document.querySelector(\"[aria-label='seed']\").value !== '5'")
        page.get_by_role("button", name="Undo").click()
        assert _number(page, "seed").input_value() == "5"


def test_a_choice_is_found_by_typing(page: Any) -> None:
    field = node(page, 7).locator("[data-widget='sampler_name'] button")
    field.click()
    search = page.get_by_role("combobox", name="sampler_name: Search")
    search.fill("dpmpp_2m")
    first = page.get_by_role("listbox", name="sampler_name").get_by_role("option").first
    becomes(page, first.text_content, "dpmpp_2m")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert nodes(page)[7]["widgets_values"][4] == "dpmpp_2m"
    field.click()
    search.fill("nothing like it")
    page.get_by_text("Nothing found").wait_for()
    page.keyboard.press("Escape")
    until(page, lambda: field.evaluate("button => button === document.activeElement"))


def test_switches_texts_and_prompts_are_written(page: Any, tmp_path: Path) -> None:
    doc = {
        "nodes": [
            {"id": 1, "type": "PrimitiveBoolean", "pos": [0, 0], "size": [240, 60], "widgets_values": [False]},
            {"id": 2, "type": "PrimitiveStringMultiline", "pos": [300, 0], "size": [240, 160], "widgets_values": ["a"]},
            {"id": 3, "type": "PrimitiveString", "pos": [600, 0], "size": [240, 60], "widgets_values": ["b"]},
        ],
        "links": [],
        "version": 0.4,
    }
    open_document(page, tmp_path / "fields.json", doc)
    node(page, 1).get_by_role("switch").click()
    node(page, 2).get_by_role("textbox").fill("first line\nsecond <b>line</b>")
    node(page, 3).get_by_role("textbox").fill("c")
    page.keyboard.press("Escape")
    values = [entry["widgets_values"] for entry in document(page)["nodes"]]
    assert values == [[True], ["first line\nsecond <b>line</b>"], ["c"]]
    for expected in ("b", "a", False):
        page.keyboard.press("Control+z")
        values = [entry["widgets_values"][0] for entry in document(page)["nodes"]]
        assert expected in values


def _picture(path: Path, colour: tuple[int, int, int]) -> Path:
    Image.new("RGB", (32, 32), colour).save(path)
    return path


def test_a_picture_comes_by_button_by_drop_and_by_paste(page: Any, server: Any, tmp_path: Path) -> None:
    page.mouse.dblclick(220, 780)
    page.get_by_role("combobox", name="Search nodes").fill("Load Image")
    page.keyboard.press("Enter")
    node(page, 10).wait_for()
    node(page, 10).locator("input[type=file]").set_input_files(str(_picture(tmp_path / "button.png", (9, 9, 9))))
    node(page, 10).locator("img[alt='button.png']").wait_for()
    dropped = _picture(tmp_path / "dropped.png", (200, 9, 9))
    _give(page, "drop", ".react-flow__node[data-id='10'] .node-header", dropped)
    node(page, 10).locator("img[alt='dropped.png']").wait_for()
    assert page.get_by_role("tab").count() == 1, "it opened no workflow"
    header(page, 10).click()
    _give(page, "paste", "body", _picture(tmp_path / "pasted.png", (9, 200, 9)))
    node(page, 10).locator("img[alt='pasted.png']").wait_for()
    shown = node(page, 10).locator("img[alt='pasted.png']")
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    assert nodes(page)[10]["widgets_values"][0] == "pasted.png"
    assert (server.home / "input" / "dropped.png").read_bytes() == dropped.read_bytes()


def _give(page: Any, how: str, where: str, path: Path) -> None:
    page.evaluate(
        """([how, where, name, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
            const options = {bubbles: true, cancelable: true};
            const event = how === "drop"
                ? new DragEvent("drop", {dataTransfer: data, ...options})
                : new ClipboardEvent("paste", {clipboardData: data, ...options});
            document.querySelector(where).dispatchEvent(event);
        }""",
        [how, where, path.name, list(path.read_bytes())],
    )


STRANGE: dict[str, Any] = {
    "grow": ["COMFY_AUTOGROW_V3", {"template": {"input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image"}}],
    "mode": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "one", "inputs": {"required": {"n": ["INT", {}]}}}]}],
    "none": None,
    "bare": "STRING",
    "empty": [],
    "without": ["INT", None],
    "half": ["INT", {"min": 0.5, "max": "x", "default": 1.5}],
    "choices": [[1, None, {"a": 1}], {}],
}


def test_inputs_that_packs_declare_in_strange_ways_break_nothing(browser: Any, server: Any) -> None:
    def with_strange_nodes(route: Any) -> None:
        info = route.fetch().json()
        info["Strange"] = {"input": {"required": STRANGE, "optional": {}}, "output": ["IMAGE", ["a", "b"], None]}
        info["Empty"] = {}
        info["Null"] = None
        route.fulfill(body=json.dumps(info), content_type="application/json")

    with profile(browser) as context:
        context.route("**/object_info", with_strange_nodes)
        page = visit(context, server.url)
        for name in ("Strange", "Empty", "Null"):
            page.keyboard.press("/")
            page.get_by_role("combobox", name="Search nodes").fill(name)
            page.keyboard.press("Enter")
        node(page, 12).wait_for()
        field = node(page, 10).get_by_role("spinbutton", name="half")
        field.focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Escape")
        assert nodes(page)[10]["type"] == "Strange"
        page.keyboard.press("Control+Enter")
        page.get_by_text("Some inputs need attention").or_(
            page.get_by_text("The server rejected the request")
        ).first.wait_for()


def test_what_is_typed_is_kept_to_the_steps(page: Any) -> None:
    width = page.get_by_role("article", name="Size", exact=True).get_by_role("spinbutton", name="width", exact=True)
    for typed, kept in (("101", "104"), ("99", "96"), ("3", "16"), ("130.4", "128")):
        width.focus()
        width.fill(typed)
        page.keyboard.press("Enter")
        becomes(page, width.input_value, kept)
    width.focus()
    page.keyboard.press("ArrowUp")
    becomes(page, width.input_value, "136")


def test_two_texts_of_a_node_have_names(page: Any, tmp_path: Path) -> None:
    files = Path(__file__).parents[1] / "graph" / "formats" / "files"
    doc = json.loads((files / "late_2025_subgraphs.json").read_text())
    definition = doc["definitions"]["subgraphs"][0]
    holder = next(entry for entry in doc["nodes"] if entry["type"] == definition["id"])
    twins = [
        {"id": number, "type": "CLIPTextEncode", "pos": [0, 300 * number], "size": [300, 120], "widgets_values": [text]}
        for number, text in ((901, "one"), (902, "two"))
    ]
    definition["nodes"] += twins
    holder["inputs"] = [slot for slot in holder.get("inputs", []) if not slot.get("widget")]
    holder["properties"] = {"proxyWidgets": [["901", "text"], ["902", "text"]]}
    holder["widgets_values"] = [None, None]
    open_document(page, tmp_path / "twins.json", doc)
    captions = node(page, holder["id"]).locator(".text-caption")
    becomes(page, captions.all_inner_texts, [f"CLIP Text Encode (Prompt) {number}: text" for number in (901, 902)])
    assert node(page, holder["id"]).get_by_role("textbox", name="902: text").input_value() == "two"
    assert captions.first.evaluate("one => one.offsetHeight") >= 14
