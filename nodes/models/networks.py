"""The registry of network classes by type of configuration.

The networks' rooms register a factory when their package is imported; nodes/rooms.py imports all of them. So this
room builds networks without importing other rooms, and importing a room does not load torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch.nn import Module

Config = TypeVar("Config")
Factory = Callable[[Config], "Module"]

_factories: dict[type, Factory[Any]] = {}


def register_network(config: type[Config], factory: Factory[Config]) -> None:
    """Register ``factory`` for networks with that type of configuration. It may import torch when it is called."""
    _factories[config] = factory


def network_factory(config: type[Config]) -> Factory[Config]:
    """Return the factory registered for a type of configuration. Raises LookupError if there is none."""
    try:
        return _factories[config]
    except KeyError:
        raise LookupError(f"no network is registered for {config.__name__}; its room has not been imported") from None
