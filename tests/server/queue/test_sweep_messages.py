"""The record and the messages of a sweep whose combinations end in any order."""

from __future__ import annotations

import asyncio
from typing import Any

from graph import events
from server.http.hub import Client, Hub
from server.http.identity import OPERATOR
from server.queue.sweep_messages import SweepMessages
from server.store.jobs import Job
from tests.server.websocket_messages import heard


class Listening:
    """A sweep's job whose client is connected; what is queued for it can be read."""

    def __init__(self, total: int = 3):
        self.job = Job("p", 0, {str(node): {"class_type": "X"} for node in range(2)}, client_id="me")
        hub = Hub()
        self.client = Client(None, "me", OPERATOR)  # type: ignore[arg-type] - nothing is sent, only queued
        hub._clients["me"] = [self.client]
        self.messages = SweepMessages(self.job, hub, lambda kind, seconds: None, total)

    def heard(self) -> list[tuple[str, dict[str, Any]]]:
        return heard(self.client)

    def show(self, number: int | None, name: str) -> None:
        images = [{"filename": name, "subfolder": "", "type": "output"}]
        self.messages.handle_part(number, events.NodeOutput("p", "1", "1", {"images": images, "animated": [True]}))

    def images(self) -> list[tuple[str, Any]]:
        return [(image["filename"], image.get("index", "grid")) for image in self.job.outputs["1"]["images"]]


def test_outputs_are_in_order_of_the_combinations_with_the_grid_last() -> None:
    listening = Listening()
    for number, name in ((2, "c"), (None, "grid"), (0, "a"), (1, "b")):
        listening.show(number, name)
    assert listening.images() == [("a", 0), ("b", 1), ("c", 2), ("grid", "grid")]
    executed = [data for kind, data in listening.heard() if kind == "executed"]
    assert [data["index"] for data in executed] == [2, None, 0, 1]
    assert executed[1]["output"]["images"] == [{"filename": "grid", "subfolder": "", "type": "output", "grid": True}]


def test_what_a_lost_run_has_shown_is_shown_once() -> None:
    listening = Listening()
    listening.show(0, "a")
    listening.messages.part_lost(0)
    listening.show(0, "a")
    assert listening.images() == [("a", 0)]


def test_after_a_restart_the_finished_combinations_are_shown_again_within_one_run() -> None:
    listening = Listening()
    image = {"filename": "b", "subfolder": "", "type": "output", "index": 1}
    listening.messages.restore(1, {"1": {"images": [image]}})
    listening.messages.handle_part(0, events.RunStarted("p"))
    listening.show(0, "a")
    assert [kind for kind, _ in listening.heard()] == ["execution_start", "executed", "executed"]
    assert listening.images() == [("a", 0), ("b", 1)]


def test_progress_counts_combinations_and_the_parts_of_those_that_run() -> None:
    async def body() -> None:
        listening = Listening(total=3)
        messages = listening.messages
        seen = [messages.progress]
        messages.handle_part(0, events.NodesCached("p", ("0",)))
        seen.append(messages.progress)
        messages.part_finished(0)
        seen.append(messages.progress)
        for number in (1, 2):
            messages.handle_part(number, events.NodesCached("p", ()))
            messages.handle_part(number, events.NodeStarted("p", "0", "0", "X"))
            messages.handle_part(number, events.NodeProgress("p", "0", "0", 1, 1))
        seen.append(messages.progress)
        for number in (1, 2, None):
            messages.part_finished(number)
        seen.append(messages.progress)
        assert seen == [0.0, 0.125, 0.25, 0.5, 1.0]
        messages.ended(events.RunSucceeded("p"))
        assert messages.progress == 1.0

    asyncio.run(body())


def test_the_last_state_counts_every_combination() -> None:
    async def body() -> list[dict[str, Any]]:
        listening = Listening(2)
        for number in range(2):
            listening.messages.handle_part(number, events.NodeStarted("p", "0", "0", "X", None))
            listening.messages.handle_part(number, events.NodeFinished("p", "0", "0", "X", 0.1))
            await asyncio.sleep(0.15)  # the state is sent before the combination is counted
            listening.messages.part_finished(number)
        listening.messages.ended(events.RunSucceeded("p"))
        return [data["sweep"] for name, data in listening.heard() if name == "progress_state"]

    assert asyncio.run(body())[-1] == {"done": 2, "total": 2}
