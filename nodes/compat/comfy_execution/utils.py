"""``comfy_execution.utils``: which node is running on this thread or task."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any, NamedTuple

from graph.context import current


class ExecutionContext(NamedTuple):
    """The run, the node, and the number of its call if its inputs are lists."""

    prompt_id: str
    node_id: str
    list_index: int | None


_said: ContextVar[ExecutionContext | None] = ContextVar("node said to be executing", default=None)


def get_executing_context() -> ExecutionContext | None:
    """Return the node that is running on this thread or task, if one is."""
    said = _said.get()
    if said is not None:
        return said
    context = current()
    return None if context is None else ExecutionContext(context.run_id, context.node_id, context.call_index)


class CurrentNodeContext:
    """Marks a node as running on this thread within a ``with`` block, for threads that a node starts."""

    def __init__(self, prompt_id: str, node_id: str, list_index: int | None = None):
        self._context = ExecutionContext(prompt_id, node_id, list_index)
        self._token: Token[ExecutionContext | None] | None = None

    def __enter__(self) -> CurrentNodeContext:
        self._token = _said.set(self._context)
        return self

    def __exit__(self, *_: Any) -> None:
        assert self._token is not None
        _said.reset(self._token)
