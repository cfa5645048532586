"""Asynchronous nodes run beside each other and beside synchronous ones."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any

import pytest

from graph import events
from graph.context import Context
from graph.errors import Interrupted, NodeError
from graph.node import Listed, Socket, node
from graph.workflow import Link, Workflow, WorkflowNode

Anything = Annotated[Any, Socket("*")]


class Meeting:
    """A barrier for ``expected`` nodes; nodes that do not run concurrently never end."""

    def __init__(self, expected: int):
        self.expected = expected
        self.come = 0
        self.all_there = asyncio.Event()

    async def join(self) -> None:
        self.come += 1
        if self.come == self.expected:
            self.all_there.set()
        await asyncio.wait_for(self.all_there.wait(), 20)


def join_node(meeting: Meeting) -> Any:
    @node("Join", category="")
    async def join(*, who: int) -> int:
        await meeting.join()
        return who

    return join


@node("Gather", category="")
def gather(*, a: int, b: int, c: int) -> Anything:
    return [a, b, c]


def test_async_nodes_overlap(make_engine):
    workflow = Workflow(
        {
            **{name: WorkflowNode("Join", {"who": i}) for i, name in enumerate("abc")},
            "g": WorkflowNode("Gather", {name: Link(name, 0) for name in "abc"}),
        }
    )
    engine = make_engine(join_node(Meeting(3)), gather)
    said: list[events.Event] = []
    assert engine.run(workflow, targets=["g"], listener=said.append).values("g") == ([0, 1, 2],)
    kinds = [type(event).__name__ for event in said if getattr(event, "node_id", "g") in "abc"]
    assert kinds == ["NodeStarted"] * 3 + ["NodeFinished"] * 3


def test_the_calls_of_a_mapped_async_node_overlap(make_engine):
    @node("Numbers", category="")
    def numbers() -> Annotated[Any, Socket("INT"), Listed]:
        return [1, 2, 3, 4]

    workflow = Workflow({"n": WorkflowNode("Numbers"), "j": WorkflowNode("Join", {"who": Link("n", 0)})})
    engine = make_engine(numbers, join_node(Meeting(4)))
    assert engine.run(workflow, targets=["j"]).values("j") == ([1, 2, 3, 4],)


def test_a_synchronous_node_runs_while_an_async_one_waits(make_engine):
    released = threading.Event()

    @node("Wait", category="")
    async def wait(*, x: int) -> int:
        await asyncio.to_thread(released.wait, 20)
        return int(released.is_set())

    @node("Release", category="")
    def release(*, x: int) -> int:
        released.set()
        return x

    @node("Sum", category="")
    def total(*, a: int, b: int) -> int:
        return a + b

    workflow = Workflow(
        {
            "r": WorkflowNode("Release", {"x": 10}),
            "w": WorkflowNode("Wait", {"x": 1}),
            "s": WorkflowNode("Sum", {"a": Link("r", 0), "b": Link("w", 0)}),
        }
    )
    assert make_engine(wait, release, total).run(workflow, targets=["s"]).values("s") == (11,)


def test_interruption_cancels_what_waits(make_engine):
    ended = []

    @node("Forever", category="")
    async def forever(*, x: int) -> int:
        threading.Timer(0.05, lambda: engine.interrupt()).start()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(x)
        return x

    engine = make_engine(forever)
    with pytest.raises(Interrupted):
        engine.run(Workflow({"f": WorkflowNode("Forever", {"x": 1})}), targets=["f"])
    assert ended == [1], "it was cancelled and had time to clean up"


def test_an_error_cancels_the_others_and_names_its_node(make_engine):
    cancelled = []

    @node("Forever", category="")
    async def forever(*, x: int) -> int:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(x)
            raise
        return x

    @node("Fail", category="")
    async def fail(*, x: int) -> int:
        await asyncio.sleep(0)
        raise KeyError("no")

    workflow = Workflow(
        {
            "f": WorkflowNode("Forever", {"x": 1}),
            "e": WorkflowNode("Fail", {"x": 1}),
            "g": WorkflowNode("Gather", {"a": Link("f", 0), "b": Link("e", 0), "c": 1}),
        }
    )
    with pytest.raises(NodeError, match=r"node e \(Fail\) failed: KeyError"):
        make_engine(forever, fail, gather).run(workflow, targets=["g"])
    assert cancelled == [1]


def test_what_async_nodes_say_reaches_the_listener_on_the_runs_thread_in_order(make_engine):
    @node("Ticks", category="")
    async def ticks(*, x: int, context: Context) -> int:
        for step in range(5):
            context.progress(step + 1, 5)
            await asyncio.sleep(0)
        return x

    said: list[events.Event] = []
    threads = set()

    def listen(event: events.Event) -> None:
        said.append(event)
        threads.add(threading.get_ident())

    make_engine(ticks).run(Workflow({"t": WorkflowNode("Ticks", {"x": 1})}), targets=["t"], listener=listen)
    assert threads == {threading.get_ident()}
    assert [event.value for event in said if isinstance(event, events.NodeProgress)] == [1, 2, 3, 4, 5]
    assert [type(event).__name__ for event in said[-2:]] == ["NodeFinished", "RunSucceeded"]


def test_the_current_context_is_each_ones_own(make_engine):
    from graph.context import current

    meeting = Meeting(2)

    @node("Who", category="", idempotent=False)
    async def who(*, x: int) -> str:
        await meeting.join()
        context = current()
        assert context is not None
        return context.node_id

    workflow = Workflow({"a": WorkflowNode("Who", {"x": 1}), "b": WorkflowNode("Who", {"x": 1})})
    result = make_engine(who).run(workflow, targets=["a", "b"])
    assert (result.values("a"), result.values("b")) == (("a",), ("b",))


def test_async_results_are_cached(make_engine):
    calls = []

    @node("Once", category="")
    async def once(*, x: int) -> int:
        calls.append(x)
        return x

    engine = make_engine(once)
    for _ in range(2):
        assert engine.run(Workflow({"o": WorkflowNode("Once", {"x": 3})}), targets=["o"]).values("o") == (3,)
    assert calls == [3]
