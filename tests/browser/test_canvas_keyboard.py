"""The canvas used by keyboard and with a screen reader."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.canvas_page import document, ends, header, node, nodes, socket
from tests.browser.waiting import becomes, until

pytestmark = pytest.mark.slow


def _focused(page: Any) -> str:
    """Return the accessible name of the focused element."""
    return str(
        page.evaluate("() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent")
    )


def _go(page: Any, key: str, to: str) -> None:
    page.keyboard.press(key)
    page.locator(f"article[aria-label='{to}']:focus").wait_for()


def test_from_node_to_node_along_links_and_across(page: Any) -> None:
    page.keyboard.press("Control+ArrowRight")  # nothing is selected: to the middle
    page.locator("article:focus").wait_for()
    header(page, 7).click()
    _go(page, "[", "Read the checkpoint")
    _go(page, "]", "Sample")
    _go(page, "Control+ArrowLeft", "Encode what to avoid")
    _go(page, "]", "Sample")
    _go(page, "]", "Decode")
    _go(page, "]", "Save")
    page.keyboard.press("]")
    page.get_by_role("status").get_by_text("This node has no linked outputs").wait_for()
    _go(page, "Control+ArrowUp", "Decode")
    _go(page, "Control+ArrowLeft", "Sample")
    page.get_by_role("status").get_by_text("Sample, inputs: 10, outputs: 1").wait_for()
    assert node(page, 7).locator(".node[data-selected]").count() == 1


def test_the_same_key_goes_along_the_next_link(page: Any) -> None:
    header(page, 7).click()
    _go(page, "[", "Read the checkpoint")
    header(page, 7).click()
    _go(page, "[", "Encode the prompt")
    header(page, 7).click()
    _go(page, "[", "Encode what to avoid")


def test_into_a_node_and_back(page: Any) -> None:
    header(page, 7).click()
    page.keyboard.press("Enter")
    page.locator("[aria-label='seed']:focus").wait_for()
    page.keyboard.type("77")
    _go(page, "Escape", "Sample")
    assert nodes(page)[7]["widgets_values"][0] == 1, "Escape leaves the value"
    header(page, 7).click()
    page.keyboard.press("Enter")
    page.locator("[aria-label='seed']:focus").wait_for()
    page.keyboard.type("77")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    becomes(page, lambda: _focused(page), "steps")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    becomes(page, lambda: _focused(page), "seed")
    assert nodes(page)[7]["widgets_values"][0] == 77


def test_a_link_is_drawn_and_taken_off_by_keys(page: Any) -> None:
    before = ends(document(page))
    header(page, 8).click()
    page.keyboard.press("Tab")  # over the button that folds it: its sockets are next
    becomes(page, lambda: _focused(page), "Input samples, LATENT, linked")
    page.keyboard.press("Tab")
    becomes(page, lambda: _focused(page), "Input vae, VAE, linked")
    page.keyboard.press("Delete")
    page.get_by_role("status").get_by_text("Links removed: 1").wait_for()
    assert before - ends(document(page)) == {(1, 2, 8, 1)}
    socket(page, 8, "vae", "input").focus()
    page.keyboard.press("Enter")
    search = page.get_by_role("combobox", name="Search nodes")
    search.fill("read checkpoint")
    page.get_by_role("option").filter(has_text="VAE · Read the checkpoint").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("is linked to").wait_for()
    assert ends(document(page)) == before


def test_a_new_node_is_linked_by_keys(page: Any) -> None:
    header(page, 8).click()
    socket(page, 8, "IMAGE", "output").focus()
    page.keyboard.press("l")
    page.get_by_role("combobox", name="Search nodes").fill("invert im")
    page.keyboard.press("Enter")
    node(page, 10).wait_for()
    assert (8, 0, 10, 0) in ends(document(page))


def test_what_is_selected_is_moved_sized_renamed_and_listed(page: Any) -> None:
    header(page, 6).click()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("F2")
    page.keyboard.type("Latent")
    page.keyboard.press("Enter")
    changed = nodes(page)[6]
    assert (changed["pos"], changed["size"][0], changed["title"]) == ([490, 450], 330, "Latent")
    page.keyboard.press("Shift+F10")
    page.get_by_role("menuitem", name="Rename").wait_for()
    page.keyboard.press("ArrowDown")
    page.locator("[role='menuitem']:focus").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("menu").wait_for(state="detached")


def test_a_held_arrow_is_one_step(page: Any) -> None:
    header(page, 6).click()
    page.keyboard.down("ArrowRight")
    for _ in range(5):
        page.keyboard.down("ArrowRight")  # the key repeats
    page.keyboard.up("ArrowRight")
    assert nodes(page)[6]["pos"] == [450, 460]
    page.keyboard.press("Control+z")
    assert nodes(page)[6]["pos"] == [390, 460]


def test_the_focus_is_seen_where_keys_put_it(page: Any) -> None:
    outline = "element => getComputedStyle(element).outlineStyle"
    header(page, 7).click()
    assert page.locator("article[aria-label='Sample']").evaluate(outline) == "none", "a click needs no ring"
    _go(page, "]", "Decode")
    assert page.locator("article[aria-label='Decode']").evaluate(outline) == "solid"
    page.keyboard.press("Tab")
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_every_shortcut_on_the_list_does_something(page: Any) -> None:
    """Keys that open something are tested here, the others in separate tests."""
    page.keyboard.press("?")
    shown = page.get_by_role("dialog", name="Shortcuts")
    shown.wait_for()
    assert shown.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")
    assert shown.locator("kbd").count() > 60
    page.keyboard.press("Escape")
    for key, name in (("w", "Workflows"), ("g", "Gallery"), ("q", "Queue")):
        page.keyboard.press(key)
        page.locator(".side-panel").get_by_text(name).first.wait_for()
        page.keyboard.press(key)
        page.locator(".side-panel").wait_for(state="detached")
    page.keyboard.press("Escape")
    before = document(page)
    page.keyboard.press("l")
    page.locator(".view-tools button[aria-label^='Undo']:enabled").wait_for()
    assert document(page) != before


def test_nodes_sockets_and_fields_have_names_and_roles(page: Any) -> None:
    header(page, 7).click()
    sample = page.get_by_role("article", name="Sample", exact=True)
    for name in ("Input model, MODEL, linked", "Output LATENT, LATENT, linked", "Input steps, INT"):
        sample.get_by_role("button", name=name, exact=True).wait_for()
    for name in ("seed", "steps", "cfg", "denoise"):
        field = sample.get_by_role("spinbutton", name=name)
        assert field.get_attribute("aria-valuenow")
    assert sample.get_by_role("button", name="sampler_name euler").count() == 1
    assert page.get_by_role("application", name="Canvas: 9 nodes, 13 links").count() == 1


def _focused_node(page: Any) -> str | None:
    return page.evaluate("document.activeElement.closest('.react-flow__node')?.dataset.id ?? null")


def test_nodes_added_in_turn_lie_side_by_side_and_get_the_focus(page: Any) -> None:
    known = set(nodes(page))
    for _ in range(3):
        page.keyboard.press("/")
        page.locator(".palette").wait_for()
        page.keyboard.press("Enter")
        page.locator(".palette").wait_for(state="detached")
    added = {number: entry["pos"] for number, entry in nodes(page).items() if number not in known}
    assert len({tuple(place) for place in added.values()}) == 3
    page.keyboard.press("/")
    page.locator(".palette").wait_for()
    page.keyboard.press("Enter")
    newest = str(max(added) + 1)
    becomes(page, lambda: _focused_node(page), newest)
    for opens, opened in (("/", ".palette"), ("ContextMenu", ".menu")):
        page.keyboard.press(opens)
        page.locator(opened).wait_for()
        page.keyboard.press("Escape")
        page.locator(opened).wait_for(state="detached")
        becomes(page, lambda: _focused_node(page), newest)


def test_what_is_pasted_twice_at_one_place_lies_side_by_side(page: Any) -> None:
    known = set(nodes(page))
    header(page, 6).click()
    page.keyboard.press("Control+c")
    page.mouse.move(700, 750)
    page.keyboard.press("Control+v")
    page.keyboard.press("Control+v")
    until(page, lambda: len(nodes(page)) == len(known) + 2)
    first, second = (entry["pos"] for number, entry in nodes(page).items() if number not in known)
    assert first != second
