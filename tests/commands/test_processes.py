"""How a process of the command line ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_what_was_printed_arrives_and_functions_for_the_exit_are_called() -> None:
    found = ended(
        "import atexit, sys; from commands.processes import leave\n"
        "atexit.register(lambda: print('asked', flush=False))\n"
        "print('printed', end=' '); print('noted', end='', file=sys.stderr); leave(3)"
    )
    assert (found.returncode, found.stdout, found.stderr) == (3, "printed asked\n", "noted")


def test_threads_that_must_finish_do_finish() -> None:
    found = ended(
        "import threading, time; from commands.processes import leave\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('finished'))).start(); leave(2)"
    )
    assert (found.returncode, found.stdout) == (2, "finished\n")


def test_an_output_that_nobody_reads_is_no_error() -> None:
    code = "import os; from commands.processes import leave; print('x' * 10); os.close(1); leave(0)"
    found = ended(code)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_profiler_still_reports(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom commands.processes import leave; leave(0)")
    command = [sys.executable, "-m", "cProfile", str(script)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0 and "function calls" in found.stdout
