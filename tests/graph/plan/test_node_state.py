"""The states of a node: which transitions are legal, and that no other module changes a state."""

import ast
from pathlib import Path

import pytest

import graph
from graph.cache.entry import Entry
from graph.node import node
from graph.plan.kind import Kind
from graph.plan.node_state import IllegalTransition, InputLink, NodeState, Phase

GRAPH = Path(graph.__file__).parent


@node("One", category="test")
def one() -> int:
    """1."""
    return 1


def state(node_id: str = "1", parent: NodeState | None = None) -> NodeState:
    return NodeState(node_id, Kind(one.node_type, ""), {}, parent)


def test_a_node_runs_once_through_its_phases() -> None:
    it = state()
    it.wait_for_key(1)
    assert it.phase is Phase.AWAITS_KEY and it.waiting == 1
    it.key_is_set()
    it.wait_for_inputs()
    it.inputs_arrived()
    it.start()
    assert list(it.finish()) == []
    assert it.phase is Phase.DONE


@pytest.mark.parametrize(
    ("before", "illegal"),
    [
        ([], NodeState.start),
        ([], NodeState.inputs_arrived),
        ([NodeState.wait_for_inputs, NodeState.inputs_arrived], NodeState.inputs_arrived),
        ([NodeState.wait_for_inputs, NodeState.inputs_arrived], NodeState.finish),
        ([NodeState.wait_for_inputs], NodeState.drop),
        ([NodeState.finish], NodeState.finish),
        ([NodeState.finish], NodeState.wait_for_twin),
        ([NodeState.drop], NodeState.wait_for_inputs),
    ],
)
def test_an_illegal_transition_is_an_error_that_names_both_phases(before, illegal) -> None:
    it = state()
    for transition in before:
        transition(it)
    phase = it.phase
    with pytest.raises(IllegalTransition, match=rf"node 1 \(One\): [A-Z_]+ cannot follow {phase.name}"):
        illegal(it)
    assert it.phase is phase


def test_a_dropped_result_that_is_needed_again_starts_over() -> None:
    it = state()
    it.mark_known()
    it.set_entry(Entry(((1,),)))
    it.finish()
    it.restart()
    assert (it.phase, it.known, it.asked) == (Phase.PLANNED, False, frozenset())


def test_waiters_are_told_once() -> None:
    it, waiter = state(), state("2")
    waiter.wait_for_inputs()
    waiter.wait(2)
    it.await_result(waiter)
    assert list(it.finish()) == [waiter]
    assert it.waiters is None
    assert [waiter.one_arrived(), waiter.one_arrived()] == [False, True]


def test_a_node_that_expands_takes_its_own_links_back_when_it_restarts() -> None:
    it, source, inner = state(), state("2"), state("3", None)
    own = InputLink("value", "value", "2", 0, lazy=False, raw=False)
    own.source = source
    it.connect([own])
    for transition in (NodeState.wait_for_inputs, NodeState.inputs_arrived, NodeState.start):
        transition(it)
    made_of = InputLink("", "", "3", 0, lazy=False, raw=False)
    made_of.source = inner
    it.expand((made_of,), [])
    assert list(it.held()) == [inner]
    it.finish()
    it.restart()
    it.restore_links()
    assert list(it.held()) == [source]


def test_a_twin_is_counted_while_the_node_holds_its_sources() -> None:
    it, twin = state(), state("2")
    it.start_holding()
    it.set_twin(twin)
    assert twin.uses == 1
    it.drop_twin()
    assert (twin.uses, it.twin) == (0, None)


def test_only_node_state_changes_a_state() -> None:
    """Every module in graph/ reads a NodeState's attributes and calls its transitions; none assigns them."""
    attributes = {name for name in vars(NodeState) if not callable(getattr(NodeState, name))} | vars(state()).keys()
    offenders = []
    for path in GRAPH.rglob("*.py"):
        if path.name == "node_state.py":
            continue
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            targets: list[ast.expr] = []
            if isinstance(statement, ast.Assign):
                targets = statement.targets
            elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
                targets = [statement.target]
            for target in targets:
                for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if (
                        isinstance(part, ast.Attribute)
                        and part.attr in attributes
                        and not (isinstance(part.value, ast.Name) and part.value.id == "self")
                    ):
                        offenders.append(f"{path.relative_to(GRAPH)}:{statement.lineno} {ast.unparse(part)}")
    assert offenders == []
