"""The connection that carries a worker's frames: a pair of pipes to a process, or a Ray actor on another machine."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from graph.operating_system import SIGKILL, violent_end
from server.workers.interface import Death

OnLogLine = Callable[[str], None]
"""Function that receives each line that the worker's process writes to its standard error."""


@dataclass(frozen=True)
class Ending:
    """How a worker's process ended.

    ``status``: its exit status; negative: the signal that killed it; None: it was lost with its machine or connection.
    ``reason``: details in addition to the status. ``memory_ran_out``: whether the system killed processes for lack of
    memory at that time; None if the system does not say.
    """

    status: int | None = None
    reason: str = ""
    memory_ran_out: bool | None = None


class Transport(Protocol):
    """A stream of bytes to one worker process and one back. It is opened once."""

    on_log_line: OnLogLine

    @property
    def waits_for(self) -> str:
        """The reason why the process cannot start yet, as a sentence; "" if there is none."""

    async def open(self) -> None:
        """Start the process. Raises WorkerDied if that is impossible."""

    async def send(self, data: bytes) -> None:
        """Send bytes; waits while too many are on their way. Raises ConnectionError after the process has ended."""

    async def read(self, n: int) -> bytes:
        """Wait for bytes and return them, at most about ``n``; none after the process has ended."""

    def kill(self) -> None:
        """End the process at once."""

    async def ended(self) -> Ending:
        """Wait until the process has ended and its last log lines have been delivered."""

    async def close(self) -> None:
        """Release everything; the process is killed if it still runs."""


_FROM_OUTSIDE: Final = frozenset({SIGKILL, signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", None)})


def death_of(ending: Ending, last_line: str = "") -> Death:
    """Describe how a worker's process ended, and decide whether it was lost or its job is to blame.

    A lost machine, and SIGKILL or SIGTERM from another process, are not the job's fault. A crash, an exit and a kill
    for lack of memory are. Where the system does not report kills for lack of memory, SIGKILL counts as one.
    """
    if ending.status is None:
        return Death(ending.reason or "the connection was lost", lost=not ending.memory_ran_out)
    violence = violent_end(ending.status)
    if violence is None:
        return Death(f"it ended with status {_named(ending.status)}" + (f": {last_line}" if last_line else ""))
    if -ending.status == SIGKILL and ending.memory_ran_out is not False:
        sure = "" if ending.memory_ran_out else "probably "
        return Death(f"{violence}, {sure}because the system ran out of memory")
    return Death(violence, lost=-ending.status in _FROM_OUTSIDE)


def _named(status: int) -> str:
    """Return the status in words. By convention, 128 + n stands for signal n."""
    try:
        return f"{status} ({signal.Signals(status - 128).name}, sent by its own code)" if status > 128 else str(status)
    except ValueError:
        return str(status)
