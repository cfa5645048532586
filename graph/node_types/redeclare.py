"""Updates nodes whose inputs may change while the process runs, by calling their declaring code again."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from graph.schema import NodeType, Registry

log = logging.getLogger(__name__)

_PATIENCE: Final = 1.0
"""Seconds to wait for another thread that is calling the same node's code: it may hang."""


class Redeclarer:
    """Calls the declaring code of ``registry``'s nodes and stores the result in the registry. Thread-safe."""

    def __init__(self, registry: Registry):
        self._registry = registry
        self._asking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._failure_logged: dict[str, str] = {}

    def ask(self, names: Iterable[str] | None = None) -> list[NodeType]:
        """Update these nodes (None: all) if their inputs may change, and return the updated ones. A node stays as it
        was if its code fails or another thread's call of it hangs."""
        found = []
        for name in list(self._registry if names is None else dict.fromkeys(names)):
            node_type = self._registry.get(name)
            if node_type is not None and node_type.redeclare is not None:
                found.append(self._ask(node_type))
        return found

    def _ask(self, known: NodeType) -> NodeType:
        lock = self._asking[known.name]
        assert known.redeclare is not None
        if not lock.acquire(timeout=_PATIENCE):
            return known
        try:
            now = known.redeclare()
        except Exception as error:  # a pack's own code
            self._log_failure(known.name, f"{type(error).__name__}: {error}")
            return known
        finally:
            lock.release()
        self._failure_logged.pop(known.name, None)
        if (now.inputs, now.hidden, now.extra) == (known.inputs, known.hidden, known.extra):
            return known
        self._registry.replace(now)
        return now

    def _log_failure(self, name: str, why: str) -> None:
        """Log a failure once, not at every call."""
        if self._failure_logged.get(name) != why:
            self._failure_logged[name] = why
            log.warning("node %s failed to declare its inputs again; they stay as they were: %s", name, why)
