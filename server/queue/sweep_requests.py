"""Reads ``extra_data.sweep`` of ``POST /prompt`` and checks every value before the job is queued."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.errors import Problem
from graph.sweep.reading import SweepError, further_values, problems_of, read_sweep
from graph.sweep.sweep import ASK_ABOVE, Sweep
from graph.validation.validate import Validation, custom_validated
from graph.workflow import Workflow
from server.queue.placement import needs_of
from server.queue.prompt_errors import PromptError, described, node_errors_of
from server.queue.scheduler import Scheduler

CONFIRMED: Final = "sweep_confirmed"
"""The member of ``extra_data`` that confirms a sweep of more than ``ASK_ABOVE`` pictures."""

_WORKER_SECONDS: Final = 60.0


class SweepRequests:
    """Turns descriptions of sweeps into checked sweeps."""

    def __init__(self, scheduler: Scheduler):
        self._scheduler = scheduler

    async def read(self, extra_data: dict[str, Any], workflow: Workflow) -> Sweep | None:
        """Return the sweep that ``extra_data`` asks for; None, and no member ``sweep``, without one.

        Raises PromptError for a sweep that cannot be read.
        """
        asked = extra_data.get("sweep")
        if asked is None or asked == []:
            extra_data.pop("sweep", None)
            return None
        catalogue = self._scheduler.catalogue
        await catalogue.current_registry(_WORKER_SECONDS)
        registry = await catalogue.fresh(node.class_type for node in workflow.nodes.values())
        try:
            return await asyncio.to_thread(read_sweep, asked, workflow, registry, catalogue.folders)
        except SweepError as error:
            raise _refused(error.problems, workflow) from error

    async def check(self, sweep: Sweep, first: Validation, confirmed: bool) -> None:
        """Check all values; ``first`` is the validation of the first combination.

        Problems of the first combination that are not about the sweep are left to the caller. Raises PromptError for
        all others, and for more than ``ASK_ABOVE`` pictures that nobody has confirmed.
        """
        registry = await self._scheduler.catalogue.registry()
        folders = self._scheduler.catalogue.folders
        outputs = [*first.valid_outputs, *first.invalid_outputs]
        found = await asyncio.to_thread(problems_of, sweep, registry, folders, outputs, run_custom=False)
        checking_themselves = custom_validated(sweep.workflow(0), registry)
        for axis, numbers in further_values(sweep):
            for number in numbers if sweep.axes[axis].node in checking_themselves else ():
                prompt = sweep.workflow(number).to_api()
                found += await self._scheduler.questions.validate(prompt, outputs, needs_of(prompt, registry))
        known = {str(problem) for problem in first.problems}
        swept = {(axis.node, axis.input) for axis in sweep.axes}
        bad = {
            str(problem): problem
            for problem in [*first.problems, *found]
            if (problem.node_id, problem.input_name) in swept or str(problem) not in known
        }
        if bad:
            raise _refused(list(bad.values()), sweep.workflow(0))
        count = sweep.pictures(outputs)
        if count > ASK_ABOVE and not confirmed:
            raise PromptError(
                "sweep_needs_confirmation",
                f"the sweep makes {count} pictures, more than {ASK_ABOVE}",
                f"to run it, send it again with extra_data.{CONFIRMED} = true",
                pictures=count,
                limit=ASK_ABOVE,
            )


def _refused(problems: Sequence[Problem], workflow: Workflow) -> PromptError:
    node_errors: Mapping[str, Any] = node_errors_of(problems, workflow)
    general = [problem for problem in problems if problem.node_id is None]
    details = "\n".join(filter(None, [*map(str, general), described(node_errors)]))
    about = general[0].extra if general else {}
    return PromptError("invalid_sweep", "the sweep cannot run", details, node_errors=node_errors, **about)
