"""Nodes that do to a worker what real ones do to it on a bad day. For the tests alone."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from graph.content import content_hash
from graph.context import Context, PreviewImage
from graph.folders import Folders
from graph.node import Files, Hint, Range, Socket, UniqueId, node
from graph.results import NodeResult
from nodes.input_files import is_there

Thing = Annotated[Any, Socket("THING")]


@node("ProbeValue", category="probe")
def value(*, number: Annotated[int, Range(0, 1000)] = 1) -> Thing:
    """A number."""
    return number


@node("ProbeSteps", category="probe")
def steps(*, context: Context, thing: Thing, count: int = 3, seconds: float = 0.0, seed: int = 0) -> Thing:
    """Take ``count`` steps of ``seconds`` each, with a preview at each."""
    for step in range(count):
        time.sleep(seconds)
        context.progress(step + 1, count, lambda: PreviewImage("JPEG", b"\xff\xd8 a picture"))
    return thing


@node("ProbeDie", category="probe")
def die(*, thing: Thing, unless: str = "", seed: int = 0) -> Thing:
    """Kill the worker, unless the file ``unless`` is there; leave that file behind."""
    if unless and Path(unless).exists():
        return thing
    if unless:
        Path(unless).touch()
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)
    return thing


@node("ProbeEat", category="probe")
def eat(*, thing: Thing, megabytes: int = 100) -> Thing:
    """Take that much memory."""
    return (thing, len(bytearray(megabytes * 1024 * 1024)))[0]


@node("ProbeFail", category="probe")
def fail(*, thing: Thing, message: str = "no") -> Thing:
    """Raise."""
    raise ValueError(message)


@node("ProbeExit", category="probe")
def leave(*, thing: Thing) -> Thing:
    """Call sys.exit, as scripts do."""
    sys.exit(3)


@node("ProbeFork", category="probe")
def fork(*, thing: Thing) -> Thing:
    """Leave a process behind that shares every descriptor, then die."""
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
    return thing


@node("ProbePrint", category="probe")
def shout(*, thing: Thing) -> Thing:
    """Write where the messages to the server go, as libraries do."""
    print("printed by a node")
    os.write(1, b"written to descriptor 1 by a node\n")
    return thing


def _is_even(*, number: int, seconds: float) -> bool | str:
    time.sleep(seconds)
    return number % 2 == 0 or f"{number} is odd"


@node("ProbeEven", category="probe", validate=_is_even)
def even(*, number: int = 0, seconds: float = 0.0) -> Thing:
    """A number that the node's own validation wants even."""
    return number


@node("ProbeModel", category="probe")
def model(*, checkpoint: Annotated[str, Files("checkpoints")], seconds: float = 0.2, seed: int = 0) -> Thing:
    """Say which process was given the checkpoint."""
    time.sleep(seconds)
    return f"{checkpoint} in {os.getpid()}"


def _read(*, file: str, folders: Folders) -> str:
    return content_hash(folders.annotated(file))


def _can_be_read(*, file: str, folders: Folders) -> bool | str:
    return is_there(folders, file)


@node("ProbeRead", category="probe", fingerprint=_read, validate=_can_be_read)
def read(*, file: Annotated[str, Files("input")], context: Context) -> Thing:
    """Read a text of the input folder."""
    return context.folders.annotated(file).read_text()


@node("ProbePaint", category="probe", output_node=True)
def paint(*, context: Context, red: Annotated[int, Range(0, 255)] = 0, prefix: str = "probe") -> NodeResult:
    """Save a picture of one colour."""
    from PIL import Image

    target = context.folders.save_target(prefix)
    name = f"{target.stem}_{target.counter:05}_.png"
    Image.new("RGB", (32, 32), (red, 0, 0)).save(target.directory / name)
    return NodeResult(ui={"images": [{"filename": name, "subfolder": target.subfolder, "type": "output"}]})


@node("ProbeShow", category="probe", output_node=True)
def show(*, node_id: UniqueId, thing: Thing, note: Annotated[str, Hint(multiline=True)] = "") -> NodeResult:
    """Show the thing."""
    return NodeResult(ui={"text": [f"{thing}{note}"]})
