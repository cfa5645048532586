"""Saved files are complete or absent, and never replace another."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from graph.errors import InputFileError, OutputFileError
from graph.folders import Folders
from graph.results import SavedFile
from nodes.saving import save_files


def text(content: str) -> Any:
    return lambda file: file.write(content.encode())


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_counters_go_on_from_the_largest(context: Any) -> None:
    (context.folders.output / "cat_00007_.txt").write_text("there")
    saved = save_files(context, [text("a"), text("b")], prefix="cat", suffix=".txt")
    assert saved == [SavedFile("cat_00008_.txt"), SavedFile("cat_00009_.txt")]
    assert (context.folders.output / "cat_00009_.txt").read_text() == "b"
    assert files_below(context.folders.output) == ["cat_00007_.txt", "cat_00008_.txt", "cat_00009_.txt"]


def test_a_prefix_may_hold_folders_sizes_and_the_number_in_the_batch(context: Any) -> None:
    saved = save_files(
        context, [text("a"), text("b")], prefix="x/y/%batch_num%_%width%x%height%", suffix=".txt", width=8, height=9
    )
    assert saved == [SavedFile("0_8x9_00001_.txt", "x/y"), SavedFile("1_8x9_00002_.txt", "x/y")]


def test_a_prefix_never_leaves_the_folder(context: Any) -> None:
    with pytest.raises(InputFileError):
        save_files(context, [text("a")], prefix="../outside", suffix=".txt")
    assert list(context.folders.output.parent.glob("outside*")) == []


def test_files_may_go_to_the_temp_folder(context: Any) -> None:
    assert save_files(context, [text("a")], prefix="p", suffix=".txt", folder="temp") == [
        SavedFile("p_00001_.txt", "", "temp")
    ]
    assert files_below(context.folders.temp) == ["p_00001_.txt"]


def test_a_taken_name_is_left_alone(context: Any) -> None:
    def write_while_another_takes_the_name(file: BinaryIO) -> None:
        (context.folders.output / "cat_00001_.txt").write_text("theirs")
        file.write(b"ours")

    saved = save_files(context, [write_while_another_takes_the_name], prefix="cat", suffix=".txt")
    assert saved == [SavedFile("cat_00002_.txt")]
    assert (context.folders.output / "cat_00001_.txt").read_text() == "theirs"
    assert (context.folders.output / "cat_00002_.txt").read_text() == "ours"


def test_a_folder_without_hard_links_is_no_different(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: object, target: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    (context.folders.output / "cat_00001_.png").write_text("theirs")
    save_files(context, [text("a"), text("b")], prefix="cat", suffix=".txt")
    assert (context.folders.output / "cat_00003_.txt").read_text() == "b"
    assert files_below(context.folders.output) == ["cat_00001_.png", "cat_00002_.txt", "cat_00003_.txt"]


def _save_many(context: Any, name: str) -> None:
    for number in range(40):
        run = replace(context, run_id=f"{name} {number}")
        save_files(run, [text(f"{name} {number}")], prefix="shared", suffix=".txt")


def test_two_processes_never_take_the_same_counter(context: Any) -> None:
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_save_many, args=(context, name)) for name in ("one", "two")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    contents = {path.read_text() for path in context.folders.output.iterdir()}
    assert contents == {f"{name} {number}" for name in ("one", "two") for number in range(40)}


def test_a_second_attempt_does_not_save_twice(context: Any) -> None:
    first = save_files(context, [text("a"), text("b")], prefix="cat", suffix=".txt")
    again = context.again()
    assert save_files(again, [text("a"), text("b")], prefix="cat", suffix=".txt") == first
    assert len(files_below(context.folders.output)) == 2
    third = again.again()
    assert save_files(third, [text("a"), text("b")], prefix="cat", suffix=".txt") == first


def test_a_second_attempt_saves_what_the_first_did_not(context: Any) -> None:
    save_files(context, [text("a"), text("b")], prefix="cat", suffix=".txt")
    (context.folders.output / "cat_00002_.txt").unlink()
    save_files(context.again(), [text("a"), text("b")], prefix="cat", suffix=".txt")
    assert files_below(context.folders.output) == ["cat_00001_.txt", "cat_00002_.txt"]


def test_a_second_attempt_knows_its_own_file_where_another_took_the_first_name(context: Any) -> None:
    def write_while_another_takes_the_name(file: BinaryIO) -> None:
        (context.folders.output / "cat_00001_.txt").write_text("theirs")
        file.write(b"ours")

    writers = [write_while_another_takes_the_name, text("second")]
    first = save_files(context, writers, prefix="cat", suffix=".txt")
    assert save_files(context.again(), writers, prefix="cat", suffix=".txt") == first
    assert [file.filename for file in first] == ["cat_00002_.txt", "cat_00003_.txt"]


def test_a_second_attempt_elsewhere_saves_there(context: Any) -> None:
    save_files(context, [text("a")], prefix="cat", suffix=".txt")
    context.folders = replace(context.folders, output=context.folders.output / "elsewhere")
    save_files(context.again(), [text("a")], prefix="dog", suffix=".txt")
    assert files_below(context.folders.output) == ["dog_00001_.txt"]


def test_a_writer_that_fails_leaves_nothing(context: Any) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        save_files(context, [text("whole"), write], prefix="cat", suffix=".txt")
    assert files_below(context.folders.output) == ["cat_00001_.txt"]


def test_a_file_the_system_will_not_let_grow_leaves_nothing(context: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OutputFileError, match=r"cat_00001_\.txt.*larger than the system allows"):
            save_files(context, [text("x" * 10_000)], prefix="cat", suffix=".txt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_below(context.folders.output) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_no_space_is_said(context: Any) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"half")
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"the rest")

    with pytest.raises(OutputFileError, match="disk is full: free some space"):
        save_files(context, [write], prefix="cat", suffix=".txt")
    assert files_below(context.folders.output) == []


_FILL_A_DISK = """
import json, sys
from pathlib import Path
import torch
from graph.errors import OutputFileError
from graph.folders import Folders
from nodes.pictures.saving import save_png

