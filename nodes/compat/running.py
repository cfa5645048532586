"""The run that is going on here, for what packs call: its node, and how it is stopped."""

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
    """Stop here if the run was asked to. Raises Interrupted."""
    if (context := current()) is not None:
        context.check_interrupted()


def interrupt(value: bool = True) -> None:
    """Stop the run at its next tick: from inside one of its nodes, a pack's route, or a thread of its own."""
    if value and line.interrupt is not None:
        line.interrupt()
