"""Turns the events of a run into messages for clients and into the job's record."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from graph import events
from server.http.hub import Hub, text_on_node
from server.store.jobs import Job
from server.workers.interface import Outcome

STATE_INTERVAL: Final = 0.1
"""Least number of seconds between two ``progress_state`` messages."""
STATE_NODES: Final = 500
"""A ``progress_state`` message holds at most this many nodes, the latest ones."""
_SAMPLING_WEIGHT: Final = 50.0
"""How much a node that samples counts for the progress of a run; another node counts 1."""


class _State(NamedTuple):
    """One node in ``progress_state``."""

    display_node_id: str
    state: str
    value: float
    maximum: float


def node_weights(prompt: Mapping[str, Any]) -> dict[str, float]:
    """Return how much each node of an API graph counts for the progress of its run.

    Nodes with an input ``latent_image``, as all samplers have, take most of the time.
    """
    weights = {}
    for node_id, node in prompt.items():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        samples = isinstance(inputs, Mapping) and "latent_image" in inputs
        weights[node_id] = _SAMPLING_WEIGHT if samples else 1.0
    return weights


class DoneNodes:
    """The placed nodes of a run that are done, and the sum of their ``weights``."""

    def __init__(self, weights: Mapping[str, float]):
        self.weight = 0.0
        self._weights = weights
        self._ids: set[str] = set()

    def add(self, node_ids: Iterable[str]) -> None:
        """Count nodes as done, each once."""
        for node_id in node_ids:
            if node_id not in self._ids:
                self._ids.add(node_id)
                self.weight += self._weights.get(node_id, 0.0)


class RunMessages:
    """Handles the events of one attempt at ``job`` and sends messages to its client.

    ``progress`` is the estimated share of the run that is done, 0..1; ``node`` is the placed node that runs now.
    ``node_finished`` is called with class and seconds of every node that ran.
    """

    def __init__(self, job: Job, hub: Hub, node_finished: Callable[[str, float], None] = lambda kind, seconds: None):
        self.node: str | None = None
        self._job = job
        self._hub = hub
        self._node_finished = node_finished
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._parents: dict[str, str | None] = {}
        self._weights = node_weights(job.prompt)
        self._weight = sum(self._weights.values()) or 1.0
        self._done = DoneNodes(self._weights)
        self._part = 0.0
        self._state_due: asyncio.TimerHandle | None = None
        self._state_sent = 0.0

    @property
    def progress(self) -> float:
        """The share of placed nodes that are done, by weight, including the done part of the one that runs now."""
        if self._job.status == "success":
            return 1.0
        return self._share_of(self._done)

    def _share_of(self, done: DoneNodes) -> float:
        """Return the share of the run that is done if the nodes ``done`` are, with the done part of the current one."""
        current = 0.0 if self.node is None else self._weights.get(self.node, 0.0)
        return min(1.0, (done.weight + self._part * current) / self._weight)

    def handle(self, event: events.Event) -> None:
        """Handle one event of the run, on the event loop. Raises TypeError for an event that only ends a run."""
        handle = _HANDLERS.get(type(event))
        if handle is None:
            raise TypeError(f"{type(event).__name__} is not an event that a run sends before it ends")
        handle(self, event)

    def ended(self, outcome: Outcome) -> list[tuple[str, dict[str, Any]]]:
        """Record on the job how the run ended. Returns the messages to send once the job is stored."""
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
        """Send the messages from :meth:`ended`. Without a client, only an interruption is sent, to everyone."""
        for event, data in messages:
            if self._job.client_id is not None or event == "execution_interrupted":
                self._hub.send(self._job.client_id, event, data, self._job.user)

    def abandon(self) -> None:
        """Stop sending messages, since this attempt has ended."""
        if self._state_due is not None:
            self._state_due.cancel()

    def greeting(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the messages for a client that reconnects during its run."""
        if self.node is None:
            return []
        return [("executing", {"node": self.node, "display_node": self.node, "prompt_id": self._job.prompt_id})]

    # -- one method per event ------------------------------------------------------------------------------------

    def _run_started(self, event: events.RunStarted) -> None:
        self._send("execution_start", self._stamped(), remember=True)

    def _nodes_cached(self, event: events.NodesCached) -> None:
        self._done.add(event.node_ids)
        self._job.cached = list(event.node_ids)
        self._send("execution_cached", self._stamped({"nodes": list(event.node_ids)}), remember=True)

    def _node_started(self, event: events.NodeStarted) -> None:
        self.node = event.display_node_id
        self._part = 0.0
        self._parents[event.node_id] = event.parent_node_id
        self._set_state(event.node_id, event.display_node_id, "running", 0, 1)
        self._send(
            "executing",
            {"node": event.node_id, "display_node": event.display_node_id, "prompt_id": self._job.prompt_id},
        )

    def _node_progress(self, event: events.NodeProgress) -> None:
        self._part = event.value / event.maximum if event.maximum > 0 else 0.0
        self._set_state(event.node_id, event.display_node_id, "running", event.value, event.maximum)
        self._send(
            "progress",
            {
                "value": event.value,
                "max": event.maximum,
                "prompt_id": self._job.prompt_id,
                "node": event.node_id,
            },
        )

    def _node_preview(self, event: events.NodePreview) -> None:
        if self._job.client_id is None:
            return
        metadata = self._names(event.node_id, event.display_node_id, event.parent_node_id)
        self._hub.send_preview(self._job.client_id, metadata, event.format, event.data, self._job.user)

    def _node_text(self, event: events.NodeText) -> None:
        if self._job.client_id is not None:
            self._hub.send_binary(self._job.client_id, text_on_node(event.node_id, event.text), self._job.user)

    def _node_output(self, event: events.NodeOutput) -> None:
        output = dict(event.ui)
        self._job.outputs[event.node_id] = output
        self._job.meta[event.node_id] = {
            "node_id": event.node_id,
            "display_node": event.display_node_id,
            "parent_node": self._parents.get(event.node_id),
            "real_node_id": event.display_node_id,
        }
        self._send(
            "executed",
            {
                "node": event.node_id,
                "display_node": event.display_node_id,
                "output": output,
                "prompt_id": self._job.prompt_id,
            },
        )

    def _node_ended(self, event: events.NodeFinished) -> None:
        self._part = 0.0
        if event.node_id == event.display_node_id:
            self._done.add([event.node_id])
        timings = self._job.timings
        timings[event.display_node_id] = timings.get(event.display_node_id, 0.0) + event.seconds
        state = self._states.get(event.node_id)
        maximum = 1 if state is None else state.maximum
        self._set_state(event.node_id, event.display_node_id, "finished", maximum, maximum)
        self._node_finished(event.class_type, event.seconds)

    def _node_blocked(self, event: events.NodeBlocked) -> None:
        """Report the node's error. The run continues, so the job does not fail."""
        self._send(
            "execution_error",
            self._stamped(
                {
                    **self._failing_nodes(
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

    # -- internals-----------------------------------------------------------------------------------------------

    def _send(self, event: str, data: Mapping[str, Any], remember: bool = False) -> None:
        if remember:
            self._job.messages.append([event, data])
        if self._job.client_id is not None:
            self._hub.send(self._job.client_id, event, data, self._job.user)

    def _stamped(self, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {"prompt_id": self._job.prompt_id, **(data or {}), "timestamp": int(time.time() * 1000)}

    def _failed(self, outcome: events.RunFailed) -> dict[str, Any]:
        return {
            **self._failing_nodes(outcome.node_id, outcome.real_node_id, outcome.class_type, outcome.message),
            "executed": list(outcome.executed),
            "exception_type": outcome.exception_type,
            "traceback": list(outcome.traceback),
            "current_inputs": dict(outcome.current_inputs),
            "current_outputs": list(outcome.executed),
        }

    def _failing_nodes(self, node_id: str, inner_id: str, class_type: str, message: str) -> dict[str, Any]:
        """Return the nodes that the error ``message`` belongs to: the placed node ``node_id`` and, if it expanded, the
        inner node ``inner_id`` of ``class_type``. Clients know only the placed node."""
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
        states = self._states
        states[node_id] = _State(display_node_id, state, value, maximum)
        states.move_to_end(node_id)
        if len(states) > STATE_NODES:
            states.popitem(last=False)
        if self._state_due is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._state_sent + STATE_INTERVAL - loop.time())
            self._state_due = loop.call_later(wait, self._send_state)

    def _send_state(self) -> None:
        self._state_due = None
        self._state_sent = asyncio.get_running_loop().time()
        nodes = {
            node_id: {
                "value": state.value,
                "max": state.maximum,
                "state": state.state,
                **self._names(node_id, state.display_node_id, self._parents.get(node_id)),
            }
            for node_id, state in self._states.items()
        }
        self._send("progress_state", {"prompt_id": self._job.prompt_id, "nodes": nodes})

    def _send_state_now(self) -> None:
        if self._state_due is not None:
            self._state_due.cancel()
            self._send_state()


_HANDLERS: Final[Mapping[type, Callable[[RunMessages, Any], None]]] = {
    events.RunStarted: RunMessages._run_started,
    events.NodesCached: RunMessages._nodes_cached,
    events.NodeStarted: RunMessages._node_started,
    events.NodeProgress: RunMessages._node_progress,
    events.NodePreview: RunMessages._node_preview,
    events.NodeText: RunMessages._node_text,
    events.NodeOutput: RunMessages._node_output,
    events.NodeFinished: RunMessages._node_ended,
    events.NodeBlocked: RunMessages._node_blocked,
}


def _interrupted(outcome: events.RunInterrupted) -> dict[str, Any]:
    return {"node_id": outcome.node_id, "node_type": outcome.class_type, "executed": list(outcome.executed)}
