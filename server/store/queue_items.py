"""The JSON of queued jobs, kept in memory so that listing the queue needs no disk."""

from __future__ import annotations

from collections.abc import Iterable

from server.store.jobs import whole
from server.store.queue_order import Key


class QueueItems:
    """The items of ``GET /queue`` without their numbers, which change when jobs move."""

    def __init__(self) -> None:
        self._tails: dict[str, str] = {}

    def __contains__(self, prompt_id: str) -> bool:
        return prompt_id in self._tails

    def hold(self, prompt_id: str, tail: str) -> None:
        """Keep a job's item. ``tail`` is the JSON after its number, from ``job_table.tail``."""
        self._tails[prompt_id] = tail

    def drop(self, prompt_id: str) -> None:
        """Forget a job's item, if there is one."""
        self._tails.pop(prompt_id, None)

    def size(self, keys: Iterable[Key] | None = None) -> int:
        """Return the bytes of these jobs' items; None means all."""
        if keys is None:
            return sum(map(len, self._tails.values()))
        return sum(len(self._tails[key.prompt_id]) for key in keys)

    def json(self, keys: Iterable[Key]) -> str:
        """Return the items of these jobs as a JSON list."""
        return "[" + ",".join(f"[{whole(key.number)!r},{self._tails[key.prompt_id]}" for key in keys) + "]"
