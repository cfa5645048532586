"""The loaded networks: who is in memory, and who leaves when it runs short.

The one place that owns weights. Everything else holds light handles and asks here.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graph.machine_memory import memory_limit
from nodes.heap import give_back_freed_memory

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

SHARE_OF_MEMORY = 0.6
"""The share of a device's memory that weights may keep; the rest is for activations, images, others."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """One loaded network. ``device`` is a device's name, ``nbytes`` its weights' size there."""

    key: Hashable
    module: torch.nn.Module
    device: str
    nbytes: int


class Residency:
    """Loaded networks by key, least recently used first.

    ``budget(device name) -> bytes`` bounds the weights kept on a device. A network larger than
    the budget is still loaded, alone.
    """

    def __init__(self, budget: Callable[[str], int]):
        self._budget = budget
        self._loaded: OrderedDict[Hashable, Loaded] = OrderedDict()
        # Of two networks built at once each would count on the same room. What is loaded can
        # be asked, and freed, meanwhile.
        self._building = threading.RLock()
        self._lock = threading.RLock()

    def resident(
        self, key: Hashable, build: Callable[[], torch.nn.Module], nbytes: int = 0, device: Any = "cpu"
    ) -> torch.nn.Module:
        """The network of ``key``, made by ``build`` when it is not loaded.

        ``nbytes`` is what it will take on ``device``: room is made for it before it is built.
        If a GPU's memory runs out all the same, all others leave it and the build is tried once more.
        """
        name = str(device)
        with self._building:
            with self._lock:
                if key in self._loaded:
                    self._loaded.move_to_end(key)
                    return self._loaded[key].module
                self._make_room(name, nbytes)
            module = _built(build)
            if module is None:
                log.warning("%s: out of memory while loading; the other models leave it", name)
                with self._lock:
                    self._make_room(name, self._budget(name))
                module = build()
            size = sum(tensor.nbytes for tensor in [*module.parameters(), *module.buffers()])
            with self._lock:
                self._make_room(name, size)
                self._loaded[key] = Loaded(key, module, name, size)
            return module

    def free(self) -> None:
        """Let go of every network. One that is computing stays until it is done."""
        with self._lock:
            self._loaded.clear()
            _return_memory()

    def loaded(self) -> list[Loaded]:
        """What is in memory, least recently used first."""
        with self._lock:
            return list(self._loaded.values())

    def _make_room(self, device: str, nbytes: int) -> None:
        """Evict networks from ``device`` until ``nbytes`` more fit its budget, or none are left."""
        there = [entry for entry in self._loaded.values() if entry.device == device]
        excess = sum(entry.nbytes for entry in there) + nbytes - self._budget(device)
        for entry in there:
            if excess <= 0:
                break
            del self._loaded[entry.key]
            excess -= entry.nbytes
            log.info("unloaded %s (%d MB) from %s", type(entry.module).__name__, entry.nbytes >> 20, device)
        if len(self._loaded) < len(there):
            _return_memory()


def _built(build: Callable[[], torch.nn.Module]) -> torch.nn.Module | None:
    """What ``build`` makes, None if a GPU's memory does not suffice.

    On return the error is gone, and with it the half-built network that its traceback holds.
    """
    import torch

    try:
        return build()
    except torch.OutOfMemoryError:
        return None


def memory_budget(device: str) -> int:
    """Bytes of weights that may stay on ``device``: a share of its memory."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.get_device_properties(device).total_memory * SHARE_OF_MEMORY)
    return int(memory_limit() * SHARE_OF_MEMORY)


def _return_memory() -> None:
    import torch

    give_back_freed_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


_residency = Residency(memory_budget)
resident = _residency.resident
free = _residency.free
loaded = _residency.loaded
