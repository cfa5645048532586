"""Executes one run: works back from the outputs, and runs each node when its inputs are there.

The loop runs on the calling thread. Synchronous nodes are called there, one at a time. Asynchronous ones run on
an event loop's thread from the moment they are ready. There is no recursion, so chains, loops built from
expansions and list inputs may be of any length.
"""

from __future__ import annotations

import inspect
import queue
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from graph.cache.result_cache import ResultCache
from graph.codec import Codec
from graph.context import executing
from graph.errors import InputValueError, Interrupted, NodeError, WorkflowError
from graph.events import Listener, NodesCached, RunStarted, RunSucceeded
from graph.folders import Folders
from graph.plan.dynamic_prompt import DynamicPrompt
from graph.plan.keys import Keys
from graph.plan.kind import Kind
from graph.plan.lists import blocker_in, slices
from graph.plan.node_state import NodeState, Phase
from graph.plan.plan import Plan, node_error
from graph.results import Blocked
from graph.run.async_nodes import EventLoopThread, Outcome, Tasks, side_by_side
from graph.run.completion import BLOCKED, Completion
from graph.run.emitter import EventEmitter
from graph.run.journal import RunJournal
from graph.run.node_context import NodeContext, RunContext
from graph.run.schedule import ResultEvicted, Schedule
from graph.run.summary import summary
from graph.run.value_check import ValueCheck
from graph.workflow import Workflow


class EngineServices(NamedTuple):
    """The parts of an engine that all its runs share."""

    kinds: Callable[[str], Kind]
    codecs: Sequence[Codec]
    cache: ResultCache
    folders: Folders | None
    loop_thread: EventLoopThread
    check_values: bool


