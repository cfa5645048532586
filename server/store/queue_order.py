"""The order of the queue: by number, then by place. Moves jobs between others."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import NamedTuple


class Key(NamedTuple):
    """The position of a job in the queue."""

    number: float
    place: float
    prompt_id: str


class QueueOrder:
    """The pending jobs, in order. A lookup is a binary search."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self._by_id: dict[str, Key] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return (key.prompt_id for key in self._keys)

    def __contains__(self, prompt_id: str) -> bool:
        return prompt_id in self._by_id

    def __getitem__(self, prompt_id: str) -> Key:
        return self._by_id[prompt_id]

    @property
    def keys(self) -> list[Key]:
        return list(self._keys)

    def first(self) -> Key | None:
        return self._keys[0] if self._keys else None

    def last_place(self) -> float:
        return max((key.place for key in self._keys), default=0.0)

    def insert(self, key: Key) -> None:
        bisect.insort(self._keys, key)
        self._by_id[key.prompt_id] = key

    def remove(self, prompt_id: str) -> Key:
        """Remove a job. Raises KeyError if it is not in the queue."""
        key = self._by_id.pop(prompt_id)
        del self._keys[bisect.bisect_left(self._keys, key)]
        return key

    def position(self, prompt_id: str) -> int:
        """Return the job's position, 0 for the next one to run. Raises KeyError if it is not in the queue."""
        return bisect.bisect_left(self._keys, self._by_id[prompt_id])

    def key_before(self, prompt_id: str, before: str | None) -> Key:
        """Return the key that puts ``prompt_id`` right before ``before``, or at the end for None.

        Renumbers all places if there is no number left between two neighbours (after about fifty moves to one
        place); the caller then stores all of them.
        """
        if before is None:
            if not self._keys:
                return Key(0.0, 0.0, prompt_id)
            last = self._keys[-1]
            return Key(last.number, last.place + 1, prompt_id)
        found = self._between(prompt_id, before)
        if found is None:
            self._renumber()
            found = self._between(prompt_id, before)
        assert found is not None, "renumbering left no free place"
        return found

    def _between(self, prompt_id: str, before: str) -> Key | None:
        follower = self._by_id[before]
        index = self.position(before)
        previous = self._keys[index - 1] if index else None
        if previous is None or previous.number < follower.number:
            return Key(follower.number, follower.place - 1, prompt_id)
        place = (previous.place + follower.place) / 2
        return Key(follower.number, place, prompt_id) if previous.place < place < follower.place else None

    def _renumber(self) -> None:
        self._keys = [Key(key.number, float(place), key.prompt_id) for place, key in enumerate(self._keys)]
        self._by_id = {key.prompt_id: key for key in self._keys}
