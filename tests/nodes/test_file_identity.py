"""A file is identified by its bytes, also as a copy with another name; until they are hashed, by its place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from graph.content import content_hash
from graph.errors import InputFileError
from nodes.file_identity import FileIdentities

ROOT = Path(__file__).parents[2]
SIZE = 9 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(os.urandom(1 << 20) * 9)
    return path


def rewritten(path: Path, change: int | None = None) -> None:
    """Change one byte in the middle, or none, without another size."""
    data = bytearray(path.read_bytes())
    if change is not None:
        data[len(data) // 2] ^= change
    path.write_bytes(data)


def test_a_copy_and_a_renamed_file_are_the_same(tmp_path: Path, file: Path) -> None:
    identities = FileIdentities(tmp_path / "identities")
    original = identities.of(file)
    copy = shutil.copy(file, tmp_path / "copy.ckpt")
    assert identities.of(Path(copy)).content == original.content == content_hash(file)
    assert identities.of(Path(copy)).place != original.place
    file.rename(tmp_path / "renamed.safetensors")
    assert FileIdentities(tmp_path / "others").of(tmp_path / "renamed.safetensors").content == original.content


def test_one_changed_value_in_the_middle_is_another_file(tmp_path: Path, file: Path) -> None:
    identities = FileIdentities(tmp_path / "identities", at_once=0)
    before = waited(identities, file)
    rewritten(file, change=1)
    after = waited(identities, file)
    assert before.content is not None and after.content is not None
    assert after.content != before.content and after.place != before.place


def waited(identities: FileIdentities, path: Path):  # type: ignore[no-untyped-def]
    identities.of(path)
    identities.wait()
    return identities.of(path)


def test_a_large_file_is_told_by_its_place_until_it_is_hashed(tmp_path: Path, file: Path) -> None:
    identities = FileIdentities(tmp_path / "identities", at_once=SIZE - 1)
    first = identities.of(file)
    identities.wait()
    later = identities.of(file)
    assert first.content is None and str(file) in first.place and str(SIZE) in first.place
    assert later.place == first.place and later.content == content_hash(file)


def test_a_hash_is_computed_once_for_each_path_size_and_time(tmp_path: Path, file: Path) -> None:
    before = FileIdentities(tmp_path / "identities").of(file)
    times = file.stat()
    rewritten(file, change=1)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    # Had it been read again, the hash would be another.
    assert FileIdentities(tmp_path / "identities", at_once=0).of(file) == before
    os.utime(file)
    assert FileIdentities(tmp_path / "identities").of(file).content == content_hash(file) != before.content


def test_a_memory_that_is_damaged_is_made_again(tmp_path: Path, file: Path) -> None:
    expected = FileIdentities(tmp_path / "identities").of(file)
    (written,) = (tmp_path / "identities").iterdir()
    for damage in (b"", b"[1, 2", b"{}", b"[1, 2, 3]", b'"abc"', b"\xff"):
        written.write_bytes(damage)
        assert FileIdentities(tmp_path / "identities").of(file) == expected


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path, file: Path) -> None:
    (tmp_path / "identities").write_text("a file")
    assert FileIdentities(tmp_path / "identities").of(file).content == content_hash(file)


def test_many_processes_and_threads_at_once(tmp_path: Path, file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nodes.file_identity import FileIdentities\n"
        "identities = FileIdentities(Path(sys.argv[1]), at_once=0); path = Path(sys.argv[2])\n"
        "identities.of(path); identities.wait(); print(identities.of(path).content)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "identities"), str(file)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    identities = FileIdentities(tmp_path / "identities")
    found: list[str | None] = []
    threads = [threading.Thread(target=lambda: found.append(identities.of(file).content)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found += [process.communicate()[0].strip() for process in processes]
    assert found == [content_hash(file)] * 7
    assert [path.suffix for path in (tmp_path / "identities").iterdir()] == [".json"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"gone\.safetensors: cannot be read: No such file"):
        FileIdentities(tmp_path / "identities").of(tmp_path / "gone.safetensors")
