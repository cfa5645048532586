"""Keys: when two nodes have the same key, and when their keys differ."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any

import pytest

from graph.cache.result_cache import CacheSettings
from graph.engine import Engine
from graph.errors import NodeError
from graph.folders import Folders
from graph.node import ExtraPngInfo, Prompt, Socket, UniqueId, node
from graph.schema import Registry
from graph.workflow import Link, Workflow, WorkflowNode

Anything = Annotated[Any, Socket("*")]

calls: list[Any] = []


@pytest.fixture(autouse=True)
def forget_calls():
    calls.clear()


@node("Scale", category="")
def scale(*, amount: float = 1.0, name: str = "a", times: int = 1, on: bool = True) -> float:
    calls.append("Scale")
    return amount


@node("Add", category="")
def add(*, a: float, b: float = 0.0) -> float:
    calls.append("Add")
    return a + b


def keys_of(engine: Engine, *nodes: tuple[str, dict[str, Any]]) -> set[str]:
    """The keys of the last of ``nodes``, whose ids are 0, 1, …, and of what it needs."""
    before = engine.cached_keys()
    workflow = Workflow({str(index): WorkflowNode(*written) for index, written in enumerate(nodes)})
    engine.run(workflow, targets=[str(len(nodes) - 1)])
    return engine.cached_keys() - before


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"amount": 1},
        {"amount": 1.0, "name": "a", "times": 1, "on": True},
        {"on": True, "amount": "1"},
        {"times": 1.0},
        {"unknown": [1, 2]},
    ],
)
def test_the_same_effective_inputs_are_the_same_work(make_engine, same):
    engine = make_engine(scale)
    keys_of(engine, ("Scale", {}))
    assert keys_of(engine, ("Scale", same)) == set()
    assert calls == ["Scale"]


@pytest.mark.parametrize("other", [{"amount": 2}, {"name": "b"}, {"times": 2}, {"on": False}, {"name": "a\n"}])
def test_another_literal_is_other_work(make_engine, other):
    engine = make_engine(scale)
    keys_of(engine, ("Scale", {}))
    assert len(keys_of(engine, ("Scale", other))) == 1


def test_node_ids_play_no_part(make_engine):
    engine = make_engine(scale, add)
    one = Workflow({"a": WorkflowNode("Scale"), "b": WorkflowNode("Add", {"a": Link("a", 0)})})
    two = Workflow({"b": WorkflowNode("Scale"), "x:y": WorkflowNode("Add", {"a": Link("b", 0)})})
    engine.run(one, targets=["b"])
    engine.run(two, targets=["x:y"])
    assert calls == ["Scale", "Add"]


def test_which_input_is_fed_matters(make_engine):
    engine = make_engine(scale, add)
    keys_of(engine, ("Scale", {}), ("Add", {"a": Link("0", 0), "b": 1}))
    assert len(keys_of(engine, ("Scale", {}), ("Add", {"a": 1, "b": Link("0", 0)}))) == 1


def test_list_literals_are_told_from_their_text(make_engine):
    @node("Any", category="")
    def anything(*, value: Anything) -> Anything:
        return value

    engine = make_engine(anything)
    values = [[1, 2], "[1, 2]", [[1], 2], [1, [2]], {"a": 1}, ["a", 1], (1, 2), None, "None", True, 1, 1.0, [True]]
    for value in values:
        assert len(keys_of(engine, ("Any", {"value": value}))) == 1, value


def test_version_and_environment_are_part_of_the_key(tmp_path):
    def run(version: str, environment: str, uses_environment: bool = True) -> int:
        calls.clear()
        node_type = dataclasses.replace(scale.node_type, version=version, environment=uses_environment)
        with Engine(
            Registry({"Scale": dataclasses.replace(node_type, output_node=True)}, (), environment),
            cache=CacheSettings(disk=tmp_path),
        ) as engine:
            engine.run(Workflow({"s": WorkflowNode("Scale")}))
        return len(calls)

    assert run("1", "cpu fp32") == 1
    assert run("1", "cpu fp32") == 0
    assert run("2", "cpu fp32") == 1
    assert run("1", "cpu bf16") == 1
    assert run("1", "cpu fp32", uses_environment=False) == 1
    assert run("1", "cpu bf16", uses_environment=False) == 0


def test_ids_matter_to_nodes_that_ask_for_them_or_are_not_idempotent(make_engine):
    @node("Me", category="")
    def me(*, me: UniqueId) -> str:
        return me

    @node("Dice", category="", idempotent=False)
    def dice() -> str:
        return "6"

    engine = make_engine(me, dice)
    for name in ("Me", "Dice"):
        workflow = Workflow({"a": WorkflowNode(name), "b": WorkflowNode(name)})
        before = len(engine.cached_keys())
        engine.run(workflow, targets=["a", "b"])
        assert len(engine.cached_keys()) == before + 2


def test_prompt_and_png_info_never_enter(make_engine):
    @node("Save", category="")
    def save(*, a: float, prompt: Prompt, info: ExtraPngInfo) -> float:
        calls.append("Save")
        return a

    engine = make_engine(save, scale)
    engine.run(Workflow({"s": WorkflowNode("Save", {"a": 1})}), targets=["s"], extra_pnginfo={"workflow": 1})
    more = Workflow({"s": WorkflowNode("Save", {"a": 1}), "x": WorkflowNode("Scale")})
    engine.run(more, targets=["s"], extra_pnginfo={"workflow": 2})
    assert calls == ["Save"]


def test_a_fingerprint_follows_the_file(make_engine, tmp_path):
    def mark(name: str, folders: Folders) -> list[int]:
        status = folders.find("input", name).stat()
        return [status.st_size, status.st_mtime_ns]

    @node("Read", category="", fingerprint=mark)
    def read(*, name: str, amount: float = 1.0) -> str:
        calls.append("Read")
        return (tmp_path / name).read_text()

    (tmp_path / "a.txt").write_text("one")
    folders = Folders(tmp_path, tmp_path, tmp_path, tmp_path)
    engine = make_engine(read, folders=folders)
    workflow = Workflow({"r": WorkflowNode("Read", {"name": "a.txt"})})
    assert engine.run(workflow, targets=["r"]).values("r") == ("one",)
    engine.run(workflow, targets=["r"])
    (tmp_path / "a.txt").write_text("three")
    assert engine.run(workflow, targets=["r"]).values("r") == ("three",)
    assert calls == ["Read", "Read"]


@pytest.mark.parametrize("mark", [math.nan, [1, math.nan], object()])
def test_a_fingerprint_that_equals_nothing_means_never_the_same(make_engine, mark):
    @node("Clock", category="", fingerprint=lambda: mark)
    def clock() -> float:
        calls.append("Clock")
        return 1.0

    engine = make_engine(clock, add)
    workflow = Workflow({"c": WorkflowNode("Clock"), "a": WorkflowNode("Add", {"a": Link("c", 0)})})
    for _ in range(2):
        engine.run(workflow, targets=["a"])
    assert calls == ["Clock", "Add"] * 2
    assert engine.cached_keys() == set()


def test_an_exception_in_a_fingerprint_is_the_nodes_error_when_it_runs(make_engine):
    def mark(name: str) -> str:
        raise FileNotFoundError(name)

    @node("Read", category="", fingerprint=mark)
    def read(*, name: str) -> str:
        return name

    with pytest.raises(NodeError, match=r"node r \(Read\) failed: FileNotFoundError: gone"):
        make_engine(read).run(Workflow({"r": WorkflowNode("Read", {"name": "gone"})}), targets=["r"])


def linked_fingerprint(marked: list[Any]) -> Any:
    def mark(name: str, amount: float) -> str:
        marked.append(name)
        return name

    @node("Marked", category="", fingerprint=mark)
    def marked_node(*, name: str, amount: float = 0.0) -> str:
        calls.append(f"Marked {name}")
        return name

    return marked_node


def test_a_fingerprint_of_a_linked_input_waits_for_its_value(make_engine):
    @node("Name", category="")
    def name(*, text: str) -> str:
        calls.append("Name")
        return text

    @node("After", category="")
    def after(*, a: Anything) -> Anything:
        calls.append("After")
        return a

    marked: list[Any] = []
    engine = make_engine(name, linked_fingerprint(marked), after)
    workflow = Workflow(
        {
            "n": WorkflowNode("Name", {"text": "x"}),
            "m": WorkflowNode("Marked", {"name": Link("n", 0)}),
            "a": WorkflowNode("After", {"a": Link("m", 0)}),
        }
    )
    assert engine.run(workflow, targets=["a"]).values("a") == ("x",)
    assert (marked, calls) == (["x"], ["Name", "Marked x", "After"])
    calls.clear()
    from graph import events

    said: list[events.Event] = []
    engine.run(workflow, targets=["a"], listener=said.append, run_id="r")
    assert calls == []
    assert said[1] == events.NodesCached("r", ("n", "m", "a"))


def test_a_lost_feeder_of_a_fingerprint_is_made_again_but_a_known_node_is_not(make_engine):
    """One of three results is kept: the feeding node runs for its value, and the node after it may be known."""

    @node("Name", category="")
    def name(*, text: str) -> str:
        calls.append("Name")
        return text

    engine = make_engine(name, linked_fingerprint([]), cache=CacheSettings(lru=1))
    workflow = Workflow({"n": WorkflowNode("Name", {"text": "x"}), "m": WorkflowNode("Marked", {"name": Link("n", 0)})})
    engine.run(workflow, targets=["m"])
    calls.clear()
    assert engine.run(workflow, targets=["m"]).values("m") == ("x",)
    assert calls[0] == "Name"


def test_an_asynchronous_fingerprint(make_engine):
    async def mark(name: str) -> str:
        return name

    @node("Read", category="", fingerprint=mark)
    def read(*, name: str) -> str:
        return name

    workflow = Workflow({"r": WorkflowNode("Read", {"name": "x"})})
    assert make_engine(read).run(workflow, targets=["r"]).values("r") == ("x",)
