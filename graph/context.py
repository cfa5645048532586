"""The context of a running node: progress, folders, and its place in the run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple, Protocol

from graph.folders import Folders


class PreviewImage(NamedTuple):
    """An encoded picture: ``format`` is JPEG or PNG."""

    format: str
    data: bytes


class Context(Protocol):
    """Passed to a node function's parameter of this type.

    ``expansion_prefix`` is ``{node_id}.{call}.`` or, deep in a loop, a hash of it: the ID prefix of the
    nodes that this call's expansion creates. ``call_index`` counts the calls when inputs are lists.
    """

    @property
    def run_id(self) -> str: ...

    @property
    def node_id(self) -> str: ...

    @property
    def call_index(self) -> int: ...

    @property
    def folders(self) -> Folders: ...

    @property
    def expansion_prefix(self) -> str: ...

    def progress(self, value: float, maximum: float, preview: Callable[[], PreviewImage] | None = None) -> None:
        """Report that ``value`` of ``maximum`` steps are done. ``preview`` is called only if a client shows previews.

        Raises :class:`graph.errors.Interrupted` if the run was asked to stop.
        """

    def check_interrupted(self) -> None:
        """Raise :class:`graph.errors.Interrupted` if the run was asked to stop."""

    def show_text(self, text: str) -> None:
        """Show a line of text on the node while it runs."""

    def show_warning(self, text: str) -> None:
        """Show ``text`` on the node, below the warnings that this call has shown already."""

    def journal(self, path: str, index: int | None = None) -> None:
        """Record that the file ``path`` is about to be written, so that a job that runs again after a crash does not
        save it twice. ``index`` is the file's number among the files of this call (default: the next one). If the
        name turns out to be taken, record the new name under the same index; the last record counts."""

    def journalled(self, index: int) -> str | None:
        """Return the ``index``-th path that this node recorded in an earlier attempt at the same run,
        or None if that file does not exist."""


_current: ContextVar[Context | None] = ContextVar("sumi_executing_node", default=None)


def current() -> Context | None:
    """Return the context of the node that runs on this thread or task, or None."""
    return _current.get()


def warn(log: logging.Logger, message: str) -> None:
    """Log ``message`` as a warning, and show it on the node that is running, if there is one."""
    log.warning("%s", message, stacklevel=2)
    if (context := current()) is not None:
        context.show_warning(message)


class executing:
    """Make ``context`` the :func:`current` one while a node's function runs."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context):
        self._context = context

    def __enter__(self) -> None:
        self._token = _current.set(self._context)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
