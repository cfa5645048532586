"""How a run behaves: which nodes run, in what order, with which events, and what happens when a node fails."""

from __future__ import annotations

import sys
import threading
from typing import Annotated, Any, NamedTuple

import pytest

from graph import events
from graph.context import Context
from graph.errors import Interrupted, NodeError, ValueChangedError, WorkflowError
from graph.node import DynPrompt, ExtraPngInfo, Lazy, Prompt, Socket, UniqueId, node
from graph.results import Blocked, NodeResult
from graph.workflow import Link, MalformedLink, Workflow, WorkflowNode

Anything = Annotated[Any, Socket("*")]

calls: list[str] = []


@pytest.fixture(autouse=True)
def forget_calls():
    calls.clear()


@node("Number", category="")
def number(*, value: float = 1.0) -> float:
    calls.append(f"number {value}")
    return value


@node("Add", category="")
def add(*, a: float, b: float = 1.0) -> float:
    calls.append(f"add {a} {b}")
    return a + b


class DivMod(NamedTuple):
    quotient: int
    remainder: int


@node("DivMod", category="")
def div_mod(*, a: int, b: int) -> DivMod:
    return DivMod(a // b, a % b)


@node("Show", category="", output_node=True)
def show(*, value: Anything) -> None:
    calls.append(f"show {value}")
    return NodeResult(ui={"value": [value]})


@node("Fail", category="")
def fail(*, value: Anything) -> float:
    raise ValueError(f"no good: {value}")


@node("Choose", category="", check_lazy=lambda which: ["no", "yes"][which])
def choose(*, which: bool, yes: Annotated[Any, Socket("*"), Lazy], no: Annotated[Any, Socket("*"), Lazy]) -> Anything:
    return yes if which else no


@node("Block", category="")
def block(*, value: Anything, message: str = "") -> Anything:
    return Blocked(message or None)


def graph(**nodes: tuple[str, dict[str, Any]]) -> Workflow:
    """``a=("Add", {"a": "b.0"})``: a text ``node.output`` is a link."""

    def literal(value: Any) -> Any:
        if isinstance(value, str) and "." in value:
            name, output = value.split(".")
            return Link(name, int(output))
        return value

    return Workflow(
        {
            name: WorkflowNode(kind, {key: literal(value) for key, value in inputs.items()})
            for name, (kind, inputs) in nodes.items()
        }
    )


SUM = graph(
    one=("Number", {"value": 1}),
    two=("Add", {"a": "one.0", "b": 1}),
    unused=("Fail", {"value": 0}),
    shown=("Show", {"value": "two.0"}),
)


def test_only_what_outputs_need_runs(make_engine):
    result = make_engine(number, add, show, fail).run(SUM)
    assert result.outputs == {"shown": {"value": [2.0]}}
    assert calls == ["number 1.0", "add 1.0 1.0", "show 2.0"]


def test_events_of_a_run_in_order(make_engine):
    said: list[events.Event] = []
    make_engine(number, add, show, fail).run(SUM, listener=said.append, run_id="r")
    assert [type(event).__name__ for event in said] == [
        *("RunStarted", "NodesCached"),
        *("NodeStarted", "NodeFinished", "NodeStarted", "NodeFinished"),
        *("NodeStarted", "NodeOutput", "NodeFinished", "RunSucceeded"),
    ]
    assert {event.run_id for event in said} == {"r"}


def test_a_second_run_runs_nothing_and_says_what_was_cached(make_engine):
    engine = make_engine(number, add, show, fail)
    engine.run(SUM)
    calls.clear()
    said: list[events.Event] = []
    result = engine.run(SUM, listener=said.append, run_id="r")
    assert calls == []
    assert result.outputs == {"shown": {"value": [2.0]}}
    assert said == [
        events.RunStarted("r"),
        events.NodesCached("r", ("one", "two", "shown")),
        events.NodeOutput("r", "shown", "shown", {"value": [2.0]}, cached=True),
        events.RunSucceeded("r"),
    ]


def test_targets_give_values(make_engine):
    workflow = graph(d=("DivMod", {"a": 7, "b": 2}), s=("Show", {"value": "d.1"}))
    result = make_engine(div_mod, show).run(workflow, targets=["d"])
    assert result.values("d") == (3, 1)
    assert result.outputs == {}


def test_a_known_result_does_not_demand_its_inputs(make_engine):
    engine = make_engine(number, add, show, cache=None)
    chain = graph(a=("Number", {"value": 1}), b=("Add", {"a": "a.0"}), c=("Show", {"value": "b.0"}))
    engine.run(chain)
    calls.clear()
    longer = graph(
        a=("Number", {"value": 1}), b=("Add", {"a": "a.0"}), c=("Add", {"a": "b.0"}), d=("Show", {"value": "c.0"})
    )
    engine.run(longer)
    assert calls == ["add 2.0 1.0", "show 3.0"]


def test_the_same_work_twice_in_a_run_is_done_once(make_engine):
    workflow = graph(
        a=("Number", {"value": 2}),
        b=("Number", {"value": 2.0}),
        c=("Add", {"a": "a.0", "b": "b.0"}),
        d=("Show", {"value": "c.0"}),
    )
    assert make_engine(number, add, show).run(workflow).outputs["d"] == {"value": [4.0]}
    assert calls.count("number 2.0") == 1


def test_defaults_are_filled_in_and_unknown_inputs_ignored(make_engine):
    engine = make_engine(number, add, show)
    engine.run(graph(a=("Number", {}), s=("Show", {"value": "a.0"})))
    engine.run(graph(a=("Number", {"value": 1, "extra": "x"}), s=("Show", {"value": "a.0"})))
    assert calls == ["number 1.0", "show 1.0"]


def test_an_error_names_the_node_and_keeps_what_was_done(make_engine):
    engine = make_engine(number, fail, show)
    broken = graph(a=("Number", {"value": 3}), f=("Fail", {"value": "a.0"}), s=("Show", {"value": "f.0"}))
    said: list[events.Event] = []
    with pytest.raises(NodeError, match=r"node f \(Fail\) failed: ValueError: no good: 3") as caught:
        engine.run(broken, listener=said.append)
    assert isinstance(caught.value.__cause__, ValueError)
    failed = said[-1]
    assert isinstance(failed, events.RunFailed)
    assert (failed.node_id, failed.exception_type, failed.message) == ("f", "ValueError", "no good: 3.0")
    assert failed.current_inputs == {"value": [3.0]}
    assert failed.executed == ("a",)
    assert any("raise ValueError" in line for line in failed.traceback)
    calls.clear()
    engine.run(graph(a=("Number", {"value": 3}), s=("Show", {"value": "a.0"})))
    assert calls == ["show 3.0"]


@pytest.mark.parametrize(
    ("workflow", "message"),
    [
        (graph(s=("Show", {"value": "gone.0"})), "linked to node gone, which does not exist"),
        (graph(a=("Number", {}), s=("Show", {"value": "a.3"})), "linked to output 3 of node a, which has 1"),
        (graph(s=("Show", {})), "input 'value' is missing"),
        (graph(a=("Nmber", {}), s=("Show", {"value": "a.0"})), "unknown node type 'Nmber'. Did you mean 'Number'"),
        (graph(a=("Number", {"value": "x"}), s=("Show", {"value": "a.0"})), "input 'value'.*FLOAT"),
        (graph(s=("Show", {"value": MalformedLink(["a"])})), "is not a link"),
        (
            graph(a=("Add", {"a": "b.0"}), b=("Add", {"a": "a.0"}), s=("Show", {"value": "b.0"})),
            "a cycle",
        ),
    ],
)
def test_an_invalid_graph_is_a_clear_error(make_engine, workflow, message):
    said: list[events.Event] = []
    with pytest.raises(NodeError, match=message) as caught:
        make_engine(number, add, show).run(workflow, listener=said.append)
    assert isinstance(caught.value.cause, WorkflowError)
    assert isinstance(said[-1], events.RunFailed)


def test_a_target_that_does_not_exist(make_engine):
    with pytest.raises(WorkflowError, match="no node 9"):
        make_engine(number).run(SUM, targets=["9"])


def test_the_wrong_number_of_outputs_is_that_nodes_error(make_engine):
    @node("Short", category="")
    def short() -> DivMod:
        return (1,)  # type: ignore[return-value]

    with pytest.raises(NodeError, match=r"returned 1; expected a tuple of 2"):
        make_engine(short).run(graph(a=("Short", {})), targets=["a"])


def test_lazy_inputs_are_evaluated_only_if_asked_for(make_engine):
    workflow = graph(
        y=("Number", {"value": 1}), n=("Fail", {"value": 0}), c=("Choose", {"which": True, "yes": "y.0", "no": "n.0"})
    )
    assert make_engine(number, fail, choose).run(workflow, targets=["c"]).values("c") == (1.0,)


def test_a_lazy_node_may_ask_again_with_what_it_has_got(make_engine):
    asked = []

    def check(first: Any, second: Any) -> list[str]:
        asked.append((first, second))
        if first is None:
            return ["first"]
        return ["second"] if first > 1 else []

    @node("Steps", category="", check_lazy=check)
    def steps(*, first: Annotated[float, Lazy], second: Annotated[float, Lazy]) -> float:
        return first + (second or 0)

    def workflow(first: float) -> Workflow:
        return graph(
            a=("Number", {"value": first}),
            b=("Number", {"value": 5}),
            s=("Steps", {"first": "a.0", "second": "b.0"}),
        )

    engine = make_engine(number, steps)
    assert engine.run(workflow(1), targets=["s"]).values("s") == (1.0,)
    assert asked == [(None, None), (1.0, None)]
    asked.clear()
    assert engine.run(workflow(2), targets=["s"]).values("s") == (7.0,)
    assert asked == [(None, None), (2.0, None)], "nothing is left to ask for"


def test_check_lazy_may_be_asynchronous(make_engine):
    async def check(a: Any) -> list[str]:
        return ["a"]

    @node("Later", category="", check_lazy=check)
    def later(*, a: Annotated[float, Lazy]) -> float:
        return a

    workflow = graph(a=("Number", {"value": 4}), b=("Later", {"a": "a.0"}))
    assert make_engine(number, later).run(workflow, targets=["b"]).values("b") == (4.0,)


@pytest.mark.parametrize("code", ["function", "check_lazy", "fingerprint"])
def test_code_of_a_node_that_exits_is_its_error(make_engine, code):
    def leave(*_: Any, **__: Any) -> Any:
        sys.exit("no licence")

    hooks = {code: leave} if code != "function" else {}

    @node("Leaver", category="", **hooks)
    def leaver(*, a: Annotated[float, Lazy]) -> float:
        return leave() if code == "function" else a

    workflow = graph(a=("Number", {}), b=("Leaver", {"a": "a.0"}))
    with pytest.raises(NodeError, match="no licence") as caught:
        make_engine(number, leaver).run(workflow, targets=["b"])
    assert caught.value.node_id == "b"


def test_a_lazy_node_that_asks_for_what_does_not_exist(make_engine):
    @node("Odd", category="", check_lazy=lambda: ["nothing"])
    def odd(*, a: Annotated[float, Lazy]) -> float:
        return a

    workflow = graph(a=("Number", {}), b=("Odd", {"a": "a.0"}))
    with pytest.raises(NodeError, match="check_lazy asks for 'nothing'"):
        make_engine(number, odd).run(workflow, targets=["b"])


def test_a_silent_blocker_skips_what_needs_it_and_the_run_succeeds(make_engine):
    workflow = graph(
        a=("Block", {"value": 1}),
        b=("Add", {"a": "a.0"}),
        s=("Show", {"value": "b.0"}),
        other=("Show", {"value": 5}),
    )
    said: list[events.Event] = []
    result = make_engine(block, add, show).run(workflow, listener=said.append)
    assert result.outputs == {"other": {"value": [5]}}
    assert calls == ["show 5"]
    assert isinstance(said[-1], events.RunSucceeded)
    assert not any(isinstance(event, events.NodeBlocked) for event in said)


def test_a_blockers_message_is_reported_every_time_by_the_node_that_needs_it(make_engine):
    workflow = graph(
        a=("Block", {"value": 1, "message": "too dark"}), b=("Add", {"a": "a.0"}), s=("Show", {"value": "b.0"})
    )
    engine = make_engine(block, add, show)
    for _ in range(2):
        said: list[events.Event] = []
        engine.run(workflow, listener=said.append, run_id="r")
        blocked = [event for event in said if isinstance(event, events.NodeBlocked)]
        assert blocked == [events.NodeBlocked("r", "b", "b", "Add", "too dark")]
        assert isinstance(said[-1], events.RunSucceeded)
    assert calls == []


class Pair(NamedTuple):
    here: int
    missing: int


@node("Absent", category="test")
def absent(*, value: int = 0) -> Pair:
    """A value, and one that does not exist."""
    return Pair(value, Blocked("m.safetensors: holds no VAE", fails=True))


def test_a_value_that_does_not_exist_is_an_error_of_the_node_that_needs_it(make_engine):
    wired = graph(a=("Absent", {"value": 1}), b=("Add", {"a": "a.1"}), s=("Show", {"value": "b.0"}))
    unused = graph(a=("Absent", {"value": 1}), s=("Show", {"value": "a.0"}))
    engine = make_engine(absent, add, show)
    assert engine.run(unused).outputs == {"s": {"value": [1]}}
    for _ in range(2):
        said: list[events.Event] = []
        with pytest.raises(NodeError, match=r"node b \(Add\) failed: MissingValueError: m.safetensors: holds no VAE"):
            engine.run(wired, listener=said.append, run_id="r")
        failed = said[-1]
        assert isinstance(failed, events.RunFailed)
        assert (failed.node_id, failed.class_type, failed.exception_type) == ("b", "Add", "MissingValueError")


def test_hidden_inputs(make_engine):
    seen = {}

    @node("Hidden", category="", output_node=True)
    def hidden(*, me: UniqueId, prompt: Prompt, info: ExtraPngInfo, dynamic: DynPrompt) -> None:
        seen.update(me=me, prompt=prompt, info=info, dynamic=dict(dynamic), root=dynamic.get_real_node_id(me))

    make_engine(hidden).run(graph(h=("Hidden", {})), extra_pnginfo={"workflow": 1})
    api = {"h": {"class_type": "Hidden", "inputs": {}}}
    assert seen == {"me": "h", "prompt": api, "info": {"workflow": 1}, "dynamic": api, "root": "h"}


def test_what_the_editor_saved_goes_into_pictures_by_default(make_engine):
    seen = []

    @node("Info", category="", output_node=True)
    def info(*, info: ExtraPngInfo) -> None:
        seen.append(info)

    workflow = Workflow({"i": WorkflowNode("Info")}, editor={"nodes": []})
    make_engine(info).run(workflow)
    assert seen == [{"workflow": {"nodes": []}}]


def test_interruption_takes_effect_within_one_progress_tick(make_engine):
    ticks = []

    @node("Slow", category="")
    def slow(*, a: float, context: Context) -> float:
        for step in range(100):
            context.progress(step, 100)
            ticks.append(step)
        return a

    workflow = graph(a=("Number", {}), b=("Slow", {"a": "a.0"}), s=("Show", {"value": "b.0"}))
    engine = make_engine(number, slow, show)
    said: list[events.Event] = []

    def listen(event: events.Event) -> None:
        said.append(event)
        if isinstance(event, events.NodeProgress) and event.value == 3:
            asked = threading.Thread(target=engine.interrupt)
            asked.start()
            asked.join()

    with pytest.raises(Interrupted):
        engine.run(workflow, listener=listen, run_id="r")
    assert ticks == [0, 1, 2, 3]
    assert said[-1] == events.RunInterrupted("r", "b", "Slow", ("a",))
    calls.clear()
    engine.run(graph(a=("Number", {}), s=("Show", {"value": "a.0"})))
    assert calls == ["show 1.0"], "what was done before the interruption is cached"


def test_interruption_between_nodes(make_engine):
    engine = make_engine(number, add, show)

    def listen(event: events.Event) -> None:
        if isinstance(event, events.NodeFinished):
            assert engine.interrupt("r")
            assert not engine.interrupt("another")

    with pytest.raises(Interrupted):
        engine.run(SUM, targets=["shown"], listener=listen, run_id="r")
    assert calls == ["number 1.0"]
    assert not engine.interrupt()


def test_a_node_that_swallows_the_interruption_is_still_stopped(make_engine):
    @node("Deaf", category="")
    def deaf(*, context: Context) -> float:
        try:
            context.progress(1, 2)
        except Interrupted:
            raise RuntimeError("something went wrong") from None
        return 1.0

    engine = make_engine(deaf)

    def listen(event: events.Event) -> None:
        if isinstance(event, events.NodeStarted):
            engine.interrupt()

    with pytest.raises(Interrupted):
        engine.run(graph(d=("Deaf", {})), targets=["d"], listener=listen)


def test_previews_are_made_only_if_somebody_looks(make_engine):
    from graph.context import PreviewImage

    made = []

    @node("Preview", category="", idempotent=False)
    def preview(*, seed: int, context: Context) -> int:
        context.progress(1, 1, lambda: made.append(1) or PreviewImage("PNG", b"data"))
        context.show_text("hello")
        return seed

    engine = make_engine(preview)
    engine.run(graph(p=("Preview", {"seed": 1})), targets=["p"])
    assert made == []
    said: list[events.Event] = []
    engine.run(graph(p=("Preview", {"seed": 2})), targets=["p"], listener=said.append, previews=True, run_id="r")
    assert events.NodePreview("r", "p", "p", "PNG", b"data") in said
    assert events.NodeText("r", "p", "p", "hello") in said


def test_a_node_that_changes_what_it_is_lent_is_named(make_engine):
    @node("List", category="")
    def make_list() -> Anything:
        return [1, 2, 3]

    @node("Sort", category="")
    def sort(*, items: Anything) -> Anything:
        items.sort(reverse=True)
        return items

    workflow = graph(a=("List", {}), b=("Sort", {"items": "a.0"}))
    with pytest.raises(NodeError, match=r"node b \(Sort\).*changed its input 'items'.*node a") as caught:
        make_engine(make_list, sort, check_values=True).run(workflow, targets=["b"])
    assert isinstance(caught.value.cause, ValueChangedError)
    with pytest.raises(NodeError, match="literal"):
        literal = Workflow({"b": WorkflowNode("Sort", {"items": [1, 2]})})
        make_engine(make_list, sort, check_values=True).run(literal, targets=["b"])


def test_a_value_is_let_go_when_nobody_can_ask_for_it_any_more(make_engine):
    import gc
    import weakref

    from graph.cache.result_cache import CacheSettings

    class Big:
        pass

    alive: list[weakref.ref[Big]] = []
    at_the_end = []

    @node("Big", category="")
    def big() -> Anything:
        value = Big()
        alive.append(weakref.ref(value))
        return value

    @node("Use", category="")
    def use(*, value: Anything) -> float:
        return 1.0

    @node("Look", category="")
    def look(*, a: float) -> float:
        gc.collect()
        at_the_end.append([ref() is not None for ref in alive])
        return a

    workflow = graph(a=("Big", {}), b=("Use", {"value": "a.0"}), c=("Look", {"a": "b.0"}))
    engine = make_engine(big, use, look, cache=CacheSettings(enabled=False), check_values=False)
    engine.run(workflow, targets=["c"])
    assert at_the_end == [[False]]
    engine.run(workflow, targets=["c", "a"])
    assert at_the_end[-1] == [False, True], "a target's value is kept"


def test_without_a_cache_a_value_that_a_lazy_input_may_still_want_is_kept(make_engine):
    from graph.cache.result_cache import CacheSettings

    workflow = graph(
        a=("Number", {"value": 1}),
        b=("Add", {"a": "a.0"}),
        late=("Add", {"a": "a.0", "b": 10}),
        c=("Gate", {"first": "b.0", "second": "late.0"}),
    )

    @node("Gate", category="", check_lazy=lambda first: ["second"])
    def gate(*, first: float, second: Annotated[float, Lazy]) -> float:
        return first + second

    engine = make_engine(number, add, gate, cache=CacheSettings(enabled=False))
    assert engine.run(workflow, targets=["c"]).values("c") == (13.0,)
    assert calls == ["number 1.0", "add 1.0 1.0", "add 1.0 10.0"]
    assert engine.cached_keys() == set()
