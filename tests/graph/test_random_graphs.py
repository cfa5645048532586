"""Properties that hold for every graph: a run equals a naive evaluation, whatever is cached, and
changing one literal runs again exactly what follows from it."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.cache.result_cache import CacheSettings
from graph.engine import Engine
from graph.errors import NodeError
from graph.node import Lazy, Listed, Socket, node
from graph.results import NodeResult
from graph.run.expansion import GraphBuilder
from graph.schema import Registry
from graph.workflow import Link, Workflow, WorkflowNode

Whole = Annotated[int, Socket("INT")]

ran: list[int] = []


class Two(NamedTuple):
    first: Whole
    second: Whole


@node("Value", category="")
def value(*, tag: int, x: int) -> Whole:
    ran.append(tag)
    return x


@node("Mix", category="")
def mix(*, tag: int, a: Whole, b: Whole, k: int = 1) -> Two:
    ran.append(tag)
    return Two((a * 3 + b * 5 + k) % 101, (a - b + k) % 101)


@node("Spread", category="")
def spread(*, tag: int, a: Whole, count: int) -> Annotated[Any, Socket("INT"), Listed]:
    ran.append(tag)
    return [(a + i * i) % 101 for i in range(count)]


@node("Gather", category="", input_is_list=True)
def gather(*, tag: int, a: Whole, b: Whole) -> Whole:
    ran.append(tag[0])  # type: ignore[index]
    return (sum(a) * 7 + sum(b) + len(a)) % 101  # type: ignore[arg-type]


@node("Choose", category="", check_lazy=lambda which: ["a" if which else "b"])
def choose(*, tag: int, which: bool, a: Annotated[Whole, Lazy], b: Annotated[Whole, Lazy]) -> Whole:
    ran.append(tag)
    return a if which else b


@node("Grow", category="")
def grow(*, tag: int, a: Whole, b: Whole) -> Two:
    ran.append(tag)
    graph = GraphBuilder()
    inner = graph.node("Mix", tag=-1, a=a, b=b, k=3)
    outer = graph.node("Mix", tag=-1, a=inner.out(1), b=a, k=4)
    return NodeResult(outer.out(0), inner.out(0), expand=graph.finalize())  # type: ignore[return-value]


@node("Later", category="")
async def later(*, tag: int, a: Whole, b: Whole) -> Whole:
    ran.append(tag)
    return (a * 11 + b) % 101


REGISTRY = Registry(
    {
        function.node_type.name: dataclasses.replace(function.node_type, version="1")  # type: ignore[attr-defined]
        for function in (value, mix, spread, gather, choose, grow, later)
    }
)

OUTPUTS = {kind: len(node_type.outputs) for kind, node_type in REGISTRY.items()}


@st.composite
def workflows(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(REGISTRY), counts: tuple[int, int] = (0, 3)) -> Workflow:
    """Nodes 0, 1, …, each fed by earlier ones; ``tag`` is the number, so no two are the same work."""
    nodes: dict[str, WorkflowNode] = {}
    for tag in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(kinds)) if tag else "Value"
        inputs: dict[str, Any] = {"tag": tag}
        for declared in REGISTRY[kind].inputs[1:]:
            if declared.name in ("a", "b"):
                feeder = draw(st.integers(0, tag - 1))
                output = draw(st.integers(0, OUTPUTS[nodes[str(feeder)].class_type] - 1))
                inputs[declared.name] = Link(str(feeder), output)
            elif declared.name == "count":
                inputs["count"] = draw(st.integers(*counts))
            else:
                inputs[declared.name] = draw(st.booleans() if declared.type == "BOOLEAN" else st.integers(0, 50))
        nodes[str(tag)] = WorkflowNode(kind, inputs)
    return Workflow(nodes)


def naive(workflow: Workflow) -> dict[str, list[list[int]]]:
    """Every node's outputs as lists of elements, one node after the other."""
    results: dict[str, list[list[int]]] = {}
    for node_id, placed in workflow.nodes.items():
        lists = {
            name: results[given.node][given.output] if isinstance(given, Link) else [given]
            for name, given in placed.inputs.items()
        }
        kind = placed.class_type
        if kind == "Gather":
            total = (sum(lists["a"]) * 7 + sum(lists["b"]) + len(lists["a"])) % 101
            results[node_id] = [[total]]
            continue
        if kind == "Choose":
            del lists["b" if lists["which"][0] else "a"]
        outputs: list[list[int]] = [[] for _ in range(OUTPUTS[kind])]
        for i in range(max(map(len, lists.values())) if all(lists.values()) else 0):
            x = {name: elements[min(i, len(elements) - 1)] for name, elements in lists.items()}
            if kind == "Value":
                call = [[x["x"]]]
            elif kind == "Mix":
                call = [[(x["a"] * 3 + x["b"] * 5 + x["k"]) % 101], [(x["a"] - x["b"] + x["k"]) % 101]]
            elif kind == "Spread":
                call = [[(x["a"] + n * n) % 101 for n in range(x["count"])]]
            elif kind == "Choose":
                call = [[x["a"] if x["which"] else x["b"]]]
            elif kind == "Grow":
                inner = (x["a"] * 3 + x["b"] * 5 + 3) % 101, (x["a"] - x["b"] + 3) % 101
                call = [[(inner[1] * 3 + x["a"] * 5 + 4) % 101], [inner[0]]]
            else:
                call = [[(x["a"] * 11 + x["b"]) % 101]]
            for output, elements in zip(outputs, call, strict=True):
                output.extend(elements)
        results[node_id] = outputs
    return results


