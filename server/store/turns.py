"""Counts whose turn it is: users with waiting jobs take turns, and nobody saves up turns while away.

This is start-time fair queueing (Goyal, Vin, Cheng 1997) in which every job costs one turn. A job's cost is the same
for all, rather than its seconds, so that the order of the queue is known before the jobs run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

_MOST_BEHIND: Final = 100
"""Most turns by which users whose jobs wait for certain workers can be behind the others, and catch up later."""

User = str | None
"""A user's name; None for the operator, which is everyone on a server without users."""


class Turns:
    """The number of each user's next turn. The user with the smallest number goes next and then moves on by one.

    ``running`` counts the jobs that each user runs now.
    """

    def __init__(self, next_turns: Mapping[User, int] | None = None):
        self.running: Counter[User] = Counter()
        self._next: dict[User, int] = dict(next_turns or {})
        self._latest = max(self._next.values(), default=1) - 1
        self._owed: Counter[str] = Counter()
        self._debtors: dict[str, User] = {}

    def next_of(self, user: User) -> int:
        """Return the number of the user's next turn."""
        return max(self._next.get(user, 0), self._latest - _MOST_BEHIND)

    def first_of_waiting(self, user: User) -> int:
        """Return the number of the turn that the user's first waiting job gets: the next, after :meth:`owe`'s turns."""
        owed = sum(count for prompt_id, count in self._owed.items() if self._debtors[prompt_id] == user)
        return self.next_of(user) + owed

    def join(self, user: User, waiting: Iterable[User]) -> bool:
        """Let a user without waiting jobs take part, beside the ``waiting`` users. Returns whether that has moved them.

        The user starts where the others are, less the jobs that one of these has running: those the user may catch up
        with.
        """
        most_running = max((self.running[other] for other in waiting), default=0)
        start = max(self.next_of(user), self._latest + 1 - max(1, most_running))
        changed = start != self.next_of(user)
        self._next[user] = start
        return changed

    def take(self, user: User) -> None:
        """Use the user's next turn."""
        turn = self.next_of(user)
        self._latest = max(self._latest, turn)
        self._next[user] = turn + 1

    def give_back(self, user: User) -> None:
        """Undo :meth:`take`, because the work has to start again."""
        self._next[user] = self.next_of(user) - 1

    def owe(self, prompt_id: str, user: User, turns: int) -> None:
        """Record how many turns a running job takes before the user's waiting jobs, a sweep for its combinations."""
        if turns > 0:
            self._owed[prompt_id], self._debtors[prompt_id] = turns, user
        else:
            self._owed.pop(prompt_id, None)
            self._debtors.pop(prompt_id, None)

    def to_store(self) -> dict[User, int]:
        """Return the numbers to store for the next start of the server: everyone's, none if there are no users."""
        return dict(self._next) if any(user is not None for user in self._next) else {}
