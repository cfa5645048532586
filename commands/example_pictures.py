"""Puts the pictures that the examples load into the input folder."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from commands.options import ROOT
from graph import Workflow
from graph.folders import Folders

log = logging.getLogger(__name__)

PICTURES: Final = ROOT / "workflows" / "pictures"


def copy_example_pictures(folders: Folders) -> None:
    """Copy every picture of the examples to the input folder, except those that are there."""
    _copy(sorted(PICTURES.glob("*.png")), folders)


def copy_named_pictures(workflow: Workflow, folders: Folders) -> None:
    """Copy the pictures of the examples that a workflow names to the input folder, except those that are there."""
    named = {value for node in workflow.nodes.values() for value in node.inputs.values() if isinstance(value, str)}
    _copy([path for path in sorted(PICTURES.glob("*.png")) if path.name in named], folders)


def _copy(pictures: Iterable[Path], folders: Folders) -> None:
    for picture in pictures:
        target = folders.input / picture.name
        try:
            if not target.exists():
                folders.input.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(picture, target)
        except OSError as error:
            log.warning("cannot copy the example picture %s to %s: %s", picture.name, folders.input, error)
