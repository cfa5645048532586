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

from graph.announcer import Announcer
from graph.async_nodes import EventLoopThread, Outcome, Tasks, side_by_side
from graph.cache import ResultCache
from graph.codec import Codec
from graph.context import executing
from graph.dynamic_prompt import DynamicPrompt
from graph.entry import Entry, files_named_in
from graph.errors import Interrupted, NodeError, WorkflowError
from graph.events import Listener, NodesCached, RunStarted, RunSucceeded
from graph.expansion import Expansion, expansion_prefix
from graph.feed import Feed
from graph.folders import Folders
from graph.journal import RunJournal
from graph.keys import Keys
from graph.kind import Kind
from graph.lists import blocker_in, elements_of, merge_ui, read_result, slices
from graph.node_context import NodeContext
from graph.plan import Plan, node_error
from graph.results import Blocked, NodeResult
from graph.run_state import NodeState, Phase
from graph.schedule import Lost, Schedule
from graph.summary import summary
from graph.value_check import ValueCheck
from graph.workflow import Link, Workflow


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
        self._keys = keys
        self._plan = Plan(workflow, around.kinds, keys, around.cache)
        self._tasks = Tasks(around.loop_thread)
        self._check = ValueCheck(around.codecs) if around.check_values else None
        self._schedule = Schedule(self._plan, keys, around.cache, self._check, self.say)
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
                    self._resolve(state)
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
        except Exception as error:
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
        if self._report_blocked(state, calls):
            return
        self.say.started(state)
        if self._check is not None:
            self._check.before(state)
        if node_type.is_async:
            started = time.perf_counter()
            self._launch(
                state,
                self._await_calls(state, calls),
                lambda returned: self._take(state, returned, time.perf_counter() - started),
                inputs,
            )
            return
        started = time.perf_counter()
        returned = []
        try:
            for index, call in enumerate(calls):
                if isinstance(call, Blocked):
                    returned.append(_BLOCKED)
                    continue
                if index:
                    self.check_interrupted()
                context = NodeContext(self, state, index)
                if node_type.context_parameter is not None:
                    call[node_type.context_parameter] = context
                with executing(context):
                    returned.append(kind.function(**call))
        except (Exception, SystemExit) as error:
            raise self._failure(state, error, inputs) from error
        self._take(state, returned, time.perf_counter() - started)

    async def _await_calls(self, state: NodeState, calls: list[dict[str, Any] | Blocked]) -> list[Any]:
        async def one(index: int, call: dict[str, Any] | Blocked) -> Any:
            if isinstance(call, Blocked):
                return _BLOCKED
            context = NodeContext(self, state, index)
            if state.kind.type.context_parameter is not None:
                call[state.kind.type.context_parameter] = context
            with executing(context):
                return await state.kind.function(**call)

        return await side_by_side([one(index, call) for index, call in enumerate(calls)])

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

    def _report_blocked(self, state: NodeState, calls: list[Any]) -> bool:
        """Say what blockers have to say; true if they leave nothing to call."""
        blockers = [call for call in calls if type(call) is Blocked]
        if not blockers:
            return False
        for message in dict.fromkeys(blocker.message for blocker in blockers):
            if message is not None:
                state.cacheable = False
                self.say.blocked(state, message)
        if len(blockers) < len(calls):
            return False
        state.cacheable = False
        state.entry = Entry(((_BLOCKED,) * len(calls),) * len(state.kind.output_is_list))
        self._seal(state)
        self._schedule.finish(state)
        return True

    # What a node returned.

    def _take(self, state: NodeState, returned: list[Any], seconds: float) -> None:
        state.seconds = seconds
        if self._check is not None:
            self._check.after(state)
        try:
            results = [read_result(state.kind, value) for value in returned]
            if any(result.expand is not None for result in results):
                self._expand(state, results)
            else:
                self._conclude(state, results)
        except (TypeError, WorkflowError) as error:
            raise node_error(state, error) from error

    def _expand(self, state: NodeState, results: list[NodeResult]) -> None:
        """Have the nodes run that ``state`` answered with; its own result is linked to theirs."""
        roots: list[str] = []
        linked: list[Link] = []
        for index, result in enumerate(results):
            if result.expand is None:
                continue
            expansion = Expansion(result.expand, expansion_prefix(state.id, state.placed_id, index))
            self._plan.expand(state, expansion.nodes, expansion.shown_as)
            values = [expansion.link(value) or value for value in result.values]
            results[index] = NodeResult(*values, ui=result.ui, expand=result.expand)
            linked += [value for value in values if type(value) is Link]
            roots += self._plan.output_nodes(expansion.nodes)
        new = self._plan.add([*roots, *(link.node for link in linked)])
        if any(inner.kind.type.output_node or inner.kind.fingerprint or inner.never_same for inner in new):
            _keep_expanding(state)
        feeds = tuple(self._linked(state, link) for link in linked)
        # The nodes it expanded to hold what they need of its inputs before it lets go of them.
        for root in roots:
            self._schedule.pin(self._plan.states[root])
        for feed in feeds:
            feed.feeder.uses += 1
            if not feed.feeder.known:
                self._plan.hold(feed.feeder)
        self._plan.release(state)
        state.original_feeds, state.feeds = state.feeds, feeds
        state.holding = True
        if state.twin is not None:
            state.twin.uses += 1
        state.results = results
        state.phase = Phase.EXPANDED
        state.waiting = self._schedule.wait_for(state, feeds)
        if not state.waiting:
            self._schedule.queue(state)

    def _linked(self, state: NodeState, link: Link) -> Feed:
        feed = Feed("", "", link.node, link.output, lazy=False, raw=False)
        feed.feeder = self._plan.states[link.node]
        outputs = len(feed.feeder.kind.output_is_list)
        if not 0 <= link.output < outputs:
            raise WorkflowError(f"the expansion links to output {link.output} of {link.node}, which has {outputs}")
        return feed

    def _resolve(self, state: NodeState) -> None:
        """Everything that ``state`` expanded to and links to is there."""
        waiting = [feed for feed in state.feeds if self._schedule.entry(feed.feeder) is None]
        if waiting:
            state.waiting = self._schedule.wait_for(state, waiting)
            return
        results, state.results = state.results or [], None
        if self._keys is not None:
            self._keys.refine(state)
        try:
            self._conclude(state, results)
        except TypeError as error:
            raise node_error(state, error) from error

    def _conclude(self, state: NodeState, results: list[NodeResult]) -> None:
        """Keep the result of ``state``, say it, and let those who wait go on."""
        kind = state.kind
        if len(results) == 1 and results[0].expand is None and True not in kind.output_is_list:
            outputs = tuple((value,) for value in results[0].values)
        else:
            outputs = tuple(self._merged(state, results, index) for index in range(len(kind.output_is_list)))
        ui = merge_ui([result.ui for result in results if result.ui is not None])
        entry = state.entry = Entry(outputs, ui)
        self._seal(state)
        if ui is not None:
            files = files_named_in(ui, self.folders)
            state.cacheable = state.cacheable and files is not None
            entry.files = files or ()
        if state.cacheable:
            # The key of a node that expanded says nothing of the versions of what it expanded to,
            # so its result stays in this process.
            has_expanded = state.original_feeds is not None
            if has_expanded and state.identity is not None:
                entry.expanded = (state.identity, state.storable)
            self._cache.put(state, entry, state.seconds, on_disk=not has_expanded)
        if ui is not None:
            self.say.shown(state, ui)
        self.say.finished(state)
        self._schedule.finish(state)

    def _merged(self, state: NodeState, results: list[NodeResult], index: int) -> tuple[Any, ...]:
        elements: list[Any] = []
        output = state.kind.type.outputs[index]
        for result in results:
            value = result.values[index]
            if result.expand is not None and type(value) is Link:
                entry = self._plan.states[value.node].entry
                assert entry is not None
                elements += entry.outputs[value.output]
            else:
                elements += elements_of(value, output.is_list, output.name)
        return tuple(elements)

    def _seal(self, state: NodeState) -> None:
        if self._check is not None and state.entry is not None:
            self._check.seal(state.entry)

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


_BLOCKED = Blocked()


def _keep_expanding(state: NodeState) -> None:
    """A node that expands to nodes that save, or read files, is not answered from the cache, nor
    are those it is part of: whether its result still holds is for these nodes to say."""
    ancestor: NodeState | None = state
    while ancestor is not None and not ancestor.must_expand:
        ancestor.must_expand = True
        ancestor.cacheable = False
        ancestor = ancestor.parent


def _nothing() -> None:
    pass
