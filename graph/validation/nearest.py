"""The names nearest to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Hashable
from typing import Any, Final

_LONGEST: Final = 120
"""Comparing is quadratic in length, and nobody misspells a name this long."""


class Nearest:
    """Finds suggestions and remembers them. It stops after comparing with ``budget`` names: in a
    workflow with thousands of faults the first ones tell the story, and the rest must not take minutes."""

    def __init__(self, budget: int = 30_000):
        self._budget = budget
        self._found: dict[Hashable, tuple[str, ...]] = {}

    def __call__(self, name: Any, candidates: Collection[Any], among: Hashable, count: int = 3) -> tuple[str, ...]:
        """At most ``count`` of ``candidates``, nearest first; case does not matter.

        ``among`` says what the candidates are: they are the same ones whenever it is the same.
        """
        if not isinstance(name, str) or len(name) > _LONGEST:
            return ()
        key = (name, among)
        if key not in self._found and len(candidates) <= self._budget:
            self._budget -= len(candidates)
            by_fold = {text.casefold(): text for text in candidates if isinstance(text, str)}
            close = difflib.get_close_matches(name.casefold(), by_fold, count, cutoff=0.6)
            self._found[key] = tuple(by_fold[fold] for fold in close)
        return self._found.get(key, ())
