"""Numbers the predictions of a run and the network's calls in each, for changes that reuse results of earlier steps."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nodes.models.changes import NetworkCall, Predictor, RawCall, Step

Kept = TypeVar("Kept")


@dataclass
class RunPosition:
    """The position of a run: a guided prediction, and a call of the network in it.

    A sampler may predict several times at one noise level, and a prediction may call the network several times: for
    areas of different sizes, or for functions that want another prediction. Calls correspond to each other in two
    predictions if they have the same number and the same conditions.
    """

    predictions: int = 0
    """Number of guided predictions that began since the noise level last rose."""
    level: float = field(default=float("inf"))
    _calls: int = 0

    def begin(self, step: Step) -> bool:
        """Begin a guided prediction. Returns whether the noise level rose, with which a new descent begins."""
        rose = step.level > self.level
        self.predictions = 1 if rose else self.predictions + 1
        self.level = step.level
        self._calls = 0
        return rose

    def next_call(self, call: NetworkCall | RawCall) -> Hashable:
        """Return what identifies the next call in this prediction."""
        self._calls += 1
        shape: Any = tuple(call.x.shape)
        return self._calls, tuple(call.options.get("uuids", ())), shape


def kept_in(predictor: Predictor, owner: object, kind: type[Kept]) -> Kept:
    """Return the state of ``kind`` that the change ``owner`` keeps in a run, made at the first request."""
    name = f"{type(owner).__name__} {id(owner)} {kind.__name__}"
    found = predictor.kept.get(name)
    if found is None:
        found = predictor.kept[name] = kind()
    state: Kept = found
    return state


__all__ = ["RunPosition", "kept_in"]
