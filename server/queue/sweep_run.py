"""A sweep that runs now: hands its combinations to workers one by one, then the grid."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from graph.events import RunFailed, RunInterrupted, RunSucceeded
from graph.folders import Folders
from graph.formats.api import read_api
from graph.results import SavedFile, files_in
from graph.schema import Registry
from graph.sweep.grid import GRID_NODE, grid_workflow
from graph.sweep.sweep import Axis, Sweep
from graph.workflow import Workflow
from graph.writing.document_values import with_values
from server.queue.placement import Needs, names_of_models, needs_of
from server.queue.sweep_messages import Shown, SweepMessages
from server.store.jobs import Job
from server.workers.interface import Outcome, RunRequest

GRID: Final = None
"""Stands for the grid where other parts have the number of their combination."""

Part = int | None


def sweep_of(job: Job) -> Sweep | None:
    """Return the sweep that the job asks for; None for an ordinary job."""
    described = job.extra_data.get("sweep")
    if not described:
        return None
    axes = [Axis(axis["node"], axis["input"], tuple(axis["values"]), tuple(axis["labels"])) for axis in described]
    return Sweep(Workflow(read_api(job.prompt)), axes)


class SweepRun:
    """The parts of one sweep that wait, run and are done. ``request`` is the job's request without a sweep.

    The first combination runs alone, so that the results which all combinations share are made once; then every free
    worker may take one. The grid follows when all are done.
    """

    def __init__(
        self, job: Job, sweep: Sweep, request: RunRequest, messages: SweepMessages, registry: Registry, folders: Folders
    ):
        self.job = job
        self.sweep = sweep
        self.messages = messages
        self._request = request
        self.registry = registry
        self._folders = folders
        self._waiting: list[Part] = [number for number in sweep.order() if sweep.targets(number, request.targets)]
        self._active: set[Part] = set()
        self._deaths: Counter[Part] = Counter()
        self._lost: Counter[Part] = Counter()
        self._any_done = False
        self._grid_done = GRID_NODE not in registry
        self._outcome: Outcome | None = None
        self._is_over = False
        self._needs = needs_of(job.prompt, registry)
        self._needs_by_part: dict[int, Needs] = {}
        self._models_vary = any(
            axis.input in names_of_models(registry.get(job.prompt[axis.node]["class_type"])) for axis in sweep.axes
        )

    def restore(self, stored: Mapping[int, Shown]) -> None:
        """Take over the combinations that an earlier attempt has finished, if all their files still exist."""
        for number in list(self._waiting):
            shown = stored.get(number) if number is not None else None
            if number is not None and shown is not None and self._are_there(shown):
                self._waiting.remove(number)
                self._any_done = True
                self.messages.restore(number, shown)
        self._settle()

    @property
    def parts_left(self) -> int:
        """The number of parts that have not been given to workers, with the grid."""
        return len(self._waiting) + (not self._grid_done and GRID not in self._active)

    def take(self, can_start: Callable[[Needs], object]) -> tuple[Part, Needs] | None:
        """Return the part that a free worker should run now, and its needs; None if there is none at the moment.

        ``can_start``: whether a free worker can run a part with these needs.
        """
        if not self.ready():
            return None
        for part in self._waiting or [GRID]:
            needs = self._needs_of(part)
            if can_start(needs):
                if part is not GRID:
                    self._waiting.remove(part)
                self._active.add(part)
                return part, needs
        return None

    def unable(self, is_awaited: Callable[[Needs], bool]) -> Needs | None:
        """Return the needs of a waiting part that no worker can run; None if there is no such part."""
        waiting: list[Part] = [*self._waiting, *([] if self._grid_done else [GRID])]
        return next((needs for part in waiting if not is_awaited(needs := self._needs_of(part))), None)

    def _needs_of(self, part: Part) -> Needs:
        if part is None:
            return Needs(frozenset([GRID_NODE]))
        if not self._models_vary:
            return self._needs
        if part not in self._needs_by_part:
            self._needs_by_part[part] = needs_of(self.sweep.workflow(part).to_api(), self.registry)
        return self._needs_by_part[part]

    def ready(self) -> int:
        """Return how many parts free workers could take now."""
        if self._outcome is not None or (self._active and not self._any_done):
            return 0
        if self._waiting:
            return len(self._waiting) if self._any_done else 1
        return int(not self._active and not self._grid_done)

    def request_for(self, part: Part) -> RunRequest:
        """Return the run of one part. May take a while with a large editor's document."""
        extra = dict(self._request.extra_pnginfo or {})
        if part is None:
            grid = self._grid()
            extra["sweep"] = self.sweep.as_data()
            prompt, targets, files = grid.to_api(), tuple(grid.nodes), self._files()
        else:
            prompt = self.sweep.workflow(part).to_api()
            targets, files = tuple(self.sweep.targets(part, self._request.targets)), ()
            if isinstance(extra.get("workflow"), dict):
                document = with_values(extra["workflow"], self.sweep.values(part), self.registry)
                extra.pop("workflow")
                if document is not None:
                    extra["workflow"] = document
        name = "grid" if part is None else str(part)
        return dataclasses.replace(
            self._request, prompt=prompt, targets=targets, extra_pnginfo=extra or None, part=f"/{name}", files=files
        )

    def finished(self, part: Part) -> None:
        """Record that a part has ended well."""
        self._active.discard(part)
        self._any_done = True
        self.messages.part_finished(part)
        if part is None:
            self._grid_done = True
        self._settle()

    def failed(self, part: Part, outcome: RunFailed | RunInterrupted) -> None:
        """Record that a part has failed or was interrupted; the sweep ends with the first such outcome."""
        self._active.discard(part)
        if isinstance(outcome, RunFailed):
            outcome = dataclasses.replace(outcome, message=f"{outcome.message}\nin {self.name_of(part)} of the sweep")
        self.stop(outcome)

    def died(self, part: Part, lost: bool) -> tuple[int, int]:
        """Put back a part whose worker died. Returns how many workers it has killed, and how many were lost during it.

        ``lost``: the worker was ended from outside.
        """
        self._active.discard(part)
        self.messages.part_lost(part)
        (self._lost if lost else self._deaths)[part] += 1
        if part is not None:
            self._waiting.insert(0, part)
        return self._deaths[part], self._lost[part]

    def stop(self, outcome: Outcome) -> None:
        """Let no further part begin; the sweep ends with ``outcome`` unless it has another already."""
        self._outcome = self._outcome or outcome

    def take_outcome(self) -> Outcome | None:
        """Return how the sweep ended, the first time that it is asked; None while a part runs or waits."""
        if self._active or self._is_over or self._outcome is None:
            return None
        self._is_over = True
        return self._outcome

    def _settle(self) -> None:
        """Let the sweep end well if nothing is left to do; without pictures, there is no grid to draw."""
        if self._waiting or self._active:
            return
        if self._grid_done or not self._grid().nodes:
            self.stop(RunSucceeded(self.job.prompt_id))

    def _grid(self) -> Workflow:
        shown = {number: shown for number, shown in self.messages.shown.items() if number is not None}
        return grid_workflow(self.sweep, shown, self._request.targets, self.job.prompt)

    def _files(self) -> tuple[SavedFile, ...]:
        """Return the files of all combinations, which the grid's node reads."""
        return tuple(
            file for shown in self.messages.shown.values() for output in shown.values() for file in files_in(output)
        )

    def name_of(self, part: Part) -> str:
        """Return a part's name for logs and errors."""
        return "the grid" if part is None else f"combination {part} ({self.sweep.label(part)})"

    def shown_by(self, number: int) -> Shown:
        """Return what a combination has shown."""
        return self.messages.shown.get(number, {})

    def _are_there(self, shown: Shown) -> bool:
        files = [file for output in shown.values() for file in files_in(output)]
        return all((self._folders.place(file.folder) / file.relative).is_file() for file in files)
