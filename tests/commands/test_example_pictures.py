"""Examples load pictures that come with Sumi: they are in the input folder before a workflow needs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.example_pictures import PICTURES, copy_example_pictures, copy_named_pictures
from graph.folders import Folders
from graph.formats import load
from nodes import registry

WORKFLOWS = PICTURES.parent


def folders_in(home: Path) -> Folders:
    return Folders(home / "input", home / "output", home / "temp", home / "user")


def test_all_are_copied_and_none_is_replaced(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    copy_example_pictures(folders)
    names = sorted(path.name for path in PICTURES.glob("*.png"))
    assert folders.names("input") == names and len(names) == 2
    (folders.input / names[0]).write_bytes(b"mine")
    copy_example_pictures(folders)
    assert (folders.input / names[0]).read_bytes() == b"mine"


def test_a_run_copies_those_that_its_workflow_names(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    copy_named_pictures(load(WORKFLOWS / "text_to_image.json", registry()), folders)
    assert folders.names("input") == []
    copy_named_pictures(load(WORKFLOWS / "inpaint.json", registry()), folders)
    assert folders.names("input") == ["example_dog-mask.png"]


def test_a_folder_that_cannot_be_written_to_is_only_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "input").write_text("a file")
    copy_example_pictures(folders_in(tmp_path))
    assert "cannot copy the example picture" in caplog.text
