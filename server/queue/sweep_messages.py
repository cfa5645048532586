"""Turns the events of a sweep's runs into the messages and the record of one job.

Clients see one run: it starts once and ends once, and nodes run several times in between. ``executing``, ``progress``
and ``executed`` have an additional ``index``, the number of the combination; ``progress_state`` has ``sweep``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from graph import events
from graph.results import file_in
from server.http.hub import Hub
from server.queue.messages import DoneNodes, RunMessages
from server.store.jobs import Job

_WITH_INDEX: Final = frozenset({"executing", "progress", "executed"})

Shown = dict[str, dict[str, Any]]
"""The ``ui`` results of output nodes, by node id."""


class SweepMessages(RunMessages):
    """Handles the events of all runs of one sweep. ``total`` is the number of combinations.

    ``shown`` holds what each finished or running combination has shown so far; None is the grid.
    """

    def __init__(self, job: Job, hub: Hub, node_finished: Callable[[str, float], None], total: int):
        super().__init__(job, hub, node_finished)
        self.shown: dict[int | None, Shown] = {}
        self._total = total
        self._finished = 0
        self._counted = 0  # the number of finished combinations in the last state that was sent
        self._shares: dict[int | None, float] = {}
        self._nodes_done: dict[int | None, DoneNodes] = {}
        self._number: int | None = None
        self._started = False

    @property
    def progress(self) -> float:
        """The share of the combinations that are done, including the done parts of those that run now."""
        if self._job.status == "success":
            return 1.0
        return min(1.0, (self._finished + sum(self._shares.values())) / (self._total + 1))

    def handle_part(self, number: int | None, event: events.Event) -> None:
        """Handle one event of the run of a combination, or of the grid (None)."""
        self._number = number
        match event:
            case events.RunStarted():
                if not self._started:
                    self._started = True
                    self.handle(event)
            case events.NodesCached():
                if number not in self._nodes_done and not self._nodes_done:
                    self.handle(event)
                self._nodes_done[number] = DoneNodes(self._weights)
                self._nodes_done[number].add(event.node_ids)
                self._measure(number)
            case events.NodeOutput():
                self._show(number, event)
            case _:
                self.handle(event)
                if isinstance(event, events.NodeFinished):
                    self._nodes_done.setdefault(number, DoneNodes(self._weights)).add([event.display_node_id])
                self._measure(number)

    def part_finished(self, number: int | None) -> None:
        """Count a combination, or the grid, as done."""
        self._shares.pop(number, None)
        self._finished += 1

    def part_lost(self, number: int | None) -> None:
        """Forget a run whose worker died; another one will repeat it."""
        self._shares.pop(number, None)
        self.shown.pop(number, None)

    def restore(self, number: int, shown: Mapping[str, Mapping[str, Any]]) -> None:
        """Show what a combination showed before the server was restarted."""
        self.handle_part(number, events.RunStarted(self._job.prompt_id))
        for node_id, output in shown.items():
            self._number = number
            self._show(number, events.NodeOutput(self._job.prompt_id, node_id, node_id, output, cached=True))
        self.part_finished(number)

    def _measure(self, number: int | None) -> None:
        self._shares[number] = self._share_of(self._nodes_done.setdefault(number, DoneNodes(self._weights)))

    def _show(self, number: int | None, event: events.NodeOutput) -> None:
        """Record and report an output. In the record it joins the outputs of the same node in other combinations."""
        mark = {"grid": True} if number is None else {"index": number}
        output = {name: _marked(shown, mark) for name, shown in event.ui.items()}
        self.shown.setdefault(number, {})[event.node_id] = output
        self.handle(events.NodeOutput(event.run_id, event.node_id, event.display_node_id, output, event.cached))
        numbers = sorted(self.shown, key=lambda each: (each is None, each or 0))
        joined: dict[str, Any] = {}
        for each in numbers:
            for name, shown in self.shown[each].get(event.node_id, {}).items():
                if isinstance(shown, list):
                    joined[name] = [*joined.get(name, ()), *shown]
                else:
                    joined[name] = shown
        self._job.outputs[event.node_id] = joined

    def _send_state_now(self) -> None:
        """Send the state also if only the number of finished combinations has changed since the last one."""
        if self._state_due is not None or self._counted != self._finished:
            if self._state_due is not None:
                self._state_due.cancel()
            self._send_state()

    def _send(self, event: str, data: Mapping[str, Any], remember: bool = False) -> None:
        if event in _WITH_INDEX:
            data = {**data, "index": self._number}
        elif event == "progress_state":
            self._counted = self._finished
            data = {**data, "sweep": {"done": min(self._finished, self._total), "total": self._total}}
        super()._send(event, data, remember)


def _marked(shown: Any, mark: Mapping[str, Any]) -> Any:
    """Return the list with ``mark`` added to the entries that name files."""
    if not isinstance(shown, (list, tuple)):
        return shown
    return [entry if file_in(entry) is None else {**entry, **mark} for entry in shown]
