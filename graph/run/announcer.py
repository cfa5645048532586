"""What a run says, to whom it may concern."""

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


class Announcer:
    """Calls the listener on the thread it was made on, in order. What other threads say (asynchronous
    nodes, a node's own threads) is said at the next opportunity; ``wake`` tells the run of it."""

    def __init__(self, run_id: str, listener: Listener | None, wake: Callable[[], None]):
        self.run_id = run_id
        self.outputs: dict[str, Mapping[str, Any]] = {}
        self._listener = listener
        self._wake = wake
        self._thread = threading.get_ident()
        self._posted: deque[Event] = deque()
        self._executed: list[str] = []
        self._current: NodeState | None = None

    def emit(self, event: Event) -> None:
        """Say ``event``."""
        if self._listener is None:
            return
        if threading.get_ident() == self._thread:
            if self._posted:
                self.say_posted()
            self._listener(event)
        else:
            self._posted.append(event)
            self._wake()

    def say_posted(self) -> None:
        """Say what other threads had to say."""
        while self._posted and self._listener is not None:
            self._listener(self._posted.popleft())

    def close(self) -> None:
        """The run is over: who still has something to say is not heard."""
        self._listener = None

    def started(self, state: NodeState) -> None:
        self._current = state
        if self._listener is not None:
            parent = state.parent.id if state.parent else None
            self.emit(NodeStarted(self.run_id, state.id, state.display_id, state.kind.name, parent))

    def shown(self, state: NodeState, ui: Mapping[str, Any], cached: bool = False) -> None:
        self.outputs[state.id] = ui
        self.emit(NodeOutput(self.run_id, state.id, state.display_id, ui, cached))

    def blocked(self, state: NodeState, message: str) -> None:
        self.emit(NodeBlocked(self.run_id, state.id, state.display_id, state.kind.name, message))

    def finished(self, state: NodeState) -> None:
        self._current = None
        self._executed.append(state.id)
        if self._listener is not None:
            self.emit(NodeFinished(self.run_id, state.id, state.display_id, state.kind.name, state.seconds))

    def failed(self, error: NodeError) -> None:
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

    def interrupted(self) -> None:
        placed = self._current.placed() if self._current else None
        node_id, class_type = (placed.id, placed.kind.name) if placed else (None, None)
        self.emit(RunInterrupted(self.run_id, node_id, class_type, tuple(self._executed)))
