"""The order of the queue. Users take turns; a user's own jobs are ordered by number, then by place."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import NamedTuple

from server.store.jobs import may_see
from server.store.turns import Turns, User


class Key(NamedTuple):
    """The position of a job among its user's jobs."""

    number: float
    place: float
    prompt_id: str
    user: User = None


class QueueOrder:
    """The pending jobs, in order, and the running ones. A lookup is a binary search for each user.

    A user's jobs get the user's next turns, one each. Turns of the same number go by the places of their jobs, the
    order in which these came. Methods with a ``user`` consider only that user's jobs; None means all jobs.
    """

    def __init__(self) -> None:
        self.turns = Turns()
        self._lanes: dict[User, list[Key]] = {}
        self._by_id: dict[str, Key] = {}
        self._running: dict[str, Key] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, prompt_id: str) -> bool:
        return prompt_id in self._by_id

    def __getitem__(self, prompt_id: str) -> Key:
        return self._by_id[prompt_id]

    # -- what waits and runs -------------------------------------------------------------------------------------

    def has(self, prompt_id: str, user: User = None) -> bool:
        """Whether the job waits."""
        return prompt_id in self._by_id and may_see(user, self._by_id[prompt_id].user)

    def runs(self, prompt_id: str, user: User = None) -> bool:
        """Whether the job runs."""
        return prompt_id in self._running and may_see(user, self._running[prompt_id].user)

    def waiting(self, user: User = None) -> list[Key]:
        """Return the pending jobs, the next one to run first."""
        if user is not None or self._lanes.keys() == {None}:
            return self.lane(user)
        turns = []
        for owner, lane in self._lanes.items():
            first = self.turns.first_of_waiting(owner)
            turns += [_turn(key, first + index) for index, key in enumerate(lane)]
        return [key for _, _, key in sorted(turns)]

    def running(self, user: User = None) -> list[Key]:
        """Return the running jobs, the one that started first at the front."""
        return [key for key in self._running.values() if may_see(user, key.user)]

    def count(self, user: User = None) -> int:
        """Return the number of pending and running jobs."""
        if user is None:
            return len(self._by_id) + len(self._running)
        return len(self._lanes.get(user, ())) + self.turns.running[user]

    def lane(self, owner: User) -> list[Key]:
        """Return the pending jobs that belong to ``owner``, the next one to run first."""
        return list(self._lanes.get(owner, ()))

    def first(self) -> Key | None:
        """Return the job to run next; None if no job waits."""
        if not self._lanes:
            return None
        return min(_turn(lane[0], self.turns.first_of_waiting(owner)) for owner, lane in self._lanes.items())[2]

    def last_place(self) -> float:
        return max((key.place for key in self._by_id.values()), default=0.0)

    def position(self, prompt_id: str) -> int:
        """Return the job's position, 0 for the next one to run. Raises KeyError if it is not in the queue."""
        key = self._by_id[prompt_id]
        before = bisect.bisect_left(self._lanes[key.user], key)
        turn = self.turns.first_of_waiting(key.user) + before
        for owner, lane in self._lanes.items():
            if owner != key.user:
                index = turn - self.turns.first_of_waiting(owner)  # of the owner's job with a turn of the same number
                before += min(max(0, index), len(lane))
                if 0 <= index < len(lane) and _turn(lane[index], turn) < _turn(key, turn):
                    before += 1
        return before

    # -- changes -------------------------------------------------------------------------------------------------

    def insert(self, key: Key) -> bool:
        """Add a job. Returns whether that has changed the number of its user's next turn."""
        joined = key.user not in self._lanes and self.turns.join(key.user, self._lanes)
        bisect.insort(self._lanes.setdefault(key.user, []), key)
        self._by_id[key.prompt_id] = key
        return joined

    def remove(self, prompt_id: str) -> Key:
        """Remove a pending job. Raises KeyError if it is not in the queue."""
        key = self._by_id.pop(prompt_id)
        lane = self._lanes[key.user]
        del lane[bisect.bisect_left(lane, key)]
        if not lane:
            del self._lanes[key.user]
        return key

    def start(self, prompt_id: str) -> None:
        """Let a pending job run. It takes its user's next turn."""
        key = self.remove(prompt_id)
        self._running[prompt_id] = key
        self.turns.running[key.user] += 1
        self.turns.take(key.user)

    def put_back(self, key: Key) -> None:
        """Let a running job wait again, at the position ``key``. Its user gets the turn back."""
        if key.prompt_id in self._running:
            self.end(key.prompt_id)
            self.turns.give_back(key.user)
        self.insert(key)

    def end(self, prompt_id: str) -> None:
        """Remove a running job; do nothing if it does not run."""
        key = self._running.pop(prompt_id, None)
        if key is not None:
            self.turns.running[key.user] -= 1
            self.turns.owe(prompt_id, key.user, 0)

    def move(self, prompt_id: str, before: str | None) -> None:
        """Move a pending job right before another one of its user, or behind all of them for None."""
        key = self._by_id[prompt_id]
        lane = self._lanes[key.user]
        del lane[bisect.bisect_left(lane, key)]
        moved = self.key_before(prompt_id, before, key.user)
        bisect.insort(self._lanes[key.user], moved)
        self._by_id[prompt_id] = moved

    def front_key(self, prompt_id: str, number: float, place: float, user: User) -> Key:
        """Return the key that puts a job with this number and place before all pending jobs of its user."""
        lane = self._lanes.get(user)
        if lane and lane[0].number <= number:
            return self.key_before(prompt_id, lane[0].prompt_id, user)
        return Key(number, place, prompt_id, user)

    def key_before(self, prompt_id: str, before: str | None, user: User) -> Key:
        """Return the key that puts the user's job ``prompt_id`` right before the user's ``before``, or last for None.

        Renumbers all places of the user's jobs if there is no number left between two neighbours (after about fifty
        moves to one place); the caller then stores all of them.
        """
        lane = self._lanes.get(user, [])
        if before is None:
            if not lane:
                return Key(0.0, 0.0, prompt_id, user)
            last = lane[-1]
            return Key(last.number, last.place + 1, prompt_id, user)
        found = self._between(lane, prompt_id, before)
        if found is None:
            found = self._between(self._renumbered(user), prompt_id, before)
        assert found is not None, "renumbering left no free place"
        return found

    # -- parts of running jobs -----------------------------------------------------------------------------------

    def begin_parts(self, prompt_id: str, parts: int) -> None:
        """Let each of a running job's ``parts`` take a turn, instead of the job as a whole."""
        user = self._running[prompt_id].user
        self.turns.give_back(user)
        self.turns.owe(prompt_id, user, parts)

    def begin_part(self, prompt_id: str, left: int) -> None:
        """Take the turn of a running job's next part; ``left`` parts have not begun."""
        user = self._running[prompt_id].user
        self.turns.take(user)
        self.turns.owe(prompt_id, user, left)

    def running_in_turn(self, prompt_ids: Iterable[str]) -> list[str]:
        """Return the running jobs whose next part comes before all pending jobs, the earliest turn first.

        A user's parts come before the user's pending jobs.
        """
        keys = [self._running[prompt_id] for prompt_id in prompt_ids if prompt_id in self._running]
        keys.sort(key=lambda key: self.turns.next_of(key.user))
        first = self.first()
        if first is not None:
            latest = _turn(first, self.turns.first_of_waiting(first.user))
            keys = [key for key in keys if key.user == first.user or _turn(key, self.turns.next_of(key.user)) < latest]
        return [key.prompt_id for key in keys]

    # -- internals -----------------------------------------------------------------------------------------------

    def _between(self, lane: list[Key], prompt_id: str, before: str) -> Key | None:
        follower = self._by_id[before]
        index = bisect.bisect_left(lane, follower)
        previous = lane[index - 1] if index else None
        if previous is None or previous.number < follower.number:
            return Key(follower.number, follower.place - 1, prompt_id, follower.user)
        place = (previous.place + follower.place) / 2
        if not previous.place < place < follower.place:
            return None
        return Key(follower.number, place, prompt_id, follower.user)

    def _renumbered(self, user: User) -> list[Key]:
        lane = [key._replace(place=float(place)) for place, key in enumerate(self._lanes[user])]
        self._lanes[user] = lane
        self._by_id.update((key.prompt_id, key) for key in lane)
        return lane


def _turn(key: Key, number: int) -> tuple[int, float, Key]:
    """Return the turn in which a job runs: turns are ordered by number, then by the places of their jobs."""
    return number, key.place, key
