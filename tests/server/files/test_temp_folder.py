from __future__ import annotations

import os
from pathlib import Path

from server.files.temp_folder import sweep


def test_old_files_go_and_nothing_else(tmp_path: Path) -> None:
    temp, elsewhere = tmp_path / "temp", tmp_path / "elsewhere"
    (temp / "deep").mkdir(parents=True)
    elsewhere.mkdir()
    for path in (temp / "old.png", temp / "deep" / "old.png", elsewhere / "old.png"):
        path.touch()
        os.utime(path, (0, 0))
    (temp / "new.png").touch()
    (temp / "link.png").symlink_to(elsewhere / "old.png")
    (temp / "linked").symlink_to(elsewhere)
    assert sweep(temp) == 2
    assert sorted(path.name for path in temp.iterdir()) == ["deep", "link.png", "linked", "new.png"]
    assert (elsewhere / "old.png").exists()


def test_there_may_be_no_temp_folder(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none") == 0
