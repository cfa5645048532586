"""Lost connections, restarted servers, and servers without a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.visit import profile, visit
from tests.browser.waiting import until

pytestmark = pytest.mark.slow

PICTURE = ".node-picture img"
LOST = "Connection lost"


@pytest.fixture
def own(server: Any, browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A separate server that can be stopped and restarted, and a page on it."""
    running = type(server)(tmp_path)
    try:
        with profile(browser) as context:
            context.set_default_timeout(90_000)  # a server is started meanwhile
            yield visit(context, running.url), running
    finally:
        running.stop()


def steps(page: Any, count: int) -> None:
    field = page.get_by_role("article", name="Sample", exact=True).get_by_role("spinbutton", name="steps", exact=True)
    field.focus()
    field.fill(str(count))
    page.keyboard.press("Tab")


def run(page: Any) -> None:
    page.get_by_role("button", name="Run", exact=True).click()


def test_a_server_that_is_restarted_goes_on_with_what_was_queued(own: Any) -> None:
    page, server = own
    steps(page, 120)
    page.get_by_label("Number of runs").fill("2")
    page.get_by_role("combobox", name="Between runs").select_option("increment")
    run(page)
    page.wait_for_selector(".node[data-state=running]")
    until(page, lambda: len(server.get("/queue")["queue_pending"]) == 1)
    server.stop()
    page.get_by_text(LOST).wait_for()
    assert page.title().startswith("Not connected")
    server.start()
    page.get_by_text(LOST).wait_for(state="detached")
    page.wait_for_selector(PICTURE)
    until(page, lambda: len(server.get("/history")) == 2)
    page.wait_for_function("() => document.title === 'text_to_image · Sumi'")
    page.keyboard.press("g")
    page.wait_for_function("() => document.querySelectorAll('.thumbnail img').length === 2")


def test_an_answer_that_the_end_of_the_run_overtakes(page: Any, server: Any) -> None:
    """A page opened during a run asks for its state, and the run can end before the answer is read."""
    steps(page, 4001)
    run(page)
    page.wait_for_selector(".node[data-state=running] .node-preview")
    (job,) = (item[1] for item in server.get("/queue")["queue_running"])
    held: list[tuple[Any, Any]] = []

    def hold(route: Any) -> None:
        if held:
            return route.continue_()
        held.append((route, route.fetch()))

    page.route(f"**/jobs/{job}", hold)
    page.reload()
    until(page, lambda: held)
    server.post("/interrupt", {})
    until(page, lambda: server.get(f"/jobs/{job}")["status"] == "interrupted")
    page.wait_for_selector(".node[data-state=running]", state="detached")
    (route, answer), *_ = held
    assert answer.json()["status"] == "running"
    with page.expect_response(f"**/jobs/{job}"):
        route.fulfill(response=answer)
    page.wait_for_timeout(300)  # it is read
    assert page.locator(".node[data-state=running]").count() == 0
    badge = page.get_by_role("article", name="Sample", exact=True).locator(".node-badge")
    assert badge.filter(has_text=" s").count() == 0, "an interrupted node has no time"
    steps(page, 11)  # the next run is shown: nothing is thought to be at work still
    run(page)
    badge.filter(has_text=" s").wait_for()
    page.locator(".node-badge").nth(8).wait_for()
    assert page.locator(".node[data-state=running]").count() == 0


def test_a_connection_dropped_in_the_middle_of_a_run_catches_up(own: Any) -> None:
    page, server = own
    context = page.context
    opened = context.new_page()
    sockets: list[Any] = []
    opened.route_web_socket(
        lambda url: "/ws" in url, lambda socket: sockets.append((socket, socket.connect_to_server()))
    )
    opened.goto(server.url)
    opened.wait_for_selector(".node")
    until(opened, lambda: len(sockets) == 1)
    steps(opened, 60)
    run(opened)
    opened.wait_for_selector(".node[data-state=running] .node-preview")
    for socket, upstream in sockets:
        upstream.close()
        socket.close()
    until(opened, lambda: len(sockets) >= 2)
    opened.wait_for_selector(PICTURE)
    badge = opened.get_by_role("article", name="Sample", exact=True).locator(".node-badge")
    badge.filter(has_text=" s").wait_for()
    opened.close()


def test_what_ended_while_nobody_was_connected_is_shown(own: Any) -> None:
    page, server = own
    steps(page, 40)
    run(page)
    until(page, lambda: len(server.get("/queue")["queue_running"]) == 1)
    page.goto("about:blank")
    until(page, lambda: len(server.get("/history")) == 1)
    page.goto(server.url)
    page.wait_for_selector(PICTURE)
    page.get_by_role("article", name="Sample", exact=True).locator(".node-badge", has_text=" s").wait_for()


def test_a_server_that_cannot_be_reached_says_so_when_one_runs(own: Any) -> None:
    page, server = own
    server.stop()
    page.get_by_text(LOST).wait_for()
    run(page)
    page.get_by_role("alert").get_by_text("Cannot reach the server").wait_for()
    server.start()
    page.get_by_text(LOST).wait_for(state="detached")
    run(page)
    page.wait_for_selector(PICTURE)


def test_a_server_without_a_worker_says_so(server: Any, browser: Any, tmp_path: Path) -> None:
    running = type(server)(tmp_path)  # whose list of nodes is kept for the next start
    running.stop()
    (tmp_path / "broken").mkdir()
    no_workers = "import os, sys\nif 'worker' in sys.orig_argv: os._exit(3)\n"
    (tmp_path / "broken" / "sitecustomize.py").write_text(no_workers)
    running.start(PYTHONPATH=str(tmp_path / "broken"))
    try:
        with profile(browser) as context:
            page = visit(context, running.url)
            run(page)
            page.get_by_text("No worker is ready").wait_for()
            assert page.locator(".banner").count() == 1
    finally:
        running.stop()


def test_a_model_that_is_not_there_is_named_at_its_field(own: Any) -> None:
    page, server = own
    del server
    page.route("**/api/object_info", without_models)
    page.reload()
    page.wait_for_selector(".node")
    field = page.get_by_role("article", name="Read the checkpoint").locator(".field.choice")
    assert field.get_attribute("data-unknown") == "true", "it is marked before anything runs"
    field.click()
    page.get_by_text("Nothing found").wait_for()
    page.keyboard.press("Escape")


def without_models(route: Any) -> None:
    answer = route.fetch()
    nodes = answer.json()
    nodes["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] = []
    route.fulfill(response=answer, json=nodes)
