"""Setting Sumi up, with make and without: what it does, and what it says if it cannot."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import install

ROOT = Path(__file__).parent.parent
MAIN = "import sys, install\ninstall.prepare(sys.argv[1:])\nprint(sys.argv[1:])\nsys.exit(7)\n"


def copied(place: Path) -> Path:
    """Copy what install.py needs into ``place``, with a main.py that only prepares itself."""
    for name in ("install.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, place)
    (place / "main.py").write_text(MAIN, encoding="utf-8")
    return place


def python(place: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(place)}
    if path is not None:
        environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)


def set_up(place: Path, before: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of install.py in ``place`` after the statements ``before``."""
    run = "runpy.run_path('install.py', run_name='__main__')"
    code = f"import sys, runpy; sys.argv = {['install.py', *arguments]!r}; {before}; {run}"
    return python(copied(place), "-c", code)


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_an_old_python_is_told_which_one_is_needed(tmp_path: Path) -> None:
    ran = set_up(tmp_path, "sys.version_info = (3, 9, 2)")
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: Sumi needs Python 3.11 or newer, this is 3.9; run `python3.12 install.py` or ")


def test_a_missing_venv_module_names_the_debian_package(tmp_path: Path) -> None:
    ran = set_up(tmp_path, "sys.modules['ensurepip'] = None")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: ")
    assert ran.stderr.endswith(f"apt-get install python{version}-venv\n")


@pytest.mark.slow
def test_without_gpu_or_network_it_says_what_is_smaller_and_then_what_failed(tmp_path: Path) -> None:
    no_gpu = (
        "import os, shutil; real = os.path.exists; shutil.which = lambda name: None;"
        "os.path.exists = lambda path: not str(path).startswith('/dev/') and real(path)"
    )
    ran = set_up(tmp_path, no_gpu)
    assert "several GB" in ran.stdout
    assert "make TORCH=" in ran.stdout and "python install.py --torch" in ran.stdout
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("error: pip could not install torch ")
    assert not (tmp_path / ".venv" / "installed").exists()


def test_an_unknown_step_is_refused(tmp_path: Path) -> None:
    ran = set_up(tmp_path, "pass", "--only", "everything")
    assert (ran.returncode, ran.stderr) == (1, "error: --only everything: expected packages, node, npm, editor\n")


def test_a_poor_encoding_is_no_error(tmp_path: Path) -> None:
    code = "import sys, install; sys.modules['ensurepip'] = None; install.main(['--only', 'packages'])"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=copied(tmp_path), env=environment, capture_output=True)
    assert ran.stderr.decode("ascii").startswith("error: this Python has no venv module")
    # The line that announces the build ends with an ellipsis.
    path = node(
        with_web(tmp_path) / "bin", "22.0.0", "mkdir -p node_modules dist; touch node_modules/.package-lock.json"
    )
    environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "install.py", "--only", "npm"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert (ran.returncode, ran.stdout.decode("ascii")) == (0, "Installing the packages of the editor's build ?\n")


def test_the_modules_are_those_of_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=~]", requirement)[0].lower() for requirement in project["dependencies"]}
    modules = {"pillow": "PIL", "pyyaml": "yaml"}
    assert {modules.get(name, name) for name in names} == set(install.MODULES)


def test_the_programs_of_a_virtual_environment_are_where_each_system_has_them() -> None:
    assert install.venv_python("v", windows=False) == os.path.join("v", "bin", "python")
    assert install.venv_python("v", windows=True) == os.path.join("v", "Scripts", "python.exe")


# -- main.py in a Python without packages: -S hides them


def test_a_bare_python_continues_in_the_virtual_environment(tmp_path: Path) -> None:
    copied(tmp_path)
    program(tmp_path / ".venv" / "bin" / "python", f'exec "{sys.executable}" "$@"')
    (tmp_path / ".venv" / "installed").touch()
    ran = python(tmp_path, "-S", "main.py", "run", "two words.json", "--cpu")
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "['run', 'two words.json', '--cpu']\n", "")


def test_on_windows_it_continues_in_a_child_with_the_same_status(tmp_path: Path) -> None:
    copied(tmp_path)
    code = "import sys, install; install.PYTHON = sys.executable; install.restart(['a b'], False, windows=True)"
    ran = python(tmp_path, "-c", code)
    assert (ran.returncode, ran.stdout) == (7, "['a b']\n"), ran.stderr


