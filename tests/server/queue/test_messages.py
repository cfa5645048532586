"""From events to messages, with a real hub and a real client of it."""

from __future__ import annotations

import asyncio
from typing import Any

from graph import events
from server.http.hub import Client, Hub
from server.http.identity import OPERATOR
from server.queue.messages import STATE_INTERVAL, STATE_NODES, RunMessages, node_weights
from server.store.jobs import Job
from tests.server.websocket_messages import heard


class Listening:
    """A job whose client is connected; what is queued for it can be read."""

    def __init__(self, nodes: int = 3, client_id: str | None = "me"):
        self.job = Job("p", 0, {str(node): {"class_type": "X"} for node in range(nodes)}, client_id=client_id)
        self.hub = Hub()
        self.client = Client(None, "me", OPERATOR)  # type: ignore[arg-type] - nothing is sent, only queued
        self.hub._clients["me"] = [self.client]
        self.finished: list[tuple[str, float]] = []
        self.messages = RunMessages(self.job, self.hub, lambda kind, seconds: self.finished.append((kind, seconds)))

    def heard(self) -> list[tuple[str, dict[str, Any]]]:
        return heard(self.client)

    def run_node(self, node_id: str, seconds: float = 0.5, parent: str | None = None) -> None:
        shown = parent or node_id
        self.messages.handle(events.NodeStarted("p", node_id, shown, "X", parent))
        self.messages.handle(events.NodeFinished("p", node_id, shown, "X", seconds))


def test_progress_state_comes_at_most_ten_times_a_second_and_the_last_always() -> None:
    async def body() -> list[dict[str, Any]]:
        listening = Listening()
        loop = asyncio.get_running_loop()
        listening.messages.handle(events.NodeStarted("p", "0", "0", "X"))
        begin = loop.time()
        steps = 0
        while loop.time() < begin + 0.55 or steps <= 50:
            steps += 1
            listening.messages.handle(events.NodeProgress("p", "0", "0", steps, 1_000_000))
            await asyncio.sleep(0.001)
        listening.messages.handle(events.NodeFinished("p", "0", "0", "X", 0.5))
        listening.messages.ended(events.RunSucceeded("p"))
        found = [data for name, data in listening.heard() if name == "progress_state"]
        assert 2 <= len(found) <= (loop.time() - begin) / STATE_INTERVAL + 3
        return found

    last = asyncio.run(body())[-1]["nodes"]["0"]
    assert last == {
        "value": 1_000_000,
        "max": 1_000_000,
        "state": "finished",
        "node_id": "0",
        "prompt_id": "p",
        "display_node_id": "0",
        "parent_node_id": None,
        "real_node_id": "0",
    }


def test_progress_state_holds_the_latest_nodes() -> None:
    async def body() -> None:
        listening = Listening()
        for number in range(STATE_NODES + 100):
            listening.run_node(str(number))
        listening.messages.ended(events.RunSucceeded("p"))
        state = [data["nodes"] for name, data in listening.heard() if name == "progress_state"][-1]
        assert list(state) == [str(number) for number in range(100, STATE_NODES + 100)]

    asyncio.run(body())


def test_nodes_of_an_expansion_count_for_the_node_that_was_placed() -> None:
    async def body() -> None:
        listening = Listening()
        listening.run_node("0.0.1", 0.5, parent="0")
        listening.run_node("0", 0.25)
        listening.messages.handle(events.NodeOutput("p", "0.0.1", "0", {"text": ["a"]}))
        assert listening.job.timings == {"0": 0.75}
        assert listening.finished == [("X", 0.5), ("X", 0.25)]
        assert listening.job.meta["0.0.1"] == {
            "node_id": "0.0.1",
            "display_node": "0",
            "parent_node": "0",
            "real_node_id": "0",
        }
        executed = [data for name, data in listening.heard() if name == "executed"]
        assert executed == [{"node": "0.0.1", "display_node": "0", "output": {"text": ["a"]}, "prompt_id": "p"}]

    asyncio.run(body())


def test_progress_goes_from_nothing_to_all() -> None:
    async def body() -> None:
        listening = Listening(nodes=4)
        seen = [listening.messages.progress]
        listening.messages.handle(events.NodesCached("p", ("0",)))
        seen.append(listening.messages.progress)
        listening.messages.handle(events.NodeStarted("p", "1", "1", "X"))
        listening.messages.handle(events.NodeProgress("p", "1", "1", 1, 2))
        seen.append(listening.messages.progress)
        listening.messages.handle(events.NodeFinished("p", "1", "1", "X", 0.1))
        seen.append(listening.messages.progress)
        listening.messages.ended(events.RunSucceeded("p"))
        seen.append(listening.messages.progress)
        assert seen == [0.0, 0.25, 0.375, 0.5, 1.0]

    asyncio.run(body())


def test_sampling_takes_most_of_the_progress() -> None:
    sampler = {"class_type": "KSampler", "inputs": {"latent_image": ["2", 0], "steps": 20}}
    weights = node_weights({"1": {"class_type": "Loader", "inputs": {}}, "2": {"class_type": "Size"}, "3": sampler})
    assert weights["1"] == weights["2"] == 1 and weights["3"] > 10


def test_a_blocked_node_is_told_and_the_run_goes_on_to_success() -> None:
    async def body() -> None:
        listening = Listening()
        listening.messages.handle(events.NodeBlocked("p", "1", "1", "X", "not today"))
        listening.messages.send_end(listening.messages.ended(events.RunSucceeded("p")))
        names = [name for name, _ in listening.heard()]
        assert names == ["execution_error", "execution_success", "executing"]
        assert listening.job.history_status()["status_str"] == "success"
        assert [event for event, _ in listening.job.messages] == ["execution_success"]

    asyncio.run(body())


def test_a_job_without_a_client_is_told_to_nobody_but_its_interruption_to_all() -> None:
    async def body() -> None:
        listening = Listening(client_id=None)
        listening.messages.handle(events.RunStarted("p"))
        listening.run_node("0")
        listening.messages.send_end(listening.messages.ended(events.RunInterrupted("p", "0", "X", ("0",))))
        ((name, data),) = listening.heard()
        assert name == "execution_interrupted"
        assert (data["prompt_id"], data["node_id"], data["executed"]) == ("p", "0", ["0"])
        assert listening.job.status == "interrupted"

    asyncio.run(body())


def test_numbers_that_json_has_not_become_null() -> None:
    async def body() -> None:
        listening = Listening()
        listening.messages.handle(events.NodeOutput("p", "0", "0", {"loss": [float("nan"), 1.5, {"x": float("inf")}]}))
        ((_, data),) = listening.heard()
        assert data["output"] == {"loss": [None, 1.5, {"x": None}]}

    asyncio.run(body())
