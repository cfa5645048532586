"""What goes wrong before anything is installed is said in one line that says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def install(place: Path, before: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of install.py in ``place`` after the statements ``before``."""
    for name in ("install.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, place)
    code = f"import sys, runpy; sys.argv = {['install.py', *arguments]!r}; {before}; runpy.run_path('install.py')"
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(place)}
    return subprocess.run([sys.executable, "-c", code], cwd=place, env=environment, capture_output=True, text=True)


def test_an_old_python_is_told_which_one_is_needed(tmp_path: Path) -> None:
    ran = install(tmp_path, "sys.version_info = (3, 9, 2)")
    assert ran.returncode == 1
    assert (
        ran.stderr
        == "error: Sumi needs Python 3.11 or newer, this is 3.9; say which to use: make PYTHON=python3.12 …\n"
    )


def test_a_missing_venv_module_names_the_debian_package(tmp_path: Path) -> None:
    ran = install(tmp_path, "sys.modules['ensurepip'] = None")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: ")
    assert ran.stderr.endswith(f"apt-get install python{version}-venv\n")


def test_without_gpu_or_network_it_says_what_is_smaller_and_then_what_failed(tmp_path: Path) -> None:
    no_gpu = (
        "import os, shutil; real = os.path.exists; shutil.which = lambda name: None;"
        "os.path.exists = lambda path: not str(path).startswith('/dev/') and real(path)"
    )
    ran = install(tmp_path, no_gpu)
    assert "several GB" in ran.stdout
    assert "make TORCH=" in ran.stdout
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("error: pip could not install torch ")
    assert not (tmp_path / ".venv" / "installed").exists()