class Run:
    """One run of one workflow."""

    def __init__(
        self,
        services: EngineServices,
        workflow: Workflow,
        run_id: str,
        listener: Listener | None,
        journal: RunJournal,
        extra_pnginfo: Any,
        previews: bool,
    ):
        cache, codecs, folders, loop_thread = services.cache, services.codecs, services.folders, services.loop_thread
        self.run_id = run_id
        self.emitter = EventEmitter(run_id, listener, self._wake)
        self._folders = folders
        self._cache = cache
        self._journal = journal
        self._node_services = RunContext(run_id, folders, journal, self.emitter, previews, self.check_interrupted)
        self._completions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        keys = Keys(codecs, folders, loop_thread.wait) if cache.enabled else None
        self._plan = Plan(workflow, services.kinds, keys, cache)
        self._tasks = Tasks(loop_thread)
        self._check = ValueCheck(codecs) if services.check_values else None
        self._schedule = Schedule(self._plan, keys, cache, self._check, self.emitter)
        self._completion = Completion(self._plan, self._schedule, keys, cache, self._check, folders, self.emitter)
        self._extra_pnginfo = extra_pnginfo
        self._prompt: dict[str, Any] | None = None
        self._stop = False

    def execute(self, targets: Sequence[str] | None) -> dict[str, NodeState]:
        """Run the nodes that ``targets`` (by default every output node) need. Returns the targets' states.

        Raises NodeError or Interrupted, after the corresponding event.
        """
        try:
            self.emitter.emit(RunStarted(self.run_id))
            if targets is None:
                targets = self._plan.output_nodes(self._plan.workflow.nodes)
            self._pull(targets)
            self._loop()
            self._cache.flush()
            self._journal.remove()
            self.emitter.emit(RunSucceeded(self.run_id))
        except NodeError as error:
            self._end()
            self.emitter.run_failed(error)
            raise
        except (Interrupted, KeyboardInterrupt):
            self._end()
            self.emitter.run_interrupted()
            raise
        finally:
            self.emitter.close()
            self._tasks.cancel()
        return {target: self._plan.states[target] for target in targets}

    # Called from nodes and other threads.

    def interrupt(self) -> None:
        """Ask the run to stop. Called from any thread."""
        self._stop = True
        self._wake()

    def check_interrupted(self) -> None:
        if self._stop:
            raise Interrupted("the run was interrupted")

    def _wake(self) -> None:
        self._completions.put(_nothing)

    # The loop.

    def _pull(self, targets: Sequence[str]) -> None:
        new = self._plan.add(targets)
        self.emitter.emit(NodesCached(self.run_id, tuple(state.id for state in new if state.known)))
        for target in targets:
            self._schedule.pin(self._plan.states[target])

    def _loop(self) -> None:
        schedule, completions = self._schedule, self._completions
        while True:
            schedule.advance()
            self.check_interrupted()
            self.emitter.emit_queued()
            if not completions.empty():
                completions.get()()
                continue
            state = schedule.pop()
            if state is not None:
                if state.phase is Phase.EXPANDED:
                    self._completion.resume(state)
                else:
                    self._begin(state)
            elif self._tasks.running:
                completions.get()()
            elif completions.empty():
                break
        schedule.refuse_deadlock()

    # Running a node.

    def _begin(self, state: NodeState) -> None:
        """Call the node, or first ask it which lazy inputs it needs."""
        try:
            inputs = self._schedule.gather(state)
        except ResultEvicted:
            self._schedule.ask_inputs(state)
            return
        if state.failure is not None:
            raise node_error(state, state.failure)
        state.start()
        if state.kind.check_lazy is not None and any(k.lazy and k.name not in state.asked for k in state.links):
            self._ask_lazy(state, inputs)
        else:
            self._call(state, inputs)

    def _ask_lazy(self, state: NodeState, inputs: dict[str, tuple[Any, ...]]) -> None:
        kind = state.kind
        function, accepted = kind.type.check_lazy, kind.check_lazy
        assert function is not None and accepted is not None
        pending: list[Any] = []
        absent = {link.parameter: None for link in state.links if link.lazy and link.parameter not in inputs}
        try:
            for index, call in enumerate(slices(inputs, kind.type.input_is_list)):
                if blocker_in(call, kind.type.input_is_list) is None:
                    context = NodeContext(self._node_services, state, index)
                    known = {"context": context, "folders": self._folders} | absent | self._hidden(state) | call
                    with executing(context):
                        pending.append(function(**accepted.select(known)))
        except (Exception, SystemExit) as error:
            raise self._failure(state, error) from error
        if not any(inspect.isawaitable(answer) for answer in pending):
            self._add_requested(state, inputs, pending)
            return

        async def ask() -> list[Any]:
            return [await answer if inspect.isawaitable(answer) else answer for answer in pending]

        self._launch(state, ask(), lambda answers: self._add_requested(state, inputs, answers))

    def _add_requested(self, state: NodeState, inputs: dict[str, tuple[Any, ...]], answers: list[Any]) -> None:
        names = {name for answer in answers for name in ([answer] if isinstance(answer, str) else answer or ())}
        unknown = names - state.kind.type.by_name.keys() - {link.name for link in state.links}
        if unknown:
            problem = WorkflowError(f"check_lazy asks for {', '.join(sorted(map(repr, unknown)))}: no such input")
            raise node_error(state, problem)
        new = {link.name for link in state.links if link.lazy and link.name in names} - state.asked
        if new:
            state.ask_for(new)
            self._schedule.ask_inputs(state)
        else:
            self._call(state, inputs)

    def _call(self, state: NodeState, inputs: dict[str, tuple[Any, ...]]) -> None:
        kind = state.kind
        node_type = kind.type
        hidden = self._hidden(state) if node_type.hidden else None
        absent = [link.parameter for link in state.links if link.lazy and link.parameter not in inputs]
        calls: list[dict[str, Any] | Blocked] = []
        any_blocked = False
        for arguments in slices(inputs, node_type.input_is_list, node_type.called_for_nothing):
            blocker = blocker_in(arguments, node_type.input_is_list)
            if blocker is not None:
                calls.append(blocker)
                any_blocked = True
                continue
            for parameter in absent:
                arguments[parameter] = None
            if hidden:
                arguments |= hidden
            calls.append(arguments)
        if any_blocked and self._completion.report_blocked(state, calls):
            return
        self.emitter.node_started(state)
        if self._check is not None:
            self._check.before(state)
        if node_type.is_async:
            started = time.perf_counter()
            self._launch(
                state,
                self._await_calls(state, calls),
                lambda returned: self._completion.take(state, returned, time.perf_counter() - started),
                inputs,
            )
            return
        started = time.perf_counter()
        returned = []
        try:
            for index, call in enumerate(calls):
                if isinstance(call, Blocked):
                    returned.append(BLOCKED)
                    continue
                if index:
                    self.check_interrupted()
                with executing(self._context(state, index, call)):
                    returned.append(kind.function(**call))
        except (Exception, SystemExit) as error:
            raise self._failure(state, error, inputs) from error
        self._completion.take(state, returned, time.perf_counter() - started)

    async def _await_calls(self, state: NodeState, calls: list[dict[str, Any] | Blocked]) -> list[Any]:
        async def one(index: int, call: dict[str, Any] | Blocked) -> Any:
            if isinstance(call, Blocked):
                return BLOCKED
            with executing(self._context(state, index, call)):
                return await state.kind.function(**call)

        return await side_by_side([one(index, call) for index, call in enumerate(calls)])

    def _context(self, state: NodeState, index: int, call: dict[str, Any]) -> NodeContext:
        """Return the context of one call, and add it to the arguments if the node takes it as one."""
        context = NodeContext(self._node_services, state, index)
        parameter = state.kind.type.context_parameter
        if parameter is not None:
            call[parameter] = context
        return context

    def _launch(
        self,
        state: NodeState,
        coroutine: Coroutine[Any, Any, list[Any]],
        then: Callable[[list[Any]], None],
        inputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Run ``coroutine`` on the event loop's thread; ``then`` receives its result on this thread."""

        def complete(outcome: Outcome) -> None:
            if outcome.error is not None:
                raise self._failure(state, outcome.error, inputs) from outcome.error
            then(outcome.value)

        self._tasks.launch(coroutine, lambda outcome: self._completions.put(lambda: complete(outcome)))

    def _hidden(self, state: NodeState) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for parameter, what in state.kind.type.hidden.items():
            if what == "UNIQUE_ID":
                values[parameter] = state.id
            elif what == "EXTRA_PNGINFO":
                values[parameter] = self._extra_pnginfo
            elif what == "DYNPROMPT":
                values[parameter] = DynamicPrompt(self._plan)
            else:
                if self._prompt is None:
                    self._prompt = self._plan.workflow.to_api()
                values[parameter] = self._prompt
        return values

    # Errors.

    def _failure(self, state: NodeState, error: BaseException, inputs: Mapping[str, Any] | None = None) -> Exception:
        """Return the exception to raise for ``error``: Interrupted once the run was asked to stop."""
        if self._stop or isinstance(error, Interrupted):
            return Interrupted("the run was interrupted")
        if isinstance(error, InputValueError):
            error = _with_source(error, state)
        failure = node_error(state, error)
        failure.current_inputs = {name: summary(elements) for name, elements in (inputs or {}).items()}
        return failure

    def _end(self) -> None:
        """Cancel asynchronous nodes and finish writing results."""
        self._tasks.cancel()
        self._cache.flush()


def _with_source(error: InputValueError, state: NodeState) -> InputValueError:
    """Return the error with the node that feeds the input."""
    for link in state.own_links or state.links:
        if link.name == error.input_name:
            placed = link.source.placed()
            return error.given_by(f"output {link.output} of node {placed.id} ({placed.kind.name})")
    return error


def _nothing() -> None:
    pass
