"""Drawing, moving and removing links with the mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import (
    document,
    drag,
    drag_by,
    ends,
    header,
    hold,
    middle,
    node,
    nodes,
    open_document,
    scale,
    socket,
)

pytestmark = pytest.mark.slow

EMPTY = (620, 800)
PALETTE = "Search nodes"


def test_only_sockets_that_fit_light_up(page: Any) -> None:
    hold(page, middle(socket(page, 5, "CONDITIONING", "output")), EMPTY)
    page.wait_for_selector(".socket[data-welcome]")
    lit = page.locator(".socket[data-welcome='true']")
    assert [lit.nth(index).get_attribute("title") for index in range(lit.count())] == [
        "positive · CONDITIONING",
        "negative · CONDITIONING",
    ]
    assert socket(page, 7, "model", "input").get_attribute("data-welcome") == "false"
    page.keyboard.press("Escape")
    page.mouse.up()
    assert page.locator(".socket[data-welcome]").count() == 0
    assert page.get_by_role("dialog").count() == 0, "Escape lets go of it"


def test_sockets_and_links_have_the_colour_of_their_type(page: Any) -> None:
    colour = "element => getComputedStyle(element).getPropertyValue('--type')"
    assert socket(page, 1, "MODEL", "output").evaluate(colour) == socket(page, 7, "model", "input").evaluate(colour)
    assert socket(page, 1, "MODEL", "output").evaluate(colour) != socket(page, 1, "VAE", "output").evaluate(colour)
    header(page, 7).click()
    stroke = "paths => paths.map(path => path.getAttribute('stroke'))"
    page.wait_for_selector(".link-overlay path", state="attached")
    strokes = page.locator(".link-overlay path").evaluate_all(stroke)
    assert socket(page, 7, "model", "input").evaluate(colour) in strokes
    assert socket(page, 7, "LATENT", "output").evaluate(colour) in strokes


def test_links_are_drawn_between_painted_nodes(page: Any, tmp_path: Path) -> None:
    doc = {"nodes": [_filter(1, 0), _filter(2, 300)], "links": [], "groups": [], "version": 0.4}
    open_document(page, tmp_path / "two.json", doc)
    box = node(page, 1).bounding_box()
    ways = [middle(socket(page, 1, name, side)) for name, side in (("IMAGE", "output"), ("image", "input"))]
    (out, down), (into, also) = [((x - box["x"]) / scale(page), (y - box["y"]) / scale(page)) for x, y in ways]
    many = [{**_filter(n, 300 * (n % 9)), "pos": [300 * (n % 9), 110 * (n // 9)]} for n in range(90)]
    open_document(page, tmp_path / "many.json", {**doc, "nodes": many})
    page.wait_for_selector(".canvas[data-far]")
    assert scale(page) > 0.3, "sockets are painted"

    def on_canvas(number: int, x: float, y: float) -> tuple[float, float]:
        left, top = many[number]["pos"]
        place = page.locator(".react-flow__viewport").evaluate(
            "(element, at) => { const m = new DOMMatrix(getComputedStyle(element).transform);"
            "const box = element.parentElement.getBoundingClientRect();"
            "return [box.x + m.e + at[0] * m.a, box.y + m.f + at[1] * m.a]; }",
            [left + x, top - 30 + y],
        )
        return place[0], place[1]

    drag(page, on_canvas(10, out, down), on_canvas(11, into, also))
    assert ends(document(page)) == {(10, 0, 11, 0)}
    drag(page, on_canvas(11, into, also), on_canvas(30, into, also))  # the link comes off and goes elsewhere
    assert ends(document(page)) == {(10, 0, 30, 0)}
    drag(page, on_canvas(30, out, down), on_canvas(10, into, also))
    assert ends(document(page)) == {(10, 0, 30, 0)}, "a circle is refused"
    assert document(page)["nodes"][10]["pos"] == many[10]["pos"], "nothing was moved"
    page.mouse.move(*on_canvas(40, out, down))
    page.wait_for_selector(".canvas[data-on-socket]")
    page.mouse.move(*on_canvas(40, 60, 10))
    page.wait_for_selector(".canvas:not([data-on-socket])")
    for _ in range(2):
        page.keyboard.press("Control+z")
    assert ends(document(page)) == set()


def test_a_link_that_would_close_a_circle_is_refused(page: Any, tmp_path: Path) -> None:
    chain = {
        "nodes": [
            _filter(1, 0, outputs=[1]),
            _filter(2, 400, link=1, outputs=[2]),
            _filter(3, 800, link=2),
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
        "version": 0.4,
    }
    open_document(page, tmp_path / "chain.json", chain)
    hold(page, middle(socket(page, 3, "IMAGE", "output")), middle(socket(page, 1, "image", "input")))
    page.wait_for_selector(".socket[data-welcome]")
    assert page.locator(".socket[data-welcome='true']").count() == 0
    page.mouse.up()
    assert ends(document(page)) == {(1, 0, 2, 0), (2, 0, 3, 0)}


def _filter(number: int, x: int, link: int | None = None, outputs: list[int] | None = None) -> dict[str, Any]:
    return {
        "id": number,
        "type": "ImageInvert",
        "pos": [x, 0],
        "size": [240, 60],
        "inputs": [{"name": "image", "type": "IMAGE", "link": link}],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": outputs}],
        "widgets_values": [],
    }


def test_a_link_dropped_on_empty_canvas_offers_what_fits(page: Any) -> None:
    drag(page, middle(socket(page, 8, "IMAGE", "output")), EMPTY)
    page.get_by_role("combobox", name=PALETTE).wait_for()
    page.get_by_text("fits IMAGE").wait_for()
    page.get_by_role("combobox", name=PALETTE).fill("KSampler")
    page.locator("[role=option]").first.wait_for()  # nodes whose texts speak of it
    assert page.locator("[role=option]").filter(has=page.get_by_text("KSampler", exact=True)).count() == 0
    page.get_by_role("combobox", name=PALETTE).fill("qqqqq")
    page.get_by_text("No node found").wait_for()
    page.get_by_role("combobox", name=PALETTE).fill("invert im")
    page.keyboard.press("Enter")
    node(page, 10).wait_for()
    assert (8, 0, 10, 0) in ends(document(page))
    page.keyboard.press("Control+z")
    assert len(document(page)["nodes"]) == 9, "node and link are one step"
    # And from an input, what could feed it.
    drag(page, middle(socket(page, 9, "images", "input")), (1100, 820))
    assert not ends(document(page)) & {(8, 0, 9, 0)}, "a link that was there comes off"
    drag(page, middle(socket(page, 9, "images", "input")), (1000, 820))
    page.get_by_role("combobox", name=PALETTE).fill("empty image")
    page.keyboard.press("Enter")
    assert (10, 0, 9, 0) in ends(document(page))


FOUND = {
    "name": ("ksampler", "KSampler"),
    "part of a name": ("cond", "CLIPTextEncode"),
    "category and name": ("loaders vae", "VAELoader"),
    "socket type": ("LATENT_OPERATION", "LatentApplyOperation"),
}


@pytest.mark.parametrize(("asked", "first"), FOUND.values(), ids=FOUND)
def test_nodes_are_found(page: Any, server: Any, asked: str, first: str) -> None:
    page.keyboard.press("/")
    page.get_by_role("combobox", name=PALETTE).fill(asked)
    title = server.get(f"/object_info/{first}")[first]["display_name"] or first
    page.get_by_role("option").filter(has=page.get_by_text(title, exact=True)).first.wait_for()
    page.keyboard.press("Escape")
    page.mouse.dblclick(*EMPTY)
    page.get_by_role("combobox", name=PALETTE).wait_for()


def test_a_link_is_pulled_from_one_input_to_another(page: Any) -> None:
    before = ends(document(page))
    drag(page, middle(socket(page, 7, "negative", "input")), middle(socket(page, 7, "positive", "input")))
    after = ends(document(page))
    assert before - after == {(4, 0, 7, 1), (5, 0, 7, 2)}
    assert after - before == {(5, 0, 7, 1)}
    page.keyboard.press("Control+z")
    assert ends(document(page)) == before, "one step"


def test_a_link_put_back_where_it_was_is_no_step(page: Any) -> None:
    x, y = middle(socket(page, 7, "model", "input"))
    hold(page, (x, y), (x - 120, y + 30))
    page.mouse.move(x, y, steps=3)
    page.mouse.up()
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_a_link_is_pulled_off(page: Any) -> None:
    before = ends(document(page))
    drag(page, middle(socket(page, 8, "vae", "input")), EMPTY)
    assert before - ends(document(page)) == {(1, 2, 8, 1)}
    page.keyboard.press("Control+z")
    assert ends(document(page)) == before


def test_all_links_of_an_output_are_moved_with_shift(page: Any) -> None:
    page.mouse.dblclick(200, 700)
    page.get_by_role("combobox", name=PALETTE).fill("Load Checkpoint")
    page.keyboard.press("Enter")
    page.keyboard.down("Shift")
    drag(page, middle(socket(page, 1, "CLIP", "output")), middle(socket(page, 10, "CLIP", "output")))
    page.keyboard.up("Shift")
    after = ends(document(page))
    assert {link for link in after if link[0] == 1 and link[1] == 1} == set()
    assert {link for link in after if link[0] == 10} == {(10, 1, 2, 0), (10, 1, 3, 0), (10, 1, 4, 0), (10, 1, 5, 0)}
    page.keyboard.press("Control+z")
    assert {link for link in ends(document(page)) if link[0] == 10} == set()


def test_a_link_dropped_on_a_field_makes_it_a_socket_and_back(page: Any) -> None:
    page.mouse.dblclick(620, 760)
    page.get_by_role("combobox", name=PALETTE).fill("PrimitiveInt")
    page.keyboard.press("Enter")
    node(page, 10).wait_for()
    steps = node(page, 7).locator("[data-widget='steps']")
    drag(page, middle(socket(page, 10, "INT", "output")), middle(steps))
    steps.get_by_text("linked").wait_for()
    doc = document(page)
    (slot,) = [slot for slot in doc["nodes"][6]["inputs"] if slot["name"] == "steps"]
    assert slot["widget"] == {"name": "steps"} and slot["type"] == "INT"
    assert slot["link"] == doc["links"][-1][0]
    steps.click(button="right")
    page.get_by_role("menuitem", name="Convert to a field").click()
    assert node(page, 7).get_by_role("spinbutton", name="steps").input_value() == "20"
    assert not {link for link in ends(document(page)) if link[0] == 10}


def test_a_field_is_linked_from_its_menu(page: Any) -> None:
    node(page, 7).locator("[data-widget='steps'] .field-label").click(button="right")
    page.get_by_role("menuitem", name="Link to…").click()
    page.get_by_role("combobox", name=PALETTE).fill("PrimitiveInt")
    page.keyboard.press("Enter")
    node(page, 7).locator("[data-widget='steps']").get_by_text("linked").wait_for()
    assert {link[:2] for link in ends(document(page)) if link[0] == 10} == {(10, 0)}


def test_a_link_dropped_on_a_node_finds_the_socket_that_fits(page: Any) -> None:
    drag(page, middle(socket(page, 8, "vae", "input")), EMPTY)
    drag(page, middle(socket(page, 1, "VAE", "output")), middle(header(page, 8)))
    assert (1, 2, 8, 1) in ends(document(page))


def test_a_link_is_chosen_between_its_ends_and_rerouted(page: Any) -> None:
    before = ends(document(page))
    # The link from Size to Sample goes level first: the curve would lie behind another node.
    x, y = middle(socket(page, 6, "LATENT", "output"))
    page.mouse.move(x + 100, y)
    page.get_by_role("button", name="Link from LATENT · Size to latent_image · Sample").click()
    page.get_by_role("menuitem", name="Add a reroute").click()
    node(page, 10).wait_for()
    doc = document(page)
    assert ends(doc) - before == {(6, 0, 10, 0), (10, 0, 7, 3)}
    assert doc["nodes"][9]["outputs"][0]["type"] == "LATENT"
    header(page, 1).click()  # away from the dot
    node(page, 10).locator(".reroute").click()
    page.keyboard.press("Delete")
    assert ends(document(page)) == before, "a reroute that is deleted leaves the link"


def test_reroutes_chain_and_take_the_type_they_carry(page: Any) -> None:
    for x in (480, 600):
        page.mouse.dblclick(x, 780)
        page.get_by_role("combobox", name=PALETTE).fill("reroute")
        page.keyboard.press("Enter")
    drag(page, middle(socket(page, 10, "", "output")), middle(socket(page, 11, "", "input")))
    drag(page, middle(socket(page, 1, "VAE", "output")), middle(socket(page, 10, "", "input")))
    by_id = nodes(page)
    assert [by_id[number]["outputs"][0]["type"] for number in (10, 11)] == ["VAE", "VAE"]
    hold(page, middle(socket(page, 11, "", "output")), (700, 760))
    page.wait_for_selector(".socket[data-welcome]")
    assert socket(page, 7, "model", "input").get_attribute("data-welcome") == "false", "a VAE comes from it"
    page.mouse.move(*middle(socket(page, 8, "vae", "input")), steps=3)
    page.mouse.up()
    doc = document(page)
    assert {link[5] for link in doc["links"] if {link[1], link[3]} & {10, 11}} == {"VAE"}
    assert (11, 0, 8, 1) in ends(doc)


def test_a_node_goes_into_a_link(page: Any) -> None:
    decode, save = node(page, 8).bounding_box(), node(page, 9).bounding_box()
    # Save is below and behind: the link goes back between the two.
    page.mouse.click(middle(node(page, 8))[0], (decode["y"] + decode["height"] + save["y"]) / 2, button="right")
    page.get_by_role("menuitem", name="Insert a node").click()
    page.get_by_role("combobox", name=PALETTE).fill("invert im")
    page.keyboard.press("Enter")
    node(page, 10).wait_for()
    after = ends(document(page))
    assert {(8, 0, 10, 0), (10, 0, 9, 0)} <= after and (8, 0, 9, 0) not in after
    page.keyboard.press("Control+z")
    assert len(document(page)["nodes"]) == 9


def test_links_follow_their_nodes(page: Any) -> None:
    drag_by(page, header(page, 9), -400, 60)
    page.mouse.move(*middle(socket(page, 9, "images", "input")))
    assert (8, 0, 9, 0) in ends(document(page))
