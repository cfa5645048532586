"""Asynchronous nodes: coroutines on one event loop thread, beside the thread that runs the graph."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import asyncio

_CANCEL_GRACE: Final = 1.0
"""Seconds that a cancelled coroutine has to clean up before the run ends without waiting for it."""


class Outcome(NamedTuple):
    """The outcome of a coroutine: ``error`` is None if it returned ``value``."""

    value: Any
    error: BaseException | None


class EventLoopThread:
    """An event loop in a daemon thread, started when first needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            import asyncio  # imported here: it takes a tenth of a second, which runs without async nodes save

            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="async nodes", daemon=True)
            self._thread.start()
        return self._loop

    def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Run ``awaitable`` while the calling thread waits, and return its result."""

        import asyncio

        async def run() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(run(), self.loop()).result()

    def close(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None


class Tasks:
    """The coroutines of one run."""

    def __init__(self, thread: EventLoopThread):
        self._thread = thread
        self._tasks: set[asyncio.Task[Any]] = set()
        self._launched = 0
        self._ended = 0
        self._idle = threading.Condition()
        self._cancelled = False

    @property
    def running(self) -> int:
        return self._launched - self._ended

    def launch(self, coroutine: Coroutine[Any, Any, Any], done: Callable[[Outcome], None]) -> None:
        """Start ``coroutine``. ``done`` is called on the loop's thread when it has ended."""
        with self._idle:
            self._launched += 1
        loop = self._thread.loop()
        from asyncio import CancelledError

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                outcome = Outcome(None, CancelledError())
            elif (error := task.exception()) is not None:
                outcome = Outcome(None, error)
            else:
                outcome = Outcome(task.result(), None)
            # Call ``done`` before lowering the count: when the count is 0, every outcome has been reported.
            done(outcome)
            with self._idle:
                self._ended += 1
                self._idle.notify_all()

        def start() -> None:
            task = loop.create_task(coroutine)
            self._tasks.add(task)
            task.add_done_callback(ended)

        loop.call_soon_threadsafe(start)

    def cancel(self) -> None:
        """Cancel the running coroutines and give them a moment to end."""
        if self._cancelled or not self.running:
            return
        self._cancelled = True

        def cancel_all() -> None:
            for task in list(self._tasks):
                task.cancel()

        self._thread.loop().call_soon_threadsafe(cancel_all)
        with self._idle:
            self._idle.wait_for(lambda: not self.running, _CANCEL_GRACE)


async def side_by_side(coroutines: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Run the awaitables at the same time and return their results; if one raises, the others are cancelled."""
    import asyncio

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
