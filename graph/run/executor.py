"""One run: nodes are pulled from the outputs, and run when what they need is there.

The loop runs on the calling thread. Synchronous nodes are called there, one at a time;
asynchronous ones run on an event loop's thread from the moment they are ready. Nothing
recurses: chains, loops built from expansions and list inputs may be as long as they like.
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
from graph.errors import Interrupted, NodeError, WorkflowError
from graph.events import Listener, NodesCached, RunStarted, RunSucceeded
from graph.folders import Folders
from graph.plan.dynamic_prompt import DynamicPrompt
from graph.plan.keys import Keys
from graph.plan.kind import Kind
from graph.plan.lists import blocker_in, slices
from graph.plan.node_state import NodeState, Phase
from graph.plan.plan import Plan, node_error
from graph.results import Blocked
from graph.run.announcer import Announcer
from graph.run.async_nodes import EventLoopThread, Outcome, Tasks, side_by_side
from graph.run.concluder import BLOCKED, Concluder
from graph.run.journal import RunJournal
from graph.run.node_context import NodeContext
from graph.run.schedule import Lost, Schedule
from graph.run.summary import summary
from graph.run.value_check import ValueCheck
from graph.workflow import Workflow


class Surroundings(NamedTuple):
    """What all runs of an engine share."""

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
        around: Surroundings,
        workflow: Workflow,
        run_id: str,
        listener: Listener | None,
        journal: RunJournal,
        extra_pnginfo: Any,
        previews: bool,
    ):
        self.run_id = run_id
        self.folders = around.folders
        self.previews = previews
        self.journal = journal
        self._completions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.say = Announcer(run_id, listener, self._wake)
        self._cache = around.cache
        keys = Keys(around.codecs, around.folders, around.loop_thread.wait) if around.cache.enabled else None
        self._plan = Plan(workflow, around.kinds, keys, around.cache)
        self._tasks = Tasks(around.loop_thread)
        self._check = ValueCheck(around.codecs) if around.check_values else None
        self._schedule = Schedule(self._plan, keys, around.cache, self._check, self.say)
        self._concluder = Concluder(
            self._plan, self._schedule, keys, around.cache, self._check, around.folders, self.say
        )
        self._extra_pnginfo = extra_pnginfo
        self._prompt: dict[str, Any] | None = None
        self._stop = False

    def execute(self, targets: Sequence[str] | None) -> dict[str, NodeState]:
        """Run what ``targets`` (by default every output node) need; returns their states.

        Raises NodeError or Interrupted, after the event that says the same.
        """
        try:
            self.say.emit(RunStarted(self.run_id))
            if targets is None:
                targets = self._plan.output_nodes(self._plan.workflow.nodes)
            self._pull(targets)
            self._loop()
            self._cache.flush()
            self.journal.remove()
            self.say.emit(RunSucceeded(self.run_id))
        except NodeError as error:
            self._end()
            self.say.failed(error)
            raise
        except (Interrupted, KeyboardInterrupt):
            self._end()
            self.say.interrupted()
            raise
        finally:
            self.say.close()
            self._tasks.cancel()
        return {target: self._plan.states[target] for target in targets}

    # What nodes and other threads ask for.

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
        self.say.emit(NodesCached(self.run_id, tuple(state.id for state in new if state.known)))
        for target in targets:
            self._schedule.pin(self._plan.states[target])

    def _loop(self) -> None:
        schedule, completions = self._schedule, self._completions
        while True:
            schedule.advance()
            self.check_interrupted()
            self.say.say_posted()
            if not completions.empty():
                completions.get()()
                continue
            state = schedule.pop()
            if state is not None:
                if state.phase is Phase.EXPANDED:
                    self._concluder.resume(state)
                else:
                    self._begin(state)
            elif self._tasks.running:
                completions.get()()
            elif completions.empty():
                break
        schedule.refuse_deadlock()

    # Running a node.

    def _begin(self, state: NodeState) -> None:
        """Call the node, or ask it first which of its lazy inputs it wants."""
        try:
            inputs = self._schedule.gather(state)
        except Lost:
            self._schedule.ask_inputs(state)
            return
        if state.failure is not None:
            raise node_error(state, state.failure)
        if state.kind.check_lazy is not None and any(f.lazy and f.name not in state.asked for f in state.feeds):
            self._ask_lazy(state, inputs)
        else:
            self._call(state, inputs)

    def _ask_lazy(self, state: NodeState, inputs: dict[str, tuple[Any, ...]]) -> None:
        kind = state.kind
        function, wanted = kind.type.check_lazy, kind.check_lazy
        assert function is not None and wanted is not None
        pending: list[Any] = []
        absent = {feed.parameter: None for feed in state.feeds if feed.lazy and feed.parameter not in inputs}
        try:
            for index, call in enumerate(slices(inputs, kind.type.input_is_list)):
                if blocker_in(call, kind.type.input_is_list) is None:
                    context = NodeContext(self, state, index)
                    known = {"context": context, "folders": self.folders} | absent | self._hidden(state) | call
                    with executing(context):
                        pending.append(function(**wanted.arguments(known)))
        except (Exception, SystemExit) as error:
            raise self._failure(state, error) from error
        if not any(inspect.isawaitable(answer) for answer in pending):
            self._take_asked(state, inputs, pending)
            return

        async def ask() -> list[Any]:
            return [await answer if inspect.isawaitable(answer) else answer for answer in pending]

        self._launch(state, ask(), lambda answers: self._take_asked(state, inputs, answers))

    def _take_asked(self, state: NodeState, inputs: dict[str, tuple[Any, ...]], answers: list[Any]) -> None:
        names = {name for answer in answers for name in ([answer] if isinstance(answer, str) else answer or ())}
        unknown = names - state.kind.type.by_name.keys() - {feed.name for feed in state.feeds}
        if unknown:
            problem = WorkflowError(f"check_lazy asks for {', '.join(sorted(map(repr, unknown)))}: no such input")
            raise node_error(state, problem)
        new = {feed.name for feed in state.feeds if feed.lazy and feed.name in names} - state.asked
        if new:
            state.asked |= new
            self._schedule.ask_inputs(state)
        else:
            self._call(state, inputs)

    def _call(self, state: NodeState, inputs: dict[str, tuple[Any, ...]]) -> None:
        kind = state.kind
        node_type = kind.type
        hidden = self._hidden(state) if node_type.hidden else None
        absent = [f.parameter for f in state.feeds if f.lazy and f.parameter not in inputs]
        calls: list[dict[str, Any] | Blocked] = []
        for arguments in slices(inputs, node_type.input_is_list):
            blocker = blocker_in(arguments, node_type.input_is_list)
            if blocker is not None:
                calls.append(blocker)
                continue
            for parameter in absent:
                arguments[parameter] = None
            if hidden:
                arguments |= hidden
            calls.append(arguments)
        if self._concluder.report_blocked(state, calls):
            return
        self.say.started(state)
        if self._check is not None:
            self._check.before(state)
        if node_type.is_async:
            started = time.perf_counter()
            self._launch(
                state,
                self._await_calls(state, calls),
                lambda returned: self._concluder.take(state, returned, time.perf_counter() - started),
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
        self._concluder.take(state, returned, time.perf_counter() - started)

    async def _await_calls(self, state: NodeState, calls: list[dict[str, Any] | Blocked]) -> list[Any]:
        async def one(index: int, call: dict[str, Any] | Blocked) -> Any:
            if isinstance(call, Blocked):
                return BLOCKED
            with executing(self._context(state, index, call)):
                return await state.kind.function(**call)

        return await side_by_side([one(index, call) for index, call in enumerate(calls)])

    def _context(self, state: NodeState, index: int, call: dict[str, Any]) -> NodeContext:
        """What the node is told about its call, among its arguments too if it asks for it there."""
        context = NodeContext(self, state, index)
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
        """Run ``coroutine`` beside the graph; ``then`` goes on on this thread."""
        state.phase = Phase.CALLED

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

    # What goes wrong.

    def _failure(self, state: NodeState, error: BaseException, inputs: Mapping[str, Any] | None = None) -> Exception:
        """What to raise for ``error``: an interruption stays one, whatever a node makes of it."""
        if self._stop or isinstance(error, Interrupted):
            return Interrupted("the run was interrupted")
        failure = node_error(state, error)
        failure.current_inputs = {name: summary(elements) for name, elements in (inputs or {}).items()}
        return failure

    def _end(self) -> None:
        """Stop what runs beside, and have what is done stay done."""
        self._tasks.cancel()
        self._cache.flush()


def _nothing() -> None:
    pass
