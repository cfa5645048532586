"""Runs that the server rejects: the message, its place, and how long it stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.canvas_page import header, open_document
from tests.browser.waiting import becomes

pytestmark = pytest.mark.slow

WORKFLOW = Path(__file__).parents[2] / "workflows" / "text_to_image.json"


@pytest.fixture
def refused(page: Any, tmp_path: Path) -> Any:
    """A page with a workflow that has just been refused."""
    doc = json.loads(WORKFLOW.read_text())
    doc["nodes"] = [entry for entry in doc["nodes"] if entry["type"] not in ("VAEDecode", "SaveImage")]
    kept = {entry["id"] for entry in doc["nodes"]}
    doc["links"] = [link for link in doc["links"] if link[1] in kept and link[3] in kept]
    open_document(page, tmp_path / "nothing.json", doc)
    page.keyboard.press("Control+Enter")
    page.locator(".notice").wait_for()
    return page


def _notices(page: Any) -> list[str]:
    return [text.split("\n")[0] for text in page.locator(".notice p").all_inner_texts()]


REFUSED = ["The server rejected the request."]


def test_a_refusal_is_said_once_and_where_it_belongs(refused: Any) -> None:
    page = refused
    for _ in range(3):
        with page.expect_response("**/prompt"):
            page.keyboard.press("Control+Enter")
        becomes(page, lambda: _notices(page), REFUSED)
    page.get_by_role("tab", name="text_to_image").click()
    becomes(page, lambda: _notices(page), [])
    page.get_by_role("tab", name="nothing").click()
    becomes(page, lambda: _notices(page), REFUSED)


def test_a_refusal_goes_when_the_workflow_is_changed_or_closed(refused: Any) -> None:
    page = refused
    header(page, 6).click()
    page.keyboard.press("ArrowRight")
    becomes(page, lambda: _notices(page), [])
    with page.expect_response("**/prompt"):
        page.keyboard.press("Control+Enter")
    becomes(page, lambda: _notices(page), REFUSED)
    page.get_by_role("button", name="Close nothing").click()
    page.get_by_role("button", name="Don’t save").click()
    becomes(page, lambda: _notices(page), [])


def test_a_refused_run_leaves_no_mark_and_is_never_asked_for(refused: Any) -> None:
    page = refused
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/jobs/" in request.url else None)
    page.get_by_role("tab", name="text_to_image").click()
    page.reload()
    page.get_by_role("tab", name="nothing").wait_for()
    with page.expect_response("**/queue"):
        page.reload()
    page.wait_for_selector(".node")
    page.wait_for_timeout(500)
    assert asked == []
    assert page.locator(".verdict").count() == 0


def test_a_run_that_the_server_does_not_know_is_asked_for_once(page: Any, server: Any) -> None:
    unknown = {"0b5c6d2e-0000-4000-8000-000000000000": {"tab": "TAB", "nodes": 1, "steps": {}}}
    page.evaluate("jobs => sessionStorage.setItem('sumi.jobs', jobs)", json.dumps(unknown))
    with page.expect_response("**/api/jobs/0b5c*"):
        page.reload()
    becomes(page, lambda: page.evaluate("sessionStorage.getItem('sumi.jobs')"), "{}")
    assert page.locator(".verdict").count() == 0
