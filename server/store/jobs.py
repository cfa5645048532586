"""A job: one accepted prompt, from the queue to the history."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Status = Literal["pending", "running", "success", "error", "interrupted"]

PREVIEW_METHODS: Final = ("none", "auto", "latent2rgb", "taesd")
"""Values of ``--preview-method`` and ``extra_data.preview_method``. All except ``none`` mean the same."""

MAX_WORKER_DEATHS = 2
"""A job that has taken this many workers down with it is not tried again."""


@dataclass
class Job:
    """One prompt and what became of it. Times are seconds since the epoch.

    ``number`` orders the queue, smallest first; equal ones run in the order of ``place``.
    ``messages`` are the ``[event, data]`` pairs that the history keeps, ``outputs`` and
    ``meta`` what nodes showed, by node id, ``timings`` seconds by node id.
    ``node_errors`` is what validation said of the outputs that were left out.
    """

    prompt_id: str
    number: float
    prompt: dict[str, Any]
    extra_data: dict[str, Any] = field(default_factory=dict)
    client_id: str | None = None
    outputs_to_execute: list[str] = field(default_factory=list)
    status: Status = "pending"
    attempts: int = 0
    worker_deaths: int = 0
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    messages: list[list[Any]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    cached: list[str] = field(default_factory=list)
    node_errors: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    place: float = 0.0

    @property
    def ended_already(self) -> bool:
        return self.status in ("success", "error", "interrupted")

    def start_over(self) -> None:
        """Forget what an earlier attempt said; what it computed is in the cache."""
        self.status = "pending"
        self.started = self.ended = None
        self.messages, self.outputs, self.meta, self.timings, self.cached = [], {}, {}, {}, []
        self.error = None

    def queue_item(self) -> list[Any]:
        """``[number, prompt_id, prompt, extra_data, output ids]``, as ``GET /queue`` lists it."""
        return [whole(self.number), self.prompt_id, self.prompt, self.extra_data, self.outputs_to_execute]

    def history_entry(self) -> dict[str, Any]:
        """The job as ``GET /history`` shows it."""
        return {
            "prompt": self.queue_item(),
            "outputs": self.outputs,
            "status": self.history_status(),
            "meta": self.meta,
        }

    def history_status(self) -> dict[str, Any]:
        """An interrupted job counts as an error there; ``GET /jobs`` tells them apart."""
        done = self.status == "success"
        return {"status_str": "success" if done else "error", "completed": done, "messages": self.messages}


def whole(number: float) -> float:
    """Return whole numbers as integers, as clients sent them."""
    return int(number) if number == int(number) and abs(number) < 1e15 else number


def compact_json(value: Any) -> str:
    """JSON without spaces, all ASCII. NaN and infinity, which JSON has not, become null."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(value), separators=(",", ":"))


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return value
