"""Contexts for calling nodes that read and write files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from graph.context import PreviewImage
from graph.folders import Folders
from graph.run.journal import RunJournal


@dataclass
class NodeContext:
    """A context for direct calls of nodes, with its own folders and journal."""

    folders: Folders
    run_id: str = "run"
    node_id: str = "1"
    call_index: int = 0
    expansion_prefix: str = "1.0."
    shown: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._journal = RunJournal(self.folders.user / "journal", self.run_id).of(self.node_id, self.call_index)

    def progress(self, value: float, maximum: float, preview: Callable[[], PreviewImage] | None = None) -> None: ...

    def check_interrupted(self) -> None: ...

    def show_text(self, text: str) -> None:
        self.shown.append(text)

    def show_warning(self, text: str) -> None:
        self.warnings.append(text)

    def journal(self, path: str, index: int | None = None) -> None:
        self._journal.note(path, index)

    def journalled(self, index: int) -> str | None:
        return self._journal.find(index)

    def again(self) -> NodeContext:
        """The context of another attempt at the same run."""
        return NodeContext(self.folders)


@pytest.fixture
def context(tmp_path: Path) -> NodeContext:
    for name in ("input", "output", "temp", "user"):
        (tmp_path / name).mkdir()
    return NodeContext(Folders(tmp_path / "input", tmp_path / "output", tmp_path / "temp", tmp_path / "user"))
