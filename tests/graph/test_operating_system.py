"""The other systems' behaviour, simulated: locked files, no hard links, no SIGKILL, folders that cannot be opened."""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from graph import operating_system
from graph.operating_system import (
    allow_many_open_files,
    flush_file,
    flush_folder,
    kill_session,
    name_new_file,
    print_any_text,
    replace_file,
    violent_end,
)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "a.part"
    path.write_bytes(b"new")
    return path


def locked(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """Let os.replace fail ``times`` times, as Windows does while another process has the file open."""
    calls: list[str] = []
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        calls.append(str(target))
        if len(calls) <= times:
            raise PermissionError(errno.EACCES, "Access is denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(operating_system, "_PAUSE", 0.0)
    return calls


def test_a_file_that_is_open_elsewhere_is_replaced_when_it_is_closed(
    part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    calls = locked(monkeypatch, 3)
    replace_file(part, target, windows=True)
    assert (target.read_bytes(), len(calls), part.exists()) == (b"new", 4, False)


def test_a_file_that_stays_open_is_an_error(part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = locked(monkeypatch, 10**6)
    with pytest.raises(PermissionError):
        replace_file(part, tmp_path / "a", windows=True)
    assert len(calls) > 10
    calls.clear()
    with pytest.raises(PermissionError):
        replace_file(part, tmp_path / "a", windows=False)
    assert len(calls) == 1  # elsewhere it is a matter of permissions, which waiting does not change


@pytest.mark.parametrize("number", [None, errno.EPERM, errno.ENOTSUP, errno.EINVAL])
def test_a_new_name_never_replaces_a_file(
    number: int | None, part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if number is not None:  # a file system without hard links

        def link(*_: Any) -> None:
            raise OSError(number, "no hard links here")

        monkeypatch.setattr(os, "link", link)
    (tmp_path / "taken").write_bytes(b"old")
    assert not name_new_file(part, tmp_path / "taken")
    assert name_new_file(part, tmp_path / "free")
    assert ((tmp_path / "taken").read_bytes(), (tmp_path / "free").read_bytes()) == (b"old", b"new")


def test_a_full_disk_leaves_no_empty_file(part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", fails)
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError):
        name_new_file(part, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_windows_opens_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush_folder(tmp_path)

    def refused(*_: Any) -> int:
        raise PermissionError(errno.EACCES, "a folder cannot be opened")

    monkeypatch.setattr(os, "open", refused)
    flush_folder(tmp_path, windows=True)
    with pytest.raises(PermissionError):
        flush_folder(tmp_path, windows=False)


def test_a_file_is_flushed_through_a_handle_that_may_write(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flags.append(os.write(descriptor, b"n")))
    flush_file(part)
    assert (flags, part.read_bytes()) == ([1], b"new")


def test_without_the_module_resource_the_limit_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def imported(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "resource":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", imported)
    allow_many_open_files()


def test_every_text_can_be_printed_into_a_pipe_and_on_a_poor_terminal() -> None:
    text = ascii("5 → 熊猫")  # the command line would be in the poor encoding, too
    code = f"import sys; from graph.operating_system import print_any_text; print_any_text(sys.stdout); print({text})"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment.pop("PYTHONIOENCODING", None)
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True)
    assert ran.stdout.decode().rstrip() == "5 → 熊猫"

    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    terminal = Terminal(io.BytesIO(), encoding="cp1252", errors="strict")
    print_any_text(terminal)
    terminal.write("5 → é")
    terminal.flush()
    assert terminal.buffer.getvalue() == "5 ? é".encode("cp1252")


def test_how_a_process_ended_is_said_for_each_system() -> None:
    assert violent_end(-15, windows=False) == "it was stopped by SIGTERM"
    assert violent_end(-9, windows=False) == "it was killed by SIGKILL"
    assert violent_end(-11, windows=False) == "it was killed by SIGSEGV"
    assert violent_end(-500, windows=False) == "it was killed by signal 500"
    assert violent_end(3, windows=False) is violent_end(0, windows=False) is violent_end(1, windows=True) is None
    # Windows has no signals; asyncio may show the status as a signed or an unsigned number.
    assert violent_end(3221225477, windows=True) == "it crashed with an access violation (0xC0000005)"
    assert violent_end(-1073741819, windows=True) == "it crashed with an access violation (0xC0000005)"
    assert violent_end(-9, windows=True) is None


def test_no_signal_of_unix_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows' signal module lacks SIGKILL: no module may name it. One may import fcntl, inside its functions."""
    monkeypatch.delattr(signal, "SIGKILL")
    assert violent_end(-2, windows=False) == "it was killed by SIGINT"
    root = Path(__file__).parents[2]
    named = [
        str(path.relative_to(root))
        for folder in ("commands", "graph", "nodes", "server")
        for path in (root / folder).rglob("*.py")
        if "signal.SIGKILL" in (text := path.read_text(encoding="utf-8"))
        or "os.fork" in text
        or (re.search(r"^ *import fcntl", text, re.MULTILINE) and path != root / "graph" / "operating_system.py")
        or re.search(r"^import fcntl", text, re.MULTILINE)
    ]
    assert named == []


def test_files_are_replaced_in_one_place() -> None:
    root = Path(__file__).parents[2]
    named = {
        path.relative_to(root).as_posix()
        for folder in ("commands", "graph", "nodes", "server")
        for path in (root / folder).rglob("*.py")
        if "os.replace(" in (text := path.read_text(encoding="utf-8")) or "os.link(" in text
    }
    assert named == {"graph/operating_system.py"}


@pytest.mark.skipif(not Path("/proc").exists(), reason="only where there is /proc")
def test_what_is_left_of_a_session_is_killed() -> None:
    leader = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!"], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    left = int(leader.stdout.readline())
    leader.wait()
    assert kill_session(leader.pid) == 1
    leader.stdout.read()  # ends with the last process that holds it
    late = time.monotonic() + 30
    while is_alive(left) and time.monotonic() < late:
        time.sleep(0.01)
    assert not is_alive(left)


def is_alive(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
