"""Sends the events of one run to its listener."""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from graph.errors import NodeError
from graph.events import (
    Event,
    Listener,
    NodeBlocked,
    NodeFinished,
    NodeOutput,
    NodeStarted,
    RunFailed,
    RunInterrupted,
)
from graph.plan.node_state import NodeState


class EventEmitter:
    """Calls the listener in order, on the thread that made the emitter.

    Events from other threads (asynchronous nodes, threads that a node started) are queued until
    :meth:`emit_queued`; ``wake`` then wakes the run's thread.
    """

    def __init__(self, run_id: str, listener: Listener | None, wake: Callable[[], None]):
        self.run_id = run_id
        self.outputs: dict[str, Mapping[str, Any]] = {}
        """The data that each output node has shown, by node id."""
        self._listener = listener
        self._wake = wake
        self._thread = threading.get_ident()
        self._queued: deque[Event] = deque()
        self._executed: list[str] = []
        self._current: NodeState | None = None

    def emit(self, event: Event) -> None:
        """Send ``event``, after the queued ones."""
        if self._listener is None:
            return
        if threading.get_ident() == self._thread:
            if self._queued:
                self.emit_queued()
            self._listener(event)
        else:
            self._queued.append(event)
            self._wake()

    def emit_queued(self) -> None:
        """Send the events that other threads have queued."""
        while self._queued and self._listener is not None:
            self._listener(self._queued.popleft())

    def close(self) -> None:
        """Drop all later events, since the run has ended."""
        self._listener = None

    def node_started(self, state: NodeState) -> None:
        self._current = state
        if self._listener is not None:
            parent = state.parent.id if state.parent else None
            self.emit(NodeStarted(self.run_id, state.id, state.display_id, state.kind.name, parent))

    def node_output(self, state: NodeState, ui: Mapping[str, Any], cached: bool = False) -> None:
        self.outputs[state.id] = ui
        self.emit(NodeOutput(self.run_id, state.id, state.display_id, ui, cached))

    def node_blocked(self, state: NodeState, message: str) -> None:
        self.emit(NodeBlocked(self.run_id, state.id, state.display_id, state.kind.name, message))

    def node_finished(self, state: NodeState, seconds: float) -> None:
        self._current = None
        self._executed.append(state.id)
        if self._listener is not None:
            self.emit(NodeFinished(self.run_id, state.id, state.display_id, state.kind.name, seconds))

    def run_failed(self, error: NodeError) -> None:
        cause = error.cause
        self.emit(
            RunFailed(
                self.run_id,
                error.node_id,
                error.real_node_id,
                error.class_type,
                type(cause).__name__,
                str(cause),
                tuple(traceback.format_exception(cause)),
                error.current_inputs,
                tuple(self._executed),
            )
        )

    def run_interrupted(self) -> None:
        placed = self._current.placed() if self._current else None
        node_id, class_type = (placed.id, placed.kind.name) if placed else (None, None)
        self.emit(RunInterrupted(self.run_id, node_id, class_type, tuple(self._executed)))
