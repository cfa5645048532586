"""Lets tasks wait for the end of jobs."""

from __future__ import annotations

import asyncio


class EndWaiters:
    """The tasks that wait, by job."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}

    async def wait(self, prompt_id: str, seconds: float) -> None:
        """Wait until :meth:`wake` is called for the job, or until ``seconds`` have passed."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(prompt_id, set()).add(waiter)
        try:
            await asyncio.wait([waiter], timeout=seconds)
        finally:
            waiters = self._waiters.get(prompt_id)
            if waiters is not None:
                waiters.discard(waiter)
                if not waiters:
                    del self._waiters[prompt_id]

    def wake(self, prompt_id: str) -> None:
        """Wake the tasks that wait for the job."""
        for waiter in self._waiters.pop(prompt_id, ()):
            if not waiter.done():
                waiter.set_result(None)
