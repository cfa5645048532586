"""Asks questions of any running worker, with a time limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from graph.errors import Problem
from server.queue.placement import Needs
from server.workers.interface import PackAnswer, PackRequest, UnansweredError, Worker, WorkerDied

log = logging.getLogger(__name__)

T = TypeVar("T")

VALIDATION_SECONDS: Final = 5.0
"""Seconds that a node's own validation code may take. After that the prompt is accepted, and may fail when it runs."""

PACK_SECONDS: Final = 65.0
"""Seconds to wait for a worker to return a node pack's answer, or report that the pack took over a minute."""

DECLARATION_SECONDS: Final = 5.0
"""Seconds that nodes may take to declare their inputs again."""


class WorkerQuestions:
    """Asks workers. ``workers(idle_first, needs)`` returns the running ones; if one dies, the next one is asked."""

    def __init__(self, workers: Callable[[bool, Needs | None], Sequence[Worker]]):
        self._workers = workers

    async def validate(
        self, prompt: Mapping[str, Any], targets: Sequence[str], needs: Needs | None = None
    ) -> list[Problem]:
        """Return the problems that nodes' own validation code finds; none if no worker answers in five seconds.

        ``needs``: only a worker that can run the prompt is asked.
        """
        what = "the validation code of a node (the prompt is accepted without it)"
        return await self._ask(lambda w: w.validate(prompt, list(targets)), VALIDATION_SECONDS, what, needs=needs) or []

    async def redeclare(self, names: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return the declarations of the named nodes (None: all) whose inputs may change; none without a worker.

        A node that one worker does not know is asked of another.
        """
        what = "asking nodes for their inputs (they stay as they were)"

        async def ask(needs: Needs | None) -> dict[str, dict[str, Any]]:
            nodes = await self._ask(lambda w: w.redeclare(names), DECLARATION_SECONDS, what, needs=needs)
            return {node["name"]: node for node in nodes or ()}

        found = await ask(None)
        for name in names or ():
            if name not in found:
                found = await ask(Needs(frozenset([name]))) | found
        return list(found.values())

    async def ask_packs(self, request: PackRequest) -> PackAnswer | None:
        """Return a node pack's answer to a request for its route; None if no worker answers in time."""
        what = f"a node pack's route for {request.path}"
        return await self._ask(lambda w: w.ask_packs(request), PACK_SECONDS, what, idle_first=False)

    async def handle_prompt(self, body: Mapping[str, Any]) -> Any:
        """Return the body of a prompt as node packs change it, or unchanged if they fail or take too long."""
        what = "a node pack's prompt handler (the prompt is used unchanged)"
        changed = await self._ask(lambda w: w.handle_prompt(body), VALIDATION_SECONDS, what, idle_first=False)
        return body if changed is None else changed

    async def _ask(
        self,
        ask: Callable[[Worker], Awaitable[T]],
        seconds: float,
        what: str,
        idle_first: bool = True,
        needs: Needs | None = None,
    ) -> T | None:
        """Return the worker for requests to packs: always the same one, since packs keep state in their process."""
        for worker in self._workers(idle_first, needs):
            try:
                async with asyncio.timeout(seconds):
                    return await ask(worker)
            except TimeoutError:
                log.warning("%s took more than %g s", what, seconds)
            except UnansweredError as error:
                log.warning("%s failed: %s", what, error)
            except WorkerDied:
                continue
            break
        return None
