"""The folder of a training run, below output/training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graph.folders import Folders
from graph.results import SavedFile


def run_folder(folders: Folders, name: str) -> Path:
    """Return the folder of the run ``name``, and create it if necessary.

    Raises InputFileError for a name that leaves the output folder, OutputFileError if it cannot be created.
    """
    return folders.save_target(f"training/{name}/state").directory


def run_files(folders: Folders, *weights: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the data that the node shows after a run: the last sample grid, the loss curve and the weights' files."""
    folder = weights[0].parent
    shown = [*sorted(folder.glob("samples_*.png"))[-1:], *folder.glob("loss.png")]
    subfolder = folder.relative_to(folders.place("output")).as_posix()

    def entries(paths: list[Path]) -> list[dict[str, Any]]:
        return [SavedFile(path.name, subfolder, "output").as_ui() for path in paths]

    return {"images": entries(shown), "files": entries([*weights])}