def computed(engine: Engine, workflow: Workflow, targets: list[str] | None = None) -> dict[str, list[list[int]]]:
    targets = list(workflow.nodes) if targets is None else targets
    result = engine.run(workflow, targets=targets)
    return {
        target: [found if isinstance(found, list) else [found] for found in result.values(target)] for target in targets
    }


def descendants(workflow: Workflow, root: str) -> set[str]:
    found = {root}
    for node_id, placed in workflow.nodes.items():
        if any(isinstance(given, Link) and given.node in found for given in placed.inputs.values()):
            found.add(node_id)
    return found


quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

CACHES = {
    "memory": CacheSettings(),
    "none": CacheSettings(enabled=False),
    "one result": CacheSettings(lru=1),
    "three results": CacheSettings(lru=3),
    "few bytes": CacheSettings(memory_bytes=3000),
}


@pytest.mark.parametrize("cache", CACHES)
@quickly
@given(data=st.data())
def test_a_run_equals_a_naive_evaluation(cache, data):
    workflow = data.draw(workflows())
    expected = naive(workflow)
    targets = data.draw(st.lists(st.sampled_from(list(workflow.nodes)), min_size=1, unique=True))
    with Engine(REGISTRY, cache=CACHES[cache], check_values=True) as engine:
        for _ in range(2):
            assert computed(engine, workflow, targets) == {target: expected[target] for target in targets}
        assert computed(engine, workflow) == expected


@pytest.mark.parametrize("cache", ["memory", "none"])
@quickly
@given(workflow=workflows(counts=(1, 1)), data=st.data())
def test_nothing_runs_twice_and_only_what_is_needed_runs(cache, workflow, data):
    target = data.draw(st.sampled_from(list(workflow.nodes)))
    needed = {target}
    for node_id in reversed(workflow.nodes):
        if node_id in needed:
            placed = workflow.nodes[node_id]
            skipped = {"Choose": "b" if placed.inputs.get("which") else "a"}.get(placed.class_type)
            needed |= {
                given.node for name, given in placed.inputs.items() if isinstance(given, Link) and name != skipped
            }
    ran.clear()
    with Engine(REGISTRY, cache=CACHES[cache]) as engine:
        engine.run(workflow, targets=[target])
    assert sorted(tag for tag in ran if tag >= 0) == sorted(map(int, needed))


