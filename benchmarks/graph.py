"""What the engine itself costs: chains and fans of trivial nodes, cold and cached.

    python benchmarks/graph.py [--repeat 3] [--json]

Each figure is the best of the repeats, and covers what a real run does: validation, keys, cache
lookups, events to a listener, and the disk tier (in a temporary folder). ``cold`` runs every node;
``cached`` is the same workflow again; ``disk`` is the same workflow in a new engine over the same
folder, where only the output node's record is stored, since trivial results are not worth a file.
Linear is the time per node at the largest size over that at 1,000 nodes: 1.0 would be ideal.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from graph.cache.result_cache import CacheSettings
from graph.engine import Engine
from graph.events import Event
from graph.node import Socket, node
from graph.results import NodeResult
from graph.schema import Registry
from graph.validation.validate import validate
from graph.workflow import Link, Workflow, WorkflowNode

SIZES = (10, 100, 1_000, 10_000)


@node("Number", category="benchmark")
def number(*, value: float = 0.0) -> float:
    """A number."""
    return value


@node("Add", category="benchmark")
def add(*, a: float, b: float = 1.0) -> float:
    """a + b."""
    return a + b


@node("Total", category="benchmark", output_node=True)
def total(*, first: Annotated[float, Socket("FLOAT")], **more: float) -> None:
    """The sum of all inputs, shown."""
    return NodeResult(ui={"total": [first + sum(more.values())]})


REGISTRY = Registry(
    {
        "Number": dataclasses.replace(number.node_type, version="1"),
        "Add": dataclasses.replace(add.node_type, version="1"),
        "Total": dataclasses.replace(total.node_type, version="1", accepts_extra_inputs=True),
    }
)


def chain(size: int, start: float) -> Workflow:
    """``size`` nodes, each fed by the one before."""
    nodes = {"0": WorkflowNode("Number", {"value": start})}
    nodes |= {str(i): WorkflowNode("Add", {"a": Link(str(i - 1), 0), "b": 1.0}) for i in range(1, size - 1)}
    nodes["end"] = WorkflowNode("Total", {"first": Link(str(size - 2), 0)})
    return Workflow(nodes)


def fan(size: int, start: float) -> Workflow:
    """One node that feeds ``size - 2`` others, which all feed the last."""
    nodes = {"0": WorkflowNode("Number", {"value": start})}
    nodes |= {str(i): WorkflowNode("Add", {"a": Link("0", 0), "b": float(i)}) for i in range(1, size - 1)}
    rest = {f"n{i}": Link(str(i), 0) for i in range(2, size - 1)}
    nodes["end"] = WorkflowNode("Total", {"first": Link("1", 0), **rest})
    return Workflow(nodes)


def timed(engine: Engine, workflow: Workflow) -> float:
    """Seconds to validate and run ``workflow``."""
    said: list[Event] = []
    begin = time.perf_counter()
    problems = validate(workflow, REGISTRY)
    engine.run(workflow, listener=said.append)
    seconds = time.perf_counter() - begin
    if problems:
        raise SystemExit("\n".join(map(str, problems[:5])))
    return seconds


def measure(shape: Callable[[int, float], Workflow], size: int, repeat: int) -> dict[str, float]:
    """The best seconds of each kind of run."""
    best = {"cold": float("inf"), "cached": float("inf"), "disk": float("inf")}
    for turn in range(repeat):
        workflow = shape(size, float(turn))
        with tempfile.TemporaryDirectory() as folder:
            settings = CacheSettings(disk=Path(folder))
            with Engine(REGISTRY, cache=settings) as engine:
                best["cold"] = min(best["cold"], timed(engine, workflow))
                best["cached"] = min(best["cached"], timed(engine, workflow))
            with Engine(REGISTRY, cache=settings) as engine:
                best["disk"] = min(best["disk"], timed(engine, workflow))
    return best


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for shape in (chain, fan):
        for size in SIZES:
            best = measure(shape, size, arguments.repeat)
            rows.append({"shape": shape.__name__, "nodes": size, **best})
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    kinds = ("cold", "cached", "disk")
    heads = [f"{kind:>10}" for kind in kinds]
    print("graph   nodes", *heads, "  µs a node:", *heads)
    for row in rows:
        seconds = [f"{row[kind] * 1e3:>7.1f} ms" for kind in kinds]
        per_node = [f"{row[kind] / row['nodes'] * 1e6:>10.1f}" for kind in kinds]
        print(f"{row['shape']:<6} {row['nodes']:>6}", *seconds, "             ", *per_node)
    for shape in (chain, fan):
        named = {row["nodes"]: row for row in rows if row["shape"] == shape.__name__}
        linear = {kind: named[10_000][kind] / named[1_000][kind] / 10 for kind in ("cold", "cached")}
        print(f"{shape.__name__}: linear to {linear['cold']:.2f} cold, {linear['cached']:.2f} cached")


if __name__ == "__main__":
    main()
