"""The :class:`graph.context.Context` that a running node receives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from graph.context import PreviewImage
from graph.events import NodePreview, NodeProgress, NodeText
from graph.folders import Folders
from graph.plan.node_state import NodeState
from graph.run.emitter import EventEmitter
from graph.run.expansion import expansion_prefix
from graph.run.journal import NodeJournal, RunJournal


@dataclass(frozen=True, slots=True)
class RunContext:
    """The parts of a run that its nodes' contexts use.

    ``previews``: whether a client shows previews. ``check_interrupted`` raises Interrupted if the run was asked
    to stop.
    """

    run_id: str
    folders: Folders | None
    journal: RunJournal
    emitter: EventEmitter
    previews: bool
    check_interrupted: Callable[[], None]


class NodeContext:
    """The context of one call of one node."""

    __slots__ = ("_journal", "_run", "_state", "_warnings", "call_index")

    def __init__(self, run: RunContext, state: NodeState, call_index: int):
        self._run = run
        self._state = state
        self._journal: NodeJournal | None = None
        self._warnings: tuple[str, ...] = ()
        self.call_index = call_index

    @property
    def run_id(self) -> str:
        return self._run.run_id

    @property
    def node_id(self) -> str:
        return self._state.id

    @property
    def folders(self) -> Folders:
        if self._run.folders is None:
            raise RuntimeError("this engine was made without folders")
        return self._run.folders

    @property
    def expansion_prefix(self) -> str:
        return expansion_prefix(self._state.id, self._state.placed_id, self.call_index)

    def progress(self, value: float, maximum: float, preview: Callable[[], PreviewImage] | None = None) -> None:
        run, state = self._run, self._state
        run.check_interrupted()
        run.emitter.emit(NodeProgress(run.run_id, state.id, state.display_id, min(max(value, 0), maximum), maximum))
        if run.previews and preview is not None:
            image = preview()
            parent = state.parent.id if state.parent else None
            run.emitter.emit(NodePreview(run.run_id, state.id, state.display_id, image.format, image.data, parent))

    def check_interrupted(self) -> None:
        self._run.check_interrupted()

    def show_text(self, text: str) -> None:
        self._run.emitter.emit(NodeText(self._run.run_id, self._state.id, self._state.display_id, text))

    def show_warning(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings += (text,)
            self.show_text("\n".join(self._warnings))

    def journal(self, path: str, index: int | None = None) -> None:
        self._own_journal().note(path, index)

    def journalled(self, index: int) -> str | None:
        return self._own_journal().find(index)

    def _own_journal(self) -> NodeJournal:
        if self._journal is None:
            state = self._state
            name = state.id if state.key is None or state.never_same else state.key
            self._journal = self._run.journal.of(name, self.call_index)
        return self._journal