class Context:
    node_id = "1"
    folders = Folders(*[Path(sys.argv[1])] * 4)
    def check_interrupted(self): pass
    def journal(self, path, index): pass
    def journalled(self, index): return None

noise = torch.rand(4, 128, 128, 3, generator=torch.Generator().manual_seed(0))
try:
    save_png(Context(), noise, prefix="noise")
except OutputFileError as error:
    print(error)
    print(json.dumps(sorted(path.name for path in Path(sys.argv[1]).iterdir())))
"""


def test_a_disk_that_fills_up_keeps_the_whole_pictures_only(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=128k tmpfs "$1" && exec "$2" -c "$3" "$1"'
    arguments = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    try:
        done = subprocess.run(
            [*arguments, str(tmp_path), sys.executable, _FILL_A_DISK],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("small file systems cannot be mounted here")
    message, left = done.stdout.splitlines()
    assert "noise_00003_.png" in message and "disk is full" in message
    assert json.loads(left) == ["noise_00001_.png", "noise_00002_.png"]


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs /proc")
def test_a_folder_that_cannot_be_written_to(context: Any) -> None:
    # Permission bits do not stop root; nobody can make files in /proc.
    context.folders = replace(context.folders, output=Path("/proc/self"))
    with pytest.raises(OutputFileError, match=r"/proc/self.*--output-directory"):
        save_files(context, [text("a")], prefix="cat", suffix=".txt")


def test_a_folder_that_is_a_file(context: Any) -> None:
    (context.folders.output / "taken").write_text("a file")
    with pytest.raises(OutputFileError, match="taken"):
        save_files(context, [text("a")], prefix="taken/cat", suffix=".txt")


def test_a_name_too_long_for_the_file_system(context: Any) -> None:
    with pytest.raises((OutputFileError, InputFileError), match="long"):
        save_files(context, [text("a")], prefix="x" * 250, suffix=".txt")
    assert files_below(context.folders.output) == []


def _die_while_writing(folders: Folders, context: Any) -> None:
    def write(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    save_files(context, [text("whole"), write], prefix="cat", suffix=".txt")


def test_a_killed_process_leaves_no_half_file_under_a_real_name(context: Any) -> None:
    process = multiprocessing.get_context("fork").Process(target=_die_while_writing, args=(context.folders, context))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [path.name for path in context.folders.output.glob("[!.]*")] == ["cat_00001_.txt"]
