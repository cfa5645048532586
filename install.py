"""Make .venv and install Sumi into it. Called by make; plain enough to run, and to complain, on an old Python.

python3 install.py [--extra test] [--torch SPEC]
"""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
PYTHON = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin", "python")


def fail(line):
    sys.exit("error: " + line)


def option(name, default=""):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def has_gpu():
    return (
        sys.platform == "darwin"
        or shutil.which("nvidia-smi") is not None
        or any(os.path.exists(path) for path in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
    )


def has_torch():
    return (
        os.path.exists(PYTHON)
        and subprocess.call(
            [PYTHON, "-c", "import importlib.metadata as m; m.version('torch')"], stderr=subprocess.DEVNULL
        )
        == 0
    )


def pip(*arguments):
    status = subprocess.call(
        [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"] + list(arguments)
    )
    if status:
        fail(
            "pip could not install " + " ".join(arguments) + " (its words are above). "
            "Without a network, point pip at a folder of wheels: PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR make …"
        )


def make_venv():
    try:
        import ensurepip  # noqa: F401 - Debian ships venv without it
        import venv  # noqa: F401
    except ImportError:
        version = "%d.%d" % sys.version_info[:2]
        fail(
            "this Python cannot make a virtual environment; install its venv module: "
            "apt-get install python" + version + "-venv"
        )
    if subprocess.call([sys.executable, "-m", "venv", VENV]):
        fail("python -m venv .venv failed (its words are above)")


def main():
    if sys.version_info < (3, 11):
        fail(
            "Sumi needs Python 3.11 or newer, this is %d.%d; say which to use: make PYTHON=python3.12 …"
            % sys.version_info[:2]
        )
    torch, extra = option("--torch", "torch"), option("--extra")
    if not os.path.exists(PYTHON):
        make_venv()
    if not has_torch():
        if torch == "torch" and not has_gpu():
            print(
                "No GPU seen here, and the default torch is a GPU build of several GB. A smaller one, from the CPU "
                "address that pytorch.org/get-started names: make TORCH='torch --index-url ADDRESS' …; "
                "or any build your index has: make TORCH=torch==2.13.0 …",
                flush=True,
            )
        print("Installing %s …" % torch, flush=True)
        pip(*torch.split())
    print("Installing Sumi%s …" % (" and what its %s needs" % extra if extra else ""), flush=True)
    pip("--editable", HERE + ("[%s]" % extra if extra else ""))
    if extra == "test":
        import tomllib

        with open(os.path.join(HERE, "pyproject.toml"), "rb") as file:
            bare = tomllib.load(file)["tool"]["sumi"]["test-without-dependencies"]
        pip("--no-deps", *bare)
    with open(os.path.join(VENV, "installed" + ("-" + extra if extra else "")), "w"):
        pass


main()
