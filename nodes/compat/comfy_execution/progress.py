"""``comfy_execution.progress``: the progress of nodes."""

from __future__ import annotations

from enum import Enum
from typing import Any

from graph.context import current
from nodes.compat.progress import report


class NodeState(Enum):
    """The state of a node in a run."""

    Pending = "pending"
    Running = "running"
    Finished = "finished"
    Error = "error"


class ProgressRegistry:
    """Receives progress reports. Reports about nodes other than the running one are ignored, because only the engine
    decides which node runs."""

    @property
    def prompt_id(self) -> str:
        """Return the id of the run of this thread."""
        context = current()
        return context.run_id if context is not None else ""

    def update_progress(self, node_id: str, value: float, max_value: float, image: Any = None) -> None:
        """Report ``value`` of ``max_value``; ``image`` is a preview: (format, Pillow image, largest side)."""
        report(current(), value, max_value, image)

    def start_progress(self, node_id: str) -> None:
        """Do nothing: the engine reports when a node starts."""

    def finish_progress(self, node_id: str) -> None:
        """Do nothing: the engine reports when a node is done."""


_registry = ProgressRegistry()


def get_progress_state() -> ProgressRegistry:
    """Return the object that receives progress reports."""
    return _registry