def test_without_a_virtual_environment_it_says_what_it_installs(tmp_path: Path) -> None:
    code = "import sys; sys.modules['ensurepip'] = None; import install; install.prepare(['run', 'x.json'])"
    ran = python(copied(tmp_path), "-S", "-c", code)
    assert ran.returncode == 1
    first, last = ran.stderr.splitlines()
    assert first.startswith(f"{sys.executable} lacks packages (aiohttp, networkx, ")
    assert first.endswith(f"). Installing Sumi's packages into {tmp_path / '.venv'} …")
    assert last.startswith("error: this Python has no venv module")


def test_an_incomplete_virtual_environment_is_completed_once(tmp_path: Path) -> None:
    """Pip does nothing here, so the packages stay missing: the second time that is an error, not a loop."""
    copied(tmp_path)
    program(tmp_path / ".venv" / "bin" / "python", f'[ "$2" = pip ] || exec "{sys.executable}" -S "$@"')
    (tmp_path / ".venv" / "installed").touch()
    ran = python(tmp_path, "-S", "main.py", "info")
    assert ran.returncode == 1
    said, error = ran.stderr.splitlines()
    assert "Installing Sumi's packages into" in said
    assert re.fullmatch(r"error: .*\.venv lacks packages \(aiohttp, .*\); delete it and run python install\.py", error)


def test_help_needs_no_packages() -> None:
    ran = python(ROOT, "-S", "main.py", "--help")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "export" in ran.stdout and "diff" in ran.stdout


# -- the editor


def node(place: Path, version: str, npm: str = "exit 0") -> Path:
    """Make a node and an npm that print ``version`` and run ``npm``. Returns their folder."""
    program(place / "node", f"echo v{version}")
    program(place / "npm", npm)
    return place


@pytest.mark.parametrize(
    ("version", "is_found"), [("18.20.1", False), ("20.18.3", False), ("20.19.0", True), ("22.1.0", True)]
)
def test_a_recent_node_is_found(version: str, is_found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "VENV", str(tmp_path / "no venv"))
    monkeypatch.setenv("PATH", f"{node(tmp_path / 'bin', version)}{os.pathsep}{os.environ['PATH']}")
    assert install.find_npm() == (str(tmp_path / "bin" / "npm") if is_found else None)


def with_web(place: Path) -> Path:
    copied(place)
    for name in ("index.html", "vite.config.ts", "package.json", "package-lock.json", "src/App.tsx"):
        (place / "web" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "web" / name).touch()
    return place


def test_the_editor_is_built_when_its_sources_changed(tmp_path: Path) -> None:
    with_web(tmp_path)
    log = tmp_path / "log"
    npm = f'echo "$@" >> "{log}"; mkdir -p node_modules dist; touch node_modules/.package-lock.json dist/index.html'
    path = node(tmp_path / "bin", "22.0.0", npm)
    for _ in range(2):
        assert python(tmp_path, "install.py", "--only", "editor", path=path).returncode == 0
    assert log.read_text().splitlines() == ["ci --silent", "run --silent build"]
    later = (tmp_path / "web" / "dist" / "index.html").stat().st_mtime + 5
    os.utime(tmp_path / "web" / "src" / "App.tsx", (later, later))
    assert python(tmp_path, "main.py", path=path).stdout == "Building the editor …\n[]\n"
    assert log.read_text().splitlines()[2:] == ["run --silent build"]


def test_packages_that_another_checkout_shares_are_not_removed(tmp_path: Path) -> None:
    shared = tmp_path / "other" / "node_modules"
    shared.mkdir(parents=True)
    (shared / ".package-lock.json").touch()
    os.utime(shared / ".package-lock.json", (1, 1))
    (with_web(tmp_path) / "web" / "node_modules").symlink_to(shared)
    path = node(tmp_path / "bin", "22.0.0", "echo npm runs >&2; exit 1")
    ran = python(tmp_path, "install.py", "--only", "npm", path=path)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_without_the_editor_s_sources_nothing_is_built(tmp_path: Path) -> None:
    ran = python(copied(tmp_path), "main.py", path=node(tmp_path / "bin", "22.0.0", "exit 1"))
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "[]\n", "")


def test_the_server_starts_although_the_editor_cannot_be_built(tmp_path: Path) -> None:
    path = node(with_web(tmp_path) / "bin", "22.0.0", "echo broken >&2; exit 1")
    ran = python(tmp_path, "main.py", path=path)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (7, "[]")
    assert ran.stderr == (
        "broken\nerror: npm ci --silent failed in web/ (its output is above)\nThe server runs without the editor.\n"
    )
