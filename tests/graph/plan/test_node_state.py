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


def state(node_id: str = "1", *links: InputLink) -> NodeState:
    return NodeState(node_id, Kind(one.node_type, ""), {}, links)


RESULT = Entry(((1,),))


def finish(it: NodeState) -> None:
    it.finish(RESULT)


def ask_inputs(it: NodeState) -> None:
    it.wait_for_inputs(0)


def unneeded(it: NodeState) -> None:
    """Hold and release the node, like the only node that needs it."""
    link = InputLink("value", "value", it.id, 0, lazy=False, raw=False)
    link.source = it
    consumer = state("consumer", link)
    consumer.hold()
    consumer.release()


def test_a_node_runs_once_through_its_phases() -> None:
    it = state()
    it.wait_for_key(1)
    assert it.phase is Phase.AWAITS_KEY and it.waiting == 1
    it.key_is_set()
    it.wait_for_inputs(0)
    it.inputs_arrived()
    it.start()
    assert list(it.finish(RESULT)) == []
    assert it.phase is Phase.DONE


@pytest.mark.parametrize(
    ("before", "illegal"),
    [
        ([], NodeState.start),
        ([], NodeState.inputs_arrived),
        ([ask_inputs, NodeState.inputs_arrived], NodeState.inputs_arrived),
        ([ask_inputs, NodeState.inputs_arrived], finish),
        ([finish], finish),
        ([finish], NodeState.wait_for_twin),
        ([unneeded], ask_inputs),
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
    it.finish(RESULT)
    it.restart()
    assert (it.phase, it.known, it.asked) == (Phase.PLANNED, False, frozenset())


def test_a_waiter_continues_after_the_last_node_it_waits_for() -> None:
    first, second, waiter = state(), state("2"), state("3")
    waiter.wait_for_inputs(2)
    for it in (first, second):
        it.await_result(waiter)
        assert it.wanted
    assert list(first.finish(RESULT)) == []
    assert list(second.finish(RESULT)) == [waiter]
    assert second.waiters is None


def test_a_node_that_expands_takes_its_own_links_back_when_it_restarts() -> None:
    source, inner = state("2"), state("3")
    own = InputLink("value", "value", "2", 0, lazy=False, raw=False)
    own.source = source
    it = state("1", own)
    for transition in (ask_inputs, NodeState.inputs_arrived, NodeState.start):
        transition(it)
    made_of = InputLink("", "", "3", 0, lazy=False, raw=False)
    made_of.source = inner
    it.expand((made_of,), [], 0.1)
    assert it.held() == [inner]
    it.finish(RESULT)
    it.restart()
    it.restore_links()
    assert it.held() == [source]


def test_a_twin_is_counted_while_the_node_holds_its_sources() -> None:
    it, twin = state(), state("2")
    it.hold()
    it.set_twin(twin)
    assert twin.uses == 1
    it.drop_twin()
    assert (twin.uses, it.twin) == (0, None)


def test_only_node_state_changes_a_state() -> None:
    """Every module in graph/ reads a NodeState's attributes and calls its transitions; none assigns them."""
    attributes = {name for name in vars(NodeState) if not callable(getattr(NodeState, name))} | vars(state()).keys()
    attributes = {name for name in attributes if not name.startswith("__")}
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
