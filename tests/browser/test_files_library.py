"""The library of saved workflows, names and questions, and the settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import document, drag_by, header, nodes
from tests.browser.visit import profile, visit
from tests.browser.waiting import until

pytestmark = pytest.mark.slow


def _saved(server: Any) -> dict[str, Any]:
    """Return every file of the library by its path."""
    files = (server.home / "user").rglob("workflows/**/*.json")
    return {path.as_posix().split("/workflows/", 1)[1]: json.loads(path.read_text()) for path in files}


def _answer(page: Any, button: str, name: str | None = None) -> None:
    dialog = page.locator("dialog[open]")
    if name is not None:
        dialog.get_by_role("textbox").or_(dialog.get_by_role("combobox")).fill(name)
    dialog.get_by_role("button", name=button, exact=True).click()


def _save(page: Any, name: str) -> None:
    page.keyboard.press("Control+Shift+s")
    _answer(page, "Save", name)
    page.get_by_role("tab", name=name.rpartition("/")[2], exact=True).wait_for()


def _prompt(page: Any, text: str) -> None:
    page.get_by_role("textbox", name="text").first.fill(text)
    page.keyboard.press("Escape")


def test_save_reload_compare(page: Any, server: Any) -> None:
    _prompt(page, "a windmill")
    before = document(page)
    page.keyboard.press("Control+s")
    _answer(page, "Save", "windmill")
    page.locator(".notice", has_text="Saved").wait_for()
    page.reload()
    page.wait_for_selector(".node")
    assert document(page) == before
    assert _saved(server) == {"windmill.json": before}


def test_a_name_is_asked_for_once_and_must_be_sound(page: Any, server: Any) -> None:
    page.keyboard.press("Control+s")
    for wrong in ("", "a//b", "../up", "what?", ".hidden"):
        _answer(page, "Save", wrong)
        assert page.locator("dialog[open] [role=status]").inner_text() != "", wrong
    _answer(page, "Save", "portraits/first")
    page.get_by_role("tab", name="first", exact=True).wait_for()
    _prompt(page, "changed")
    page.get_by_title("Not saved").first.wait_for()
    page.keyboard.press("Control+s")
    page.locator(".tab .changed").wait_for(state="detached")
    (kept,) = _saved(server).values()
    assert "changed" in json.dumps(kept)


def test_another_file_is_replaced_only_when_one_says_so(page: Any, server: Any) -> None:
    _save(page, "one")
    first = _saved(server)["one.json"]
    page.get_by_role("button", name="New workflow").click()
    page.keyboard.press("Control+s")
    _answer(page, "Save", "one")
    page.get_by_role("heading", name="A workflow with this name already exists.").wait_for()
    _answer(page, "Cancel")
    assert _saved(server)["one.json"] == first
    page.keyboard.press("Control+s")
    _answer(page, "Save", "one")
    _answer(page, "Replace")
    until(page, lambda: _saved(server)["one.json"]["nodes"] == [])


def test_folders_search_rename_and_delete(page: Any, server: Any) -> None:
    for name in ("animals/cat", "animals/wild/wolf", "boat"):
        _save(page, name)
    page.keyboard.press("w")
    rows = page.locator(".library-open")
    rows.get_by_text("boat").wait_for()
    assert [row.split("\n")[0] for row in rows.all_inner_texts()] == ["animals", "wild", "wolf", "cat", "boat"]
    rows.get_by_text("wild").click()
    rows.get_by_text("wolf").wait_for(state="detached")

    page.get_by_role("searchbox").fill("WOL")
    rows.get_by_text("animals/wild/wolf").wait_for()
    assert rows.count() == 1
    page.get_by_role("searchbox").fill("")

    page.locator(".library-row", has_text="boat").hover()
    page.get_by_role("button", name="Rename boat").click()
    _answer(page, "Save", "ships/boat")
    rows.get_by_text("ships").wait_for()
    assert "ships/boat.json" in _saved(server)
    assert page.get_by_role("tab", name="boat").count() == 1, "what is open goes along"

    page.locator(".library-row", has_text="animals").first.hover()
    page.get_by_role("button", name="Rename animals", exact=True).click()
    _answer(page, "Save", "beasts")
    until(page, lambda: set(_saved(server)) == {"beasts/cat.json", "beasts/wild/wolf.json", "ships/boat.json"})

    page.locator(".library-row", has_text="cat").hover()
    page.get_by_role("button", name="Delete beasts/cat").click()
    page.keyboard.press("Escape")
    assert "beasts/cat.json" in _saved(server), "Escape is no"
    page.locator(".library-row", has_text="cat").hover()
    page.get_by_role("button", name="Delete beasts/cat").click()
    _answer(page, "Delete")
    until(page, lambda: set(_saved(server)) == {"beasts/wild/wolf.json", "ships/boat.json"})


def test_closing_asks_only_for_what_is_not_saved(page: Any, server: Any) -> None:
    page.get_by_role("button", name="New workflow").click()
    close = page.get_by_role("button", name="Close text_to_image")
    page.get_by_role("tab", name="text_to_image").click()
    _prompt(page, "not to be lost")
    close.click()
    _answer(page, "Cancel")
    assert page.get_by_role("tab").count() == 2
    close.click()
    _answer(page, "Save")
    _answer(page, "Save", "kept")
    page.locator("[role=tab]").nth(1).wait_for(state="detached")
    assert "not to be lost" in json.dumps(_saved(server)["kept.json"])
    page.keyboard.press("w")
    page.locator(".library-open", has_text="kept").click()
    page.get_by_role("tab", name="kept").wait_for()
    _prompt(page, "thrown away")
    page.get_by_role("button", name="Close kept").click()
    _answer(page, "Don’t save")
    page.get_by_role("tab", name="kept").wait_for(state="detached")
    assert "thrown away" not in json.dumps(_saved(server))


def test_settings_live_on_the_server(page: Any, server: Any, browser: Any) -> None:
    page.keyboard.press("Control+,")
    page.get_by_text("Dark", exact=True).click()
    page.get_by_role("switch", name="Snap to grid").check()
    page.get_by_text("简体中文").click()
    page.get_by_role("button", name="运行", exact=True).wait_for()
    settings = ("Sumi.theme", "Sumi.snap", "Sumi.language")
    until(page, lambda: [server.get("/settings").get(name) for name in settings] == ["dark", True, "zh-CN"])
    with profile(browser, color_scheme="light") as other:
        elsewhere = visit(other, server.url)
        elsewhere.get_by_role("button", name="运行", exact=True).wait_for()
        elsewhere.locator(":root[data-theme=dark]").wait_for(state="attached")


def test_a_setting_made_while_the_server_is_away_is_told_to_it_later(page: Any, server: Any) -> None:
    page.route("**/settings/**", lambda route: route.abort())
    page.keyboard.press("Control+,")
    page.get_by_text("Dark", exact=True).click()
    page.locator(":root[data-theme=dark]").wait_for(state="attached")
    assert server.get("/settings")["Sumi.theme"] == "auto"
    page.unroute("**/settings/**")
    page.reload()
    until(page, lambda: server.get("/settings")["Sumi.theme"] == "dark")
    page.locator(":root[data-theme=dark]").wait_for(state="attached")
    assert page.evaluate("JSON.parse(localStorage.getItem('sumi.settings')).theme") == "dark"


def test_nodes_keep_to_the_grid_when_asked_to(page: Any) -> None:
    page.keyboard.press("Control+,")
    page.get_by_role("switch", name="Snap to grid").check()
    page.keyboard.press("Escape")
    drag_by(page, header(page, 1), 33, -51)
    x, y = nodes(page)[1]["pos"]
    assert (x % 10, y % 10) == (0, 0)
    assert (x, y) != (40, 220)


@pytest.mark.newcomer
def test_the_examples_greet_a_newcomer_and_can_be_put_away(page: Any, server: Any) -> None:
    example = json.loads((Path(__file__).parents[2] / "workflows" / "text_to_image.json").read_text())
    assert document(page) == example
    welcome = page.locator(".welcome")
    pictures = welcome.locator("img")
    pictures.nth(6).wait_for()
    assert pictures.count() == 7
    for index in range(7):
        assert pictures.nth(index).evaluate("image => image.decode().then(() => image.naturalWidth)") == 256
    welcome.get_by_role("button", name="Inpainting").click()
    page.get_by_role("tab", name="Inpainting").wait_for()
    welcome.wait_for(state="detached")
    until(page, lambda: server.get("/settings").get("Sumi.welcome") is False)


def test_a_file_that_another_window_changed_is_not_overwritten_unasked(page: Any, server: Any) -> None:
    _save(page, "shared")
    other = visit(page.context, server.url)
    other.keyboard.press("w")
    other.locator(".library-open", has_text="shared").click()
    other.get_by_role("tab", name="shared", exact=True).wait_for()
    _prompt(other, "written there")
    other.keyboard.press("Control+s")
    until(page, lambda: "written there" in json.dumps(_saved(server)))

    _prompt(page, "written here")
    page.reload()  # it is known after that too
    page.wait_for_selector(".node")
    page.keyboard.press("Control+s")
    page.get_by_role("heading", name="“shared” was changed elsewhere").wait_for()
    _answer(page, "Cancel")
    assert "written there" in json.dumps(_saved(server)["shared.json"])
    page.keyboard.press("Control+s")
    _answer(page, "Save a copy")
    _answer(page, "Save")
    page.get_by_role("tab", name="shared 2", exact=True).wait_for()
    assert "written here" in json.dumps(_saved(server)["shared 2.json"])
    assert "written there" in json.dumps(_saved(server)["shared.json"])

    # In the other window nothing changed meanwhile: it is asked nothing.
    _prompt(other, "and again")
    other.keyboard.press("Control+s")
    until(page, lambda: "and again" in json.dumps(_saved(server)["shared.json"]))
    page.keyboard.press("w")
    page.locator(".library-open", has_text="shared").first.click()
    page.get_by_role("tab", name="shared", exact=True).wait_for()
    _prompt(other, "last words there")
    other.keyboard.press("Control+s")
    until(page, lambda: "last words there" in json.dumps(_saved(server)["shared.json"]))
    _prompt(page, "last words here")
    page.keyboard.press("Control+s")
    _answer(page, "Overwrite")
    until(page, lambda: "last words here" in json.dumps(_saved(server)["shared.json"]))
