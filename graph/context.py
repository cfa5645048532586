"""The context of a running node: progress, folders, and its place in the run."""

from __future__ import annotations

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
        """Report ``value`` of ``maximum`` steps; ``preview`` is called only if somebody looks.

        Raises :class:`graph.errors.Interrupted` if the run was asked to stop.
        """

    def check_interrupted(self) -> None:
        """Raise :class:`graph.errors.Interrupted` if the run was asked to stop."""

    def show_text(self, text: str) -> None:
        """Show a line of text on the node while it runs."""

    def journal(self, path: str, index: int | None = None) -> None:
        """Note that the file ``path`` is about to appear, so that a job that is run again
        after a crash does not save it twice. ``index`` says which of the call's files it is
        (default: the next one); a later note for it counts, should the first name be taken."""

    def journalled(self, index: int) -> str | None:
        """The ``index``-th path this node journalled in an earlier attempt at the same run,
        if that file is there now."""


_current: ContextVar[Context | None] = ContextVar("sumi_executing_node", default=None)


def current() -> Context | None:
    """The context of the node that is running on this thread or task, if one is."""
    return _current.get()


class executing:
    """Make ``context`` the :func:`current` one for the duration of a node's call."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context):
        self._context = context

    def __enter__(self) -> None:
        self._token = _current.set(self._context)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
