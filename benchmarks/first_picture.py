"""Seconds to the first picture, in a new process and from a server that has just started.

    python benchmarks/first_picture.py [--repeat 3] [--against DIR] [--json]

``main.py run`` draws workflows/text_to_image.json with the embedded model: no results are cached, the files are in the
system's memory (a run before the measured ones sees to that) and Python's compiled files exist. ``--against`` names
another checkout of Sumi, which is run in turns with this one. CPU time counts all threads of the process, its start and
its end.

The server is asked for two pictures, one after the other, when its worker has been ready for a while. They differ in
the seed and the prompt, so the second is sampled and encoded as well; the first also loads the model.

ComfyUI is not run here. Measured elsewhere, on a machine of the same size: 16 s until it listens.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.running_server import ROOT, children, cpu_seconds, free_port, get, process, until
from graph import load
from nodes import registry

WORKFLOW = "workflows/text_to_image.json"
SETTLED = 10
"""Seconds after ``/readyz`` in which the worker warms up."""

Numbers = dict[str, float]


def environment() -> dict[str, str]:
    """This environment, in which Python writes compiled files."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def folders(base: str) -> list[str]:
    return [f"--{name}-directory={base}/{name}" for name in ("output", "input", "user", "temp")]


def drawn(checkout: Path) -> Numbers:
    """Draw one picture in a new process of that checkout."""
    with tempfile.TemporaryDirectory() as base:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        command = [sys.executable, "main.py", "run", WORKFLOW, "--cpu", *folders(base)]
        subprocess.run(command, cwd=checkout, env=environment(), check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def in_turns(checkouts: dict[str, Path], repeat: int) -> dict[str, Numbers]:
    """The best of each checkout, by name. Each first draws one picture that does not count."""
    for checkout in checkouts.values():
        drawn(checkout)
    best: dict[str, Numbers] = {}
    for _ in range(repeat):
        for name, checkout in checkouts.items():
            found = drawn(checkout)
            best[name] = {key: min(value, best.get(name, found)[key]) for key, value in found.items()}
    return best


def prompt(seed: int, text: str) -> dict[str, Any]:
    """The default workflow in API format with that seed and text."""
    api = load(ROOT / WORKFLOW, registry()).to_api()
    next(node for node in api.values() if node["class_type"] == "CLIPTokenize")["inputs"]["text"] = text
    next(node for node in api.values() if node["class_type"] == "KSampler")["inputs"]["seed"] = seed
    return api


def served(port: int, body: dict[str, Any]) -> float:
    """Seconds from ``POST /prompt`` to the end of the job."""
    name = uuid.uuid4().hex
    data = json.dumps({"prompt": body, "prompt_id": name}).encode()
    began = time.perf_counter()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/prompt", data, headers={"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).close()
    while (status := get(port, f"/jobs/{name}?wait=60")["status"]) in ("pending", "running"):
        pass
    if status != "success":
        raise RuntimeError(f"the job ended with {status}")
    return time.perf_counter() - began


def pictures_of_a_server() -> dict[str, Numbers]:
    """Start a server and ask it for three pictures."""
    port = free_port()
    bodies = [prompt(seed, text) for seed, text in ((1, "a red circle"), (2, "a blue square"), (3, "a green star"))]
    with tempfile.TemporaryDirectory() as base:
        began = time.perf_counter()
        with process("main.py", "--port", str(port), "--cpu", *folders(base)) as server:
            until(lambda: get(port, "/readyz")["ready"], "a worker's start")
            found = {"server: until /readyz": {"seconds": time.perf_counter() - began}}
            time.sleep(SETTLED)
            pids = [server.pid, *children(server.pid)]
            for name, body in zip(("first", "second", "third"), bodies, strict=True):
                before = sum(map(cpu_seconds, pids))
                seconds = served(port, body)
                found[f"server: {name} picture"] = {"seconds": seconds, "cpu": sum(map(cpu_seconds, pids)) - before}
    return found


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout of Sumi, with its .venv")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    checkouts = {"main.py run": ROOT}
    if options.against:
        checkouts[f"main.py run, {options.against.name}"] = options.against
    found = {**in_turns(checkouts, options.repeat), **pictures_of_a_server()}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{os.cpu_count()} cores; {WORKFLOW}, the embedded model; best of {options.repeat}\n")
    for name, numbers in found.items():
        cpu = f"   {numbers['cpu']:.2f} s of CPU time" if "cpu" in numbers else ""
        print(f"{name:28}{numbers['seconds']:>7.2f} s{cpu}")
    print("\nComfyUI, measured elsewhere: 16 s until it listens")


if __name__ == "__main__":
    main()
