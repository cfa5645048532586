"""The current run, for functions that packs call: its node, and how to stop it."""

from __future__ import annotations

from graph.context import Context, current
from nodes.compat import line


def running_node(what: str) -> Context:
    """The context of the node that is running on this thread or task. Raises RuntimeError, which names ``what``."""
    context = current()
    if context is None:
        raise RuntimeError(f"{what} only while a node is running")
    return context


def check_interrupted() -> None:
    """Raise Interrupted if the run should stop."""
    if (context := current()) is not None:
        context.check_interrupted()


def interrupt(value: bool = True) -> None:
    """Stop the run at its next tick. Callable in a node, in a pack's route and in other threads."""
    if value and line.interrupt is not None:
        line.interrupt()
