"""User actions on the canvas, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.browser.waiting import steady


def document(page: Any) -> Any:
    """Return the open workflow as it would be downloaded."""
    canvas = page.locator(".canvas").bounding_box()  # beside an open panel
    page.mouse.click(canvas["x"] + 12, canvas["y"] + 12, button="right")  # in the margin: nothing is there
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Download").click()
    return json.loads(Path(download.value.path()).read_text())


def nodes(page: Any) -> dict[int, Any]:
    return {node["id"]: node for node in document(page)["nodes"]}


def ends(doc: Any) -> set[tuple[int, int, int, int]]:
    """Return the links as [origin, slot, target, slot], and check that each is listed at both ends."""
    by_id = {node["id"]: node for node in doc["nodes"]}
    for link, origin, output, target, given, _ in doc["links"]:
        assert link in by_id[origin]["outputs"][output]["links"]
        assert by_id[target]["inputs"][given]["link"] == link
    return {(origin, output, target, given) for _, origin, output, target, given, _ in doc["links"]}


def open_document(page: Any, path: Path, doc: Any) -> None:
    path.write_text(json.dumps(doc))
    page.locator("#open-file").set_input_files(str(path))
    page.get_by_role("tab", name=path.stem, exact=True).wait_for()
    steady(page)


def node(page: Any, number: int | str) -> Any:
    return page.locator(f".react-flow__node[data-id='{number}']")


def header(page: Any, number: int | str) -> Any:
    return node(page, number).locator(".node-header")


def socket(page: Any, number: int | str, name: str, side: str) -> Any:
    return node(page, number).locator(f".socket[data-side='{side}'][title^='{name} ']")


def middle(thing: Any) -> tuple[float, float]:
    box = thing.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def hold(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag without releasing the button."""
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=3)
    page.mouse.move(*end, steps=3)


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    hold(page, start, end)
    page.mouse.up()


def drag_by(page: Any, thing: Any, dx: float, dy: float) -> None:
    x, y = middle(thing)
    drag(page, (x, y), (x + dx, y + dy))


def on_screen(page: Any, number: int, x: float, y: float) -> tuple[float, float]:
    """Convert a position on the canvas to one on the screen, measured at a visible node."""
    at = {entry["id"]: entry for entry in document(page)["nodes"]}[number]
    box = node(page, number).bounding_box()
    zoom = scale(page)
    return box["x"] + (x - at["pos"][0]) * zoom, box["y"] + (y - (at["pos"][1] - 30)) * zoom


def scale(page: Any) -> float:
    return float(page.locator(".canvas").evaluate("canvas => canvas.style.getPropertyValue('--zoom')"))