@quickly
@given(workflow=workflows())
def test_another_process_finds_everything_on_disk(workflow):
    expected = naive(workflow)
    with tempfile.TemporaryDirectory() as folder:
        cache = CacheSettings(disk=Path(folder), disk_after_seconds=0.0)
        with Engine(REGISTRY, cache=cache) as engine:
            assert computed(engine, workflow) == expected
        ran.clear()
        with Engine(REGISTRY, cache=cache, check_values=True) as engine:
            assert computed(engine, workflow) == expected
    expanding = {int(tag) for tag, placed in workflow.nodes.items() if placed.class_type == "Grow"}
    assert set(ran) <= expanding, "these expand again, to nodes that are found"


@quickly
@given(workflow=workflows(), data=st.data())
def test_under_other_ids_and_in_another_order_everything_is_found(workflow, data):
    names = data.draw(st.permutations([f"other {node_id}" for node_id in workflow.nodes]))
    renamed = dict(zip(workflow.nodes, names, strict=True))
    nodes = {
        renamed[node_id]: WorkflowNode(
            placed.class_type,
            {
                name: Link(renamed[given.node], given.output) if isinstance(given, Link) else given
                for name, given in reversed(placed.inputs.items())
            },
        )
        for node_id, placed in workflow.nodes.items()
    }
    other = Workflow({name: nodes[name] for name in data.draw(st.permutations(list(nodes)))})
    with Engine(REGISTRY) as engine:
        expected = computed(engine, workflow)
        ran.clear()
        found = computed(engine, other)
    assert ran == []
    assert {renamed[node_id]: outputs for node_id, outputs in expected.items()} == found


@pytest.mark.parametrize("where", ["memory", "disk"])
@quickly
@given(
    workflow=workflows(("Value", "Mix", "Spread", "Gather", "Later"), counts=(1, 3)),
    data=st.data(),
)
def test_changing_one_literal_runs_again_exactly_what_follows(where, workflow, data):
    changed_id = data.draw(
        st.sampled_from([i for i, n in workflow.nodes.items() if {"x", "k", "count"} & n.inputs.keys()])
    )
    placed = workflow.nodes[changed_id]
    name = next(name for name in ("x", "k", "count") if name in placed.inputs)
    inputs = {**placed.inputs, name: placed.inputs[name] + 100}
    changed = Workflow({**workflow.nodes, changed_id: WorkflowNode(placed.class_type, inputs)})
    with tempfile.TemporaryDirectory() as folder:
        on_disk = where == "disk"
        cache = CacheSettings(disk=Path(folder) if on_disk else None, disk_after_seconds=0.0)
        with Engine(REGISTRY, cache=cache) as engine:
            computed(engine, workflow)
            ran.clear()
            if not on_disk:
                assert computed(engine, changed) == naive(changed)
        if on_disk:
            with Engine(REGISTRY, cache=cache) as engine:
                assert computed(engine, changed) == naive(changed)
    assert {str(tag) for tag in ran} == descendants(changed, changed_id)


@quickly
@given(data=st.data())
def test_a_failing_node_fails_the_run_and_what_was_done_stays_done(data):
    workflow = data.draw(workflows(("Value", "Mix", "Gather", "Later")))
    last = str(len(workflow.nodes) - 1)

    @node("Fail", category="")
    def fail(*, a: Whole) -> Whole:
        raise ValueError("no")

    registry = Registry({**REGISTRY, "Fail": fail.node_type})  # type: ignore[attr-defined]
    broken = Workflow({**workflow.nodes, "fail": WorkflowNode("Fail", {"a": Link(last, 0)})})
    with Engine(registry) as engine:
        with pytest.raises(NodeError):
            engine.run(broken, targets=["fail"])
        ran.clear()
        assert computed(engine, workflow, [last]) == {last: naive(workflow)[last]}
    assert ran == []
