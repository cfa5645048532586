"""From what a run says to what clients are told, and to what the job remembers."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import singledispatchmethod
from typing import Any, Final

from graph import events
from server.http.hub import Hub, text_on_node
from server.store.jobs import Job
from server.workers.interface import Outcome

STATE_INTERVAL: Final = 0.1
"""Seconds between two ``progress_state``."""
STATE_NODES: Final = 500
"""A ``progress_state`` holds this many nodes, the latest."""


class RunMessages:
    """Listens to one attempt at ``job`` and speaks to its client.

    ``progress`` is how much of the run is done, 0..1, as far as one can know; ``node`` the placed
    node at work. ``node_finished`` is told class and seconds of every node that ran.
    """

    def __init__(self, job: Job, hub: Hub, node_finished: Callable[[str, float], None] = lambda kind, seconds: None):
        self.node: str | None = None
        self._job = job
        self._hub = hub
        self._node_finished = node_finished
        self._states: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._parents: dict[str, str | None] = {}
        self._done: set[str] = set()
        self._part = 0.0
        self._state_due: asyncio.TimerHandle | None = None
        self._state_sent = 0.0

    @property
    def progress(self) -> float:
        """Nodes done, and the part done of the one at work, of all placed nodes."""
        if self._job.status == "success":
            return 1.0
        return min(1.0, (len(self._done) + self._part) / max(1, len(self._job.prompt)))

    def handle(self, event: events.Event) -> None:
        """Take in one event of the run, on the event loop."""
        self._on(event)

    def ended(self, outcome: Outcome) -> list[tuple[str, dict[str, Any]]]:
        """Set on the job how the run ended; the messages to send once that is stored."""
        self._send_state_now()
        match outcome:
            case events.RunSucceeded():
                self._job.status = "success"
                last = ("execution_success", self._stamped())
            case events.RunInterrupted():
                self._job.status = "interrupted"
                last = ("execution_interrupted", self._stamped(_interrupted(outcome)))
            case events.RunFailed():
                self._job.status = "error"
                last = ("execution_error", self._stamped(self._failed(outcome)))
                self._job.error = last[1]
        self._job.messages.append([last[0], last[1]])
        return [last, ("executing", {"node": None, "prompt_id": self._job.prompt_id})]

    def send_end(self, messages: list[tuple[str, dict[str, Any]]]) -> None:
        """Send what :meth:`ended` gave. Of a job without a client only an interruption is told, to everyone."""
        for event, data in messages:
            if self._job.client_id is not None or event == "execution_interrupted":
                self._hub.send(self._job.client_id, event, data)

    def abandon(self) -> None:
        """The run goes no further; nothing more is sent."""
        if self._state_due is not None:
            self._state_due.cancel()

    def greeting(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the messages for a client that reconnects during its run."""
        if self.node is None:
            return []
        return [("executing", {"node": self.node, "display_node": self.node, "prompt_id": self._job.prompt_id})]

    # -- one method per event ------------------------------------------------------------------------------------

    @singledispatchmethod
    def _on(self, event: Any) -> None:
        raise TypeError(f"{type(event).__name__} is not an event that a run sends before its end")

    @_on.register
    def _(self, event: events.RunStarted) -> None:
        self._say("execution_start", self._stamped(), remember=True)

    @_on.register
    def _(self, event: events.NodesCached) -> None:
        self._done.update(event.node_ids)
        self._job.cached = list(event.node_ids)
        self._say("execution_cached", self._stamped({"nodes": list(event.node_ids)}), remember=True)

    @_on.register
    def _(self, event: events.NodeStarted) -> None:
        self.node = event.display_node_id
        self._part = 0.0
        self._parents[event.node_id] = event.parent_node_id
        self._set_state(event.node_id, event.display_node_id, "running", 0, 1)
        self._say(
            "executing",
            {"node": event.node_id, "display_node": event.display_node_id, "prompt_id": self._job.prompt_id},
        )

    @_on.register
    def _(self, event: events.NodeProgress) -> None:
        self._part = event.value / event.maximum if event.maximum > 0 else 0.0
        self._set_state(event.node_id, event.display_node_id, "running", event.value, event.maximum)
        self._say(
            "progress",
            {
                "value": event.value,
                "max": event.maximum,
                "prompt_id": self._job.prompt_id,
                "node": event.node_id,
            },
        )

    @_on.register
    def _(self, event: events.NodePreview) -> None:
        if self._job.client_id is None:
            return
        metadata = self._names(event.node_id, event.display_node_id, event.parent_node_id)
        self._hub.send_preview(self._job.client_id, metadata, event.format, event.data)

    @_on.register
    def _(self, event: events.NodeText) -> None:
        if self._job.client_id is not None:
            self._hub.send_binary(self._job.client_id, text_on_node(event.node_id, event.text))

    @_on.register
    def _(self, event: events.NodeOutput) -> None:
        output = dict(event.ui)
        self._job.outputs[event.node_id] = output
        self._job.meta[event.node_id] = {
            "node_id": event.node_id,
            "display_node": event.display_node_id,
            "parent_node": self._parents.get(event.node_id),
            "real_node_id": event.display_node_id,
        }
        self._say(
            "executed",
            {
                "node": event.node_id,
                "display_node": event.display_node_id,
                "output": output,
                "prompt_id": self._job.prompt_id,
            },
        )

    @_on.register
    def _(self, event: events.NodeFinished) -> None:
        self._part = 0.0
        if event.node_id == event.display_node_id:
            self._done.add(event.node_id)
        timings = self._job.timings
        timings[event.display_node_id] = timings.get(event.display_node_id, 0.0) + event.seconds
        maximum = self._states.get(event.node_id, {}).get("max", 1)
        self._set_state(event.node_id, event.display_node_id, "finished", maximum, maximum)
        self._node_finished(event.class_type, event.seconds)

    @_on.register
    def _(self, event: events.NodeBlocked) -> None:
        """The run goes on: the node's error is told, and is not the job's."""
        self._say(
            "execution_error",
            self._stamped(
                {
                    **self._at_fault(
                        event.display_node_id, event.node_id, event.class_type, f"Execution blocked: {event.message}"
                    ),
                    "executed": [],
                    "exception_type": "ExecutionBlocked",
                    "traceback": [],
                    "current_inputs": {},
                    "current_outputs": [],
                }
            ),
        )

    # -- within --------------------------------------------------------------------------------------------------

    def _say(self, event: str, data: Mapping[str, Any], remember: bool = False) -> None:
        if remember:
            self._job.messages.append([event, data])
        if self._job.client_id is not None:
            self._hub.send(self._job.client_id, event, data)

    def _stamped(self, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {"prompt_id": self._job.prompt_id, **(data or {}), "timestamp": int(time.time() * 1000)}

    def _failed(self, outcome: events.RunFailed) -> dict[str, Any]:
        return {
            **self._at_fault(outcome.node_id, outcome.real_node_id, outcome.class_type, outcome.message),
            "executed": list(outcome.executed),
            "exception_type": outcome.exception_type,
            "traceback": list(outcome.traceback),
            "current_inputs": dict(outcome.current_inputs),
            "current_outputs": list(outcome.executed),
        }

    def _at_fault(self, node_id: str, inner_id: str, class_type: str, message: str) -> dict[str, Any]:
        """Whose error ``message`` is: that of the placed node ``node_id`` and, where that one expanded, also
        that of the node inside, ``inner_id`` of ``class_type``. Clients know the placed one only."""
        if inner_id == node_id:
            return {"node_id": node_id, "node_type": class_type, "exception_message": message}
        placed_type = self._job.prompt.get(node_id, {}).get("class_type", class_type)
        inside = f"in node {inner_id} ({class_type}), made by node {node_id} ({placed_type})"
        return {
            "node_id": node_id,
            "node_type": placed_type,
            "inner_node_id": inner_id,
            "inner_node_type": class_type,
            "exception_message": f"{message}\n{inside}",
        }

    def _names(self, node_id: str, display_node_id: str, parent_node_id: str | None) -> dict[str, Any]:
        return {
            "node_id": node_id,
            "prompt_id": self._job.prompt_id,
            "display_node_id": display_node_id,
            "parent_node_id": parent_node_id,
            "real_node_id": display_node_id,
        }

    def _set_state(self, node_id: str, display_node_id: str, state: str, value: float, maximum: float) -> None:
        if self._job.client_id is None:
            return
        names = self._names(node_id, display_node_id, self._parents.get(node_id))
        self._states[node_id] = {"value": value, "max": maximum, "state": state, **names}
        self._states.move_to_end(node_id)
        while len(self._states) > STATE_NODES:
            self._states.popitem(last=False)
        if self._state_due is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._state_sent + STATE_INTERVAL - loop.time())
            self._state_due = loop.call_later(wait, self._send_state)

    def _send_state(self) -> None:
        self._state_due = None
        self._state_sent = asyncio.get_running_loop().time()
        self._say("progress_state", {"prompt_id": self._job.prompt_id, "nodes": dict(self._states)})

    def _send_state_now(self) -> None:
        if self._state_due is not None:
            self._state_due.cancel()
            self._send_state()


def _interrupted(outcome: events.RunInterrupted) -> dict[str, Any]:
    return {"node_id": outcome.node_id, "node_type": outcome.class_type, "executed": list(outcome.executed)}
