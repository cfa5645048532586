"""What nodes that read and write files are called with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from graph.context import PreviewImage
from graph.folders import Folders


@dataclass
class NodeContext:
    """A context for nodes called by hand: folders of its own, and a journal that a second attempt can be given."""

    folders: Folders
    earlier: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    run_id: str = "run"
    node_id: str = "1"
    call_index: int = 0
    expansion_prefix: str = "1.0."

    def progress(self, value: float, maximum: float, preview: Callable[[], PreviewImage] | None = None) -> None: ...

    def check_interrupted(self) -> None: ...

    def show_text(self, text: str) -> None:
        self.shown.append(text)

    def journal(self, path: str) -> None:
        self.written.append(path)

    def journalled(self, index: int) -> str | None:
        found = self.earlier[index] if index < len(self.earlier) else None
        return found if found and Path(found).exists() else None

    def again(self) -> NodeContext:
        """The context of a second attempt at the same run."""
        return NodeContext(self.folders, earlier=list(self.written))


@pytest.fixture
def context(tmp_path: Path) -> NodeContext:
    for name in ("input", "output", "temp", "user"):
        (tmp_path / name).mkdir()
    return NodeContext(Folders(tmp_path / "input", tmp_path / "output", tmp_path / "temp", tmp_path / "user"))
