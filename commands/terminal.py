"""Shows a run on a terminal: one line for each node, a progress bar, and the paths of saved pictures."""

from __future__ import annotations

import os
import sys
from typing import Any

from graph import events
from graph.folders import Folders
from graph.results import files_in


class Terminal:
    """An event listener that prints. Progress bars need a terminal; in a pipe only the lines are printed."""

    def __init__(self, folders: Folders, titles: dict[str, str]):
        self._folders = folders
        self._titles = titles
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self.saved: list[str] = []

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.NodesCached(node_ids=node_ids) if node_ids:
                self._print(f"{len(node_ids)} {'node' if len(node_ids) == 1 else 'nodes'} already known")
            case events.NodeProgress(node_id=node_id, value=value, maximum=maximum):
                self._advance(node_id, event.display_node_id, value, maximum)
            case events.NodeFinished():
                self._finish(event)
            case events.NodeBlocked():
                self._print(f"{self._name(event.display_node_id, event.class_type)}: {event.message}")
            case events.NodeOutput():
                self._note_files(event)

    def heading(self, text: str) -> None:
        """Print ``text`` above the lines that follow."""
        self._print(text)

    def close(self) -> None:
        """Remove the progress bar from the terminal."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _advance(self, node_id: str, display_id: str, value: float, maximum: float) -> None:
        bars = self._started_bars()
        if bars is None:
            return
        if node_id not in self._tasks:
            self._tasks[node_id] = bars.add_task(self._name(display_id, ""), total=maximum)
        bars.update(self._tasks[node_id], completed=value, total=maximum)

    def _finish(self, event: events.NodeFinished) -> None:
        if event.node_id in self._tasks and self._bars is not None:
            self._bars.remove_task(self._tasks.pop(event.node_id))
        if event.seconds >= 0.01:
            self._print(f"{self._name(event.display_node_id, event.class_type):32} {event.seconds:7.2f} s")

    def _note_files(self, event: events.NodeOutput) -> None:
        for file in files_in(event.ui):
            if file.folder in ("output", "temp"):
                self.saved.append(str(self._folders.place(file.folder) / file.relative))

    def _name(self, node_id: str, class_type: str) -> str:
        return self._titles.get(node_id) or class_type or node_id

    def _print(self, line: str) -> None:
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False)
        else:
            print(line, flush=True)

    def _started_bars(self) -> Any:
        if self._bars is None and _may_be_terminal():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            console = Console()
            if not console.is_terminal:
                return None
            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._bars.start()
        return self._bars


def _may_be_terminal() -> bool:
    """Whether to ask rich if standard output is a terminal: importing it takes time."""
    return sys.stdout.isatty() or not os.environ.keys().isdisjoint({"FORCE_COLOR", "TTY_COMPATIBLE"})
