"""Notes: Markdown is rendered, cannot run anything, and is saved as its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import node, nodes, open_document
from tests.browser.waiting import becomes

pytestmark = pytest.mark.slow

TEXT = """# Use & care

Needs **two** models, *not* `one`: see [the page](https://example.org/a).

- first
  - nested
- [x] done

1. one
2. two

> quoted

```
a < b
```

| name | size |
|------|-----:|
| cat  | 4    |

![a picture](https://example.org/x.png) [not a link](javascript:document.title='gone')

<img src=x onerror="document.title='gone'">
"""


@pytest.fixture
def note(page: Any, tmp_path: Path) -> Any:
    common = {"flags": {}, "mode": 0, "inputs": [], "outputs": [], "properties": {}}
    doc = {
        "version": 0.4,
        "links": [],
        "nodes": [
            {**common, "id": 1, "type": "MarkdownNote", "pos": [0, 0], "size": [420, 560], "widgets_values": [TEXT]},
            {**common, "id": 2, "type": "Note", "pos": [500, 0], "size": [300, 200], "widgets_values": ["# plain"]},
        ],
    }
    open_document(page, tmp_path / "notes.json", doc)
    return node(page, 1).locator(".markdown")


def test_markdown_is_shown_as_it_is_meant(page: Any, note: Any) -> None:
    note.locator("h2").wait_for()
    assert note.locator("h2").inner_text() == "Use & care"
    assert note.locator("strong").inner_text() == "two"
    assert note.locator("em").inner_text() == "not"
    assert note.locator("p code").inner_text() == "one"
    assert note.locator("ul ul li").inner_text() == "nested"
    assert note.locator("ol > li").all_inner_texts() == ["one", "two"]
    assert note.locator("li input").is_checked()
    assert note.locator("blockquote").inner_text() == "quoted"
    assert note.locator("pre").inner_text() == "a < b"
    assert note.locator("td").all_inner_texts() == ["cat", "4"]
    assert node(page, 2).locator("textarea").input_value() == "# plain"


def test_a_strangers_note_runs_and_fetches_nothing(page: Any, note: Any) -> None:
    note.locator("h2").wait_for()
    links = note.locator("a")
    assert links.evaluate_all("all => all.map((one) => one.href)") == [
        "https://example.org/a",
        "https://example.org/x.png",
    ]
    assert links.evaluate_all("all => all.every((one) => one.rel === 'noopener noreferrer' && one.target === '_blank')")
    assert note.locator("img, script, iframe").count() == 0
    assert "<img src=x" in note.inner_text(), "shown as text"
    assert page.title() != "gone"


def test_markdown_is_written_as_its_source(page: Any, note: Any) -> None:
    note.locator("h2").dblclick()
    source = node(page, 1).locator("textarea")
    source.wait_for()
    assert source.input_value() == TEXT
    assert source.evaluate("field => field === document.activeElement")
    source.fill("## Shorter")
    page.locator(".react-flow__pane").click(position={"x": 20, "y": 600})
    becomes(page, lambda: note.locator("h3").all_inner_texts(), ["Shorter"])
    assert nodes(page)[1]["widgets_values"] == ["## Shorter"]
    page.keyboard.press("Control+z")
    becomes(page, lambda: note.locator("h2").all_inner_texts(), ["Use & care"])
    node(page, 1).locator(".node-title").click()
    node(page, 1).get_by_role("button", name="Edit the note").click()
    source.wait_for()
    page.keyboard.press("Escape")
    note.locator("h2").wait_for()
