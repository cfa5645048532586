"""Suggests the names most similar to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Hashable
from typing import Any, Final

_LONGEST: Final = 120
"""Length above which names are not compared: the comparison is quadratic, and nobody types such names."""


class Nearest:
    """Finds suggestions and caches them. Stops after ``budget`` comparisons, so that a workflow with thousands of
    faults is not checked for minutes."""

    def __init__(self, budget: int = 30_000):
        self._budget = budget
        self._found: dict[Hashable, tuple[str, ...]] = {}

    def __call__(self, name: Any, candidates: Collection[Any], among: Hashable, count: int = 3) -> tuple[str, ...]:
        """Return at most ``count`` of ``candidates``, most similar first; case is ignored.

        ``among`` identifies the list of candidates in the cache: the same value means the same candidates.
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
