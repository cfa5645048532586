"""Nodes whose inputs may change while the process lives: their code is asked anew what it declares."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from graph.schema import NodeType, Registry

log = logging.getLogger(__name__)

_PATIENCE: Final = 1.0
"""Seconds to wait for another thread that asks the same node already: its code may hang."""


class Redeclarer:
    """Asks the nodes of ``registry``, and keeps there what they say. Thread-safe."""

    def __init__(self, registry: Registry):
        self._registry = registry
        self._asking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._complained: dict[str, str] = {}

    def ask(self, names: Iterable[str] | None = None) -> list[NodeType]:
        """Those of these nodes (None: of all) whose inputs may change, as they are now. One that fails, or is being
        asked by a thread that hangs, stays as it was."""
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
            self._complain(known.name, f"{type(error).__name__}: {error}")
            return known
        finally:
            lock.release()
        self._complained.pop(known.name, None)
        if (now.inputs, now.hidden, now.extra) == (known.inputs, known.hidden, known.extra):
            return known
        self._registry.replace(now)
        return now

    def _complain(self, name: str, why: str) -> None:
        """Once, and not at every look."""
        if self._complained.get(name) != why:
            self._complained[name] = why
            log.warning("node %s cannot say what inputs it has by now; they stay as they were: %s", name, why)
