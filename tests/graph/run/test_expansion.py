"""Expansion: nodes that return a graph. Loops are built from it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest

from graph import events
from graph.cache.result_cache import CacheSettings
from graph.context import Context
from graph.engine import Engine
from graph.errors import Interrupted, NodeError, WorkflowError
from graph.node import DynPrompt, Lazy, Listed, RawLink, Socket, UniqueId, node
from graph.results import NodeResult
from graph.run.expansion import GraphBuilder
from graph.schema import Registry
from graph.workflow import Link, Workflow, WorkflowNode

Anything = Annotated[Any, Socket("*")]

calls: list[Any] = []


@pytest.fixture(autouse=True)
def forget_calls():
    calls.clear()


@node("Number", category="")
def number(*, value: float = 1.0) -> float:
    calls.append(value)
    return value


@node("Add", category="")
def add(*, a: float, b: float = 1.0) -> float:
    calls.append((a, b))
    return a + b


@node("Show", category="", output_node=True)
def show(*, value: Anything) -> None:
    calls.append(f"show {value}")
    return NodeResult(ui={"value": [value]})


@node("Twice", category="")
def twice(*, a: float) -> float:
    """a + a + 1, as a graph."""
    graph = GraphBuilder()
    one = graph.node("Add", a=a, b=1)
    return NodeResult(graph.node("Add", a=one.out(0), b=a).out(0), expand=graph.finalize())


class Turn(NamedTuple):
    total: float
    turns: int


@node("Loop", category="")
def loop(*, total: Annotated[float, Socket("*")], turns: int) -> Turn:
    """Adds one ``turns`` times, by expanding to itself."""
    if turns == 0:
        return Turn(total, 0)
    graph = GraphBuilder()
    more = graph.node("Loop", total=graph.node("Add", a=total, b=1).out(0), turns=turns - 1)
    return NodeResult(more.out(0), more.out(1), expand=graph.finalize())


@node("ShowInside", category="")
def show_inside(*, a: float) -> float:
    graph = GraphBuilder()
    graph.node("Show", value=a, id="show")
    return NodeResult(a, expand=graph.finalize())


def test_an_expansion_runs_in_the_nodes_place(make_engine):
    workflow = Workflow({"a": WorkflowNode("Number", {"value": 3}), "t": WorkflowNode("Twice", {"a": Link("a", 0)})})
    said: list[events.Event] = []
    engine = make_engine(number, add, twice)
    assert engine.run(workflow, targets=["t"], listener=said.append).values("t") == (7.0,)
    started = [event for event in said if isinstance(event, events.NodeStarted)]
    assert [(event.node_id, event.display_node_id, event.parent_node_id) for event in started] == [
        ("a", "a", None),
        ("t", "t", None),
        ("t.0.1", "t", "t"),
        ("t.0.2", "t", "t"),
    ]
    finished = [event.node_id for event in said if isinstance(event, events.NodeFinished)]
    assert finished == ["a", "t.0.1", "t.0.2", "t"]


def test_expanded_nodes_are_cached_like_others(make_engine):
    engine = make_engine(number, add, twice)
    engine.run(Workflow({"t": WorkflowNode("Twice", {"a": 3})}), targets=["t"])
    calls.clear()
    again = Workflow({"x": WorkflowNode("Twice", {"a": 3}), "y": WorkflowNode("Add", {"a": 3, "b": 1})})
    assert engine.run(again, targets=["x", "y"]).values("y") == (4.0,)
    assert calls == []


def test_each_call_of_a_mapped_node_expands_by_itself(make_engine):
    @node("Numbers", category="")
    def numbers() -> Annotated[Any, Socket("FLOAT"), Listed]:
        return [1.0, 2.0]

    workflow = Workflow({"n": WorkflowNode("Numbers"), "t": WorkflowNode("Twice", {"a": Link("n", 0)})})
    said: list[events.Event] = []
    result = make_engine(numbers, add, twice).run(workflow, targets=["t"], listener=said.append)
    assert result.values("t") == ([3.0, 5.0],)
    inside = [e.node_id for e in said if isinstance(e, events.NodeStarted) and e.parent_node_id]
    assert inside == ["t.0.1", "t.0.2", "t.1.1", "t.1.2"]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_loop_of_500_turns(make_engine, enabled):
    engine = make_engine(add, loop, cache=CacheSettings(enabled=enabled))
    workflow = Workflow({"l": WorkflowNode("Loop", {"total": 0.0, "turns": 500})})
    assert engine.run(workflow, targets=["l"]).values("l") == (500.0, 0)
    assert len(calls) == 500
    if enabled:
        longer = Workflow({"l": WorkflowNode("Loop", {"total": 0.0, "turns": 500})})
        calls.clear()
        engine.run(longer, targets=["l"])
        assert calls == []


def test_the_value_a_loop_hands_on_counts_once_in_memory(make_engine):
    class Big:
        def __sizeof__(self) -> int:
            return 1_000_000

    @node("Hand", category="")
    def hand(*, big: Anything, turns: int) -> Anything:
        if turns == 0:
            return big
        graph = GraphBuilder()
        return NodeResult(graph.node("Hand", big=big, turns=turns - 1).out(0), expand=graph.finalize())

    @node("Big", category="")
    def make_big() -> Anything:
        return Big()

    engine = make_engine(hand, make_big)
    workflow = Workflow({"b": WorkflowNode("Big"), "h": WorkflowNode("Hand", {"big": Link("b", 0), "turns": 20})})
    engine.run(workflow, targets=["h"])
    assert engine.stats()["memory_entries"] == 22
    assert engine.stats()["memory_bytes"] < 1_100_000


def test_output_nodes_inside_an_expansion_run_and_are_looked_after(make_engine):
    engine = make_engine(show, show_inside)
    workflow = Workflow({"s": WorkflowNode("ShowInside", {"a": 2})})
    said: list[events.Event] = []
    result = engine.run(workflow, targets=["s"], listener=said.append, run_id="r")
    assert result.outputs == {"s.0.show": {"value": [2.0]}}
    assert events.NodeOutput("r", "s.0.show", "s", {"value": [2.0]}) in said
    again: list[events.Event] = []
    assert engine.run(workflow, targets=["s"], listener=again.append).outputs == result.outputs
    assert calls == ["show 2.0"]
    assert any(isinstance(event, events.NodeOutput) and event.cached for event in again)


def test_raw_links_go_into_the_expansion(make_engine):
    @node("Repeat", category="")
    def repeat(*, link: Annotated[Any, Socket("*"), RawLink], times: int) -> Anything:
        assert link == ["f", 0]
        graph = GraphBuilder()
        sums = graph.node("Number", value=0.0)
        for _ in range(times):
            sums = graph.node("Add", a=sums.out(0), b=link)
        return NodeResult(sums.out(0), expand=graph.finalize())

    workflow = Workflow(
        {
            "f": WorkflowNode("Number", {"value": 2}),
            "r": WorkflowNode("Repeat", {"link": Link("f", 0), "times": 3}),
        }
    )
    engine = make_engine(number, add, repeat)
    assert engine.run(workflow, targets=["r"]).values("r") == (6.0,)
    assert calls == [0.0, 2.0, (0.0, 2.0), (2.0, 2.0), (4.0, 2.0)]


def test_a_raw_link_that_is_not_used_is_not_evaluated(make_engine):
    @node("Ignore", category="")
    def ignore(*, link: Annotated[Any, Socket("*"), RawLink]) -> float:
        return 1.0

    workflow = Workflow({"f": WorkflowNode("Number"), "r": WorkflowNode("Ignore", {"link": Link("f", 0)})})
    assert make_engine(number, ignore).run(workflow, targets=["r"]).values("r") == (1.0,)
    assert calls == []


def test_values_without_content_can_be_handed_into_an_expansion(make_engine):
    """Handles cannot be hashed; the expansion is still found again by the node that made it."""

    class Handle:
        pass

    @node("Load", category="")
    def load() -> Anything:
        return Handle()

    @node("Use", category="")
    def use(*, handle: Anything, x: float) -> str:
        calls.append("use")
        return type(handle).__name__

    @node("Wrap", category="")
    def wrap(*, handle: Anything) -> str:
        graph = GraphBuilder()
        graph.node("Show", value="inside")
        return NodeResult(graph.node("Use", handle=handle, x=1).out(0), expand=graph.finalize())

    engine = make_engine(load, use, wrap, show)
    workflow = Workflow({"l": WorkflowNode("Load"), "w": WorkflowNode("Wrap", {"handle": Link("l", 0)})})
    for _ in range(2):
        assert engine.run(workflow, targets=["w"]).values("w") == ("Handle",)
    assert sorted(calls) == ["show inside", "use"]


def test_an_error_inside_is_said_of_the_placed_node(make_engine):
    @node("Fail", category="")
    def fail(*, a: float) -> float:
        raise ValueError("no")

    @node("Outer", category="")
    def outer(*, a: float, deep: int) -> float:
        graph = GraphBuilder()
        inner = graph.node("Outer", a=a, deep=deep - 1) if deep else graph.node("Fail", a=a)
        return NodeResult(inner.out(0), expand=graph.finalize())

    said: list[events.Event] = []
    with pytest.raises(NodeError) as caught:
        workflow = Workflow({"o": WorkflowNode("Outer", {"a": 1, "deep": 1})})
        make_engine(fail, outer).run(workflow, targets=["o"], listener=said.append)
    error = caught.value
    assert (error.node_id, error.real_node_id, error.class_type) == ("o", "o.0.1.0.1", "Fail")
    assert error.placed_class_type == "Outer"
    assert str(error) == "node o (Outer), inside it node o.0.1.0.1 (Fail), failed: ValueError: no"
    failed = said[-1]
    assert isinstance(failed, events.RunFailed)
    assert (failed.node_id, failed.real_node_id) == ("o", "o.0.1.0.1")


def test_an_interruption_inside_is_said_of_the_placed_node(make_engine):
    @node("Stopped", category="")
    def stopped(*, a: float, context: Context) -> float:
        engine.interrupt()
        context.check_interrupted()
        return a

    @node("Outer", category="")
    def outer(*, a: float) -> float:
        graph = GraphBuilder()
        return NodeResult(graph.node("Stopped", a=a).out(0), expand=graph.finalize())

    engine = make_engine(stopped, outer)
    said: list[events.Event] = []
    with pytest.raises(Interrupted):
        engine.run(Workflow({"o": WorkflowNode("Outer", {"a": 1})}), targets=["o"], listener=said.append, run_id="r")
    assert said[-1] == events.RunInterrupted("r", "o", "Outer", ())


@pytest.mark.parametrize(
    ("expand", "message"),
    [
        ({"x": {"class_type": "Add", "inputs": {"a": ["me", 0]}}}, "waits for its own result"),
        ({"x": {"class_type": "Nothing", "inputs": {}}}, "unknown node type"),
        ({"x": {"class_type": "Add", "inputs": {"a": ["gone", 0]}}}, "does not exist"),
        ({"x": {"class_type": "Add", "inputs": {"a": ["x", 0]}}}, "a cycle"),
        ({"x": {"inputs": {}}}, "lacks a class_type"),
        ([1], "expected a graph"),
        ({}, "does not exist|no node"),
    ],
)
def test_a_bad_expansion_is_a_clear_error(make_engine, expand, message):
    @node("Bad", category="")
    def bad() -> float:
        return NodeResult(Link("x", 0), expand=expand)  # type: ignore[return-value]

    workflow = Workflow({"me": WorkflowNode("Bad")})
    with pytest.raises(NodeError, match=message) as caught:
        make_engine(bad, add).run(workflow, targets=["me"])
    assert caught.value.node_id == "me"
    assert isinstance(caught.value.cause, WorkflowError)


def test_plain_ids_get_the_prefix_and_links_follow(make_engine):
    @node("Plain", category="")
    def plain(*, context: Context) -> float:
        graph = {
            "1": {"class_type": "Number", "inputs": {"value": 5}},
            "2": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": 2}},
        }
        return NodeResult(["2", 0], expand=graph)  # type: ignore[return-value]

    said: list[events.Event] = []
    workflow = Workflow({"1": WorkflowNode("Plain")})
    result = make_engine(plain, number, add).run(workflow, targets=["1"], listener=said.append)
    assert result.values("1") == (7.0,)
    assert {e.node_id for e in said if isinstance(e, events.NodeStarted)} == {"1", "1.0.1", "1.0.2"}


def test_a_loop_that_reads_the_graph_between_its_ends(make_engine):
    """While loops as node packs build them: the end copies the nodes in between from DYNPROMPT."""

    @node("Open", category="")
    def open_loop(*, value: float) -> float:
        return value

    @node("Close", category="")
    def close_loop(
        *, value: float, opened: Annotated[Any, Socket("*"), RawLink], me: UniqueId, dynamic: DynPrompt
    ) -> float:
        if value >= 10:
            return value
        graph = GraphBuilder()
        body_id = dynamic[me]["inputs"]["value"][0]
        body = dynamic[body_id]
        again = graph.node("Open", value=value)
        step = graph.node(body["class_type"], **(body["inputs"] | {"a": again.out(0)}))
        end = graph.node("Close", value=step.out(0), opened=again.out(0))
        return NodeResult(end.out(0), expand=graph.finalize())

    workflow = Workflow(
        {
            "o": WorkflowNode("Open", {"value": 1}),
            "b": WorkflowNode("Add", {"a": Link("o", 0), "b": 3}),
            "c": WorkflowNode("Close", {"value": Link("b", 0), "opened": Link("o", 0)}),
        }
    )
    assert make_engine(open_loop, close_loop, add).run(workflow, targets=["c"]).values("c") == (10.0,)


def test_lazy_inputs_of_expanded_nodes(make_engine):
    @node("If", category="", check_lazy=lambda which: ["a"] if which else ["b"])
    def choose(*, which: bool, a: Annotated[float, Lazy], b: Annotated[float, Lazy]) -> float:
        return a if which else b

    @node("Branch", category="")
    def branch(*, which: bool) -> float:
        graph = GraphBuilder()
        chosen = graph.node(
            "If", which=which, a=graph.node("Number", value=1).out(0), b=graph.node("Number", value=2).out(0)
        )
        return NodeResult(chosen.out(0), expand=graph.finalize())

    workflow = Workflow({"b": WorkflowNode("Branch", {"which": False})})
    assert make_engine(number, choose, branch).run(workflow, targets=["b"]).values("b") == (2.0,)
    assert calls == [2.0]


def reader(path: Path) -> Any:
    @node("Read", category="", fingerprint=lambda: path.stat().st_mtime_ns)
    def read() -> str:
        calls.append("read")
        return path.read_text()

    return read


@node("Wrap", category="")
def wrap() -> str:
    graph = GraphBuilder()
    return NodeResult(graph.node("Read").out(0), expand=graph.finalize())


@node("Upper", category="")
def upper(*, text: Annotated[str, Socket("STRING")]) -> str:
    calls.append("upper")
    return text.upper()


READ_INSIDE = Workflow({"w": WorkflowNode("Wrap"), "u": WorkflowNode("Upper", {"text": Link("w", 0)})})


@pytest.mark.parametrize("fresh", [False, True])
def test_what_is_made_from_an_expansion_follows_the_files_that_it_reads(make_engine, tmp_path, fresh):
    path = tmp_path / "text"
    path.write_text("one")
    cache = CacheSettings(disk=tmp_path / "cache", disk_after_seconds=0.0)

    def make() -> Any:
        return make_engine(reader(path), wrap, upper, cache=cache)

    engine = make()
    assert engine.run(READ_INSIDE, targets=["u"]).values("u") == ("ONE",)
    engine = make() if fresh else engine
    assert engine.run(READ_INSIDE, targets=["u"]).values("u") == ("ONE",)
    assert calls == ["read", "upper"], "the second time both are found, once it is known what to look for"
    path.write_text("two")
    os.utime(path, (1, 1))
    engine = make() if fresh else engine
    assert engine.run(READ_INSIDE, targets=["u"]).values("u") == ("TWO",)


def test_what_is_made_from_an_expansion_follows_the_versions_inside(tmp_path):
    def run(version: str) -> None:
        kinds = {"Read": version, "Wrap": "1", "Upper": "1"}
        functions = (reader(tmp_path), wrap, upper)
        types = {
            f.node_type.name: dataclasses.replace(
                f.node_type,
                version=kinds[f.node_type.name],
                fingerprint=None,
                function=(lambda: version) if f.node_type.name == "Read" else f,
            )
            for f in functions
        }
        cache = CacheSettings(disk=tmp_path, disk_after_seconds=0.0)
        with Engine(Registry(types), cache=cache) as engine:
            assert engine.run(READ_INSIDE, targets=["u"]).values("u") == (version.upper(),)

    run("a")
    run("a")
    assert calls == ["upper"]
    run("b")
    assert calls == ["upper", "upper"]


def test_what_is_made_from_an_expansion_is_known_at_once_while_the_process_lives(make_engine):
    engine = make_engine(number, add, twice)
    workflow = Workflow({"t": WorkflowNode("Twice", {"a": 3}), "a": WorkflowNode("Add", {"a": Link("t", 0)})})
    engine.run(workflow, targets=["a"])
    said: list[events.Event] = []
    engine.run(workflow, targets=["a"], listener=said.append, run_id="r")
    assert said[1] == events.NodesCached("r", ("t", "a"))


def test_an_expansion_behind_a_lazy_input_that_nobody_asked_for(make_engine):
    """The expansion ran for another node, after the lazy node got its key; the key is the same next time."""

    @node("First", category="", check_lazy=lambda: ["a"])
    def first(*, a: Annotated[float, Lazy], b: Annotated[float, Lazy]) -> float:
        calls.append("first")
        return a

    engine = make_engine(number, add, twice, first)
    workflow = Workflow(
        {
            "n": WorkflowNode("Number", {"value": 1}),
            "t": WorkflowNode("Twice", {"a": Link("n", 0)}),
            "after": WorkflowNode("Add", {"a": Link("t", 0)}),
            "f": WorkflowNode("First", {"a": Link("n", 0), "b": Link("after", 0)}),
        }
    )
    engine.run(workflow, targets=["f", "after"])
    calls.clear()
    engine.run(workflow, targets=["f", "after"])
    assert calls == []
