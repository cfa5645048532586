"""Events on their way from the worker to the server."""

from __future__ import annotations

import io
import json
import threading
from typing import BinaryIO, cast

from graph import events
from server.workers import wire
from server.workers.loop import _Outgoing

ALL: list[events.Event] = [
    events.RunStarted("p"),
    events.NodesCached("p", ("1", "2")),
    events.NodeStarted("p", "3.0.1", "3", "Add", "3"),
    events.NodeProgress("p", "3", "3", 0.5, 20),
    events.NodeText("p", "3", "3", "ü"),
    events.NodeOutput("p", "3", "3", {"images": [{"filename": "a.png"}]}, True),
    events.NodeFinished("p", "3", "3", "Add", 0.25),
    events.NodeBlocked("p", "3", "3", "Add", "why"),
    events.RunSucceeded("p"),
    events.RunFailed("p", "3", "3", "Add", "ValueError", "why", ("line",), {"a": 1}, ("1", "2")),
    events.RunInterrupted("p", None, None, ("1",)),
    events.NodePreview("p", "3", "3", "JPEG", b"picture", "2"),
]


def sent(frame: wire.Frame) -> wire.Frame:
    """The frame as the other side reads it."""
    found = wire.read(io.BytesIO(wire.encode(*frame)))
    assert found is not None
    return found


def test_events_arrive_as_they_were_sent() -> None:
    kinds = {kind.__name__ for kind in map(type, ALL)}
    assert kinds == {name for name in wire._EVENTS}
    assert wire.events_from_frame(sent(wire.events_to_frame(ALL))) == ALL


class Slow(io.BytesIO):
    """A pipe whose first write waits."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.done = threading.Semaphore(0)

    def write(self, data: object) -> int:
        self.go_on.wait(30)
        return super().write(data)  # type: ignore[arg-type]

    def flush(self) -> None:
        self.done.release()


def test_events_that_gather_while_the_pipe_is_busy_are_one_frame_in_their_order() -> None:
    pipe = Slow()
    out = _Outgoing(cast("BinaryIO", pipe))
    out.put({"type": "heartbeat"})
    while out._waiting:  # until the thread has taken it
        pass
    ui = {"text": ["before"]}
    for number in range(3):
        out.put_event(events.NodeStarted("p", str(number), str(number), "Add"))
        out.put_event(events.NodeFinished("p", str(number), str(number), "Add", 0.0))
    out.put_event(events.NodeOutput("p", "2", "2", ui))
    ui["text"] = ["after"]
    for _ in range(5):
        out.put_event(events.NodePreview("p", "2", "2", "JPEG", b"x"))
    out.put({"type": "outcome"})
    pipe.go_on.set()
    assert pipe.done.acquire(timeout=30) and pipe.done.acquire(timeout=30)
    pipe.seek(0)
    frames = list(iter(lambda: wire.read(pipe), None))
    kinds = [[name for name, *_ in header.get("events", [[header["type"]]])] for header, _ in frames]
    assert kinds == [
        ["heartbeat"],
        ["NodeStarted", "NodeFinished"] * 3,
        ["NodeOutput"],
        ["NodePreview"],
        ["NodePreview"],
        ["outcome"],
    ]
    assert json.dumps(frames[2][0]).count("before") == 1 and frames[3][1] == b"x"
