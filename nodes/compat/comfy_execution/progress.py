"""``comfy_execution.progress``: how far a node is."""

from __future__ import annotations

from enum import Enum
from typing import Any

from graph.context import current
from nodes.compat.progress import report


class NodeState(Enum):
    """Of a node in a run."""

    Pending = "pending"
    Running = "running"
    Finished = "finished"
    Error = "error"


class ProgressRegistry:
    """Takes reports of progress. What is reported of another node than the running one is not told:
    who runs is the engine's to say."""

    @property
    def prompt_id(self) -> str:
        """The run that is going on, as far as this thread knows."""
        context = current()
        return context.run_id if context is not None else ""

    def update_progress(self, node_id: str, value: float, max_value: float, image: Any = None) -> None:
        """``value`` of ``max_value`` is done; ``image`` is a preview: (format, Pillow image, largest side)."""
        report(current(), value, max_value, image)

    def start_progress(self, node_id: str) -> None:
        """The engine says when a node starts."""

    def finish_progress(self, node_id: str) -> None:
        """The engine says when a node is done."""


_registry = ProgressRegistry()


def get_progress_state() -> ProgressRegistry:
    """Where to report progress."""
    return _registry
