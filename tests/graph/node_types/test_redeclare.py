"""Nodes whose inputs change while the process runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from graph import Engine, Input, NodeType, Output, Registry, Workflow, WorkflowNode
from graph.node_types.redeclare import Redeclarer
from graph.node_types.schema_data import node_type_from_data, node_type_to_data


def changing(inputs: Callable[[], tuple[Input, ...]]) -> tuple[Registry, Redeclarer]:
    def give(**values: Any) -> str:
        return repr(sorted(values.items()))

    def redeclare() -> NodeType:
        return replace(node_type, inputs=inputs())

    node_type = NodeType("Changing", give, outputs=(Output("text", "STRING"),), redeclare=redeclare)
    registry = Registry({"Changing": node_type, "Fixed": NodeType("Fixed", give)})
    return registry, Redeclarer(registry)


def test_runs_use_the_inputs_of_now() -> None:
    declared = (Input("a", "INT", default=1),)
    registry, redeclarer = changing(lambda: declared)
    with Engine(registry) as engine:
        for names in ("a", "ab"):
            declared = tuple(Input(name, "INT", default=1) for name in names)
            (found,) = redeclarer.ask(["Changing", "Fixed", "not there"])
            assert found is registry["Changing"] and [i.name for i in found.inputs] == list(names)
            workflow = Workflow({"1": WorkflowNode("Changing", {})})
            assert engine.run(workflow, targets=["1"]).values("1") == (repr([(name, 1) for name in names]),)
    assert redeclarer.ask()[0] is found  # the same as long as nothing changes


def test_one_that_fails_stays_as_it_was_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> tuple[Input, ...]:
        raise OSError("no such folder")

    registry, redeclarer = changing(fail)
    before = registry["Changing"]
    assert redeclarer.ask() == redeclarer.ask() == [before]
    assert caplog.text.count("no such folder") == 1


def test_one_that_hangs_holds_nobody_up_for_long() -> None:
    hanging, go_on = threading.Event(), threading.Event()

    def hang() -> tuple[Input, ...]:
        hanging.set()
        go_on.wait(60)
        return ()

    registry, redeclarer = changing(hang)
    first = threading.Thread(target=redeclarer.ask)
    first.start()
    hanging.wait(60)
    assert redeclarer.ask() == [registry["Changing"]]
    go_on.set()
    first.join()


def test_that_inputs_may_change_is_known_elsewhere_too() -> None:
    registry, _ = changing(tuple)
    read = {name: node_type_from_data(node_type_to_data(node_type)) for name, node_type in registry.items()}
    assert read["Changing"].redeclare is not None and read["Fixed"].redeclare is None
