"""A job: one accepted prompt, from the queue to the history."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Status = Literal["pending", "running", "success", "error", "interrupted"]

PREVIEW_METHODS: Final = ("none", "auto", "latent2rgb", "taesd")
"""Values of ``--preview-method`` and ``extra_data.preview_method``. ``auto`` means ``latent2rgb``."""

MAX_WORKER_DEATHS = 2
"""Number of workers that a job may kill before it is not retried any more."""

MAX_WORKERS_LOST = 5
"""Number of workers that may be lost from outside while they run a job before it is not retried any more."""


@dataclass
class Job:
    """One prompt, its state and its results. Times are seconds since the epoch.

    ``number`` orders the queue, smallest first; jobs with equal numbers run in the order of ``place``.
    ``messages`` are the ``[event, data]`` pairs in the history. ``outputs`` and ``meta`` hold the data that
    nodes showed, by node id; ``timings`` the seconds by node id.
    ``node_errors`` are the validation errors of outputs that do not run. ``user`` is the name of the user who queued
    it, None for the operator, which is everyone on a server without users.
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
    user: str | None = None

    @property
    def log_facts(self) -> dict[str, str]:
        """The job's id and user, as ``extra`` of its log records."""
        return {"prompt_id": self.prompt_id, **({} if self.user is None else {"user": self.user})}

    @property
    def has_ended(self) -> bool:
        return self.status in ("success", "error", "interrupted")

    def start_over(self) -> None:
        """Reset the messages and outputs of an earlier attempt. Its results are in the cache."""
        self.status = "pending"
        self.started = self.ended = None
        self.messages, self.outputs, self.meta, self.timings, self.cached = [], {}, {}, {}, []
        self.error = None

    def queue_item(self) -> list[Any]:
        """Return ``[number, prompt_id, prompt, extra_data, output ids]``, the form of ``GET /queue``."""
        return [whole(self.number), self.prompt_id, self.prompt, self.extra_data, self.outputs_to_execute]

    def history_entry(self) -> dict[str, Any]:
        """Return the job in the form of ``GET /history``."""
        return {
            "prompt": self.queue_item(),
            "outputs": self.outputs,
            "status": self.history_status(),
            "meta": self.meta,
        }

    def history_status(self) -> dict[str, Any]:
        """Return the status for ``GET /history``, where interrupted jobs count as errors (unlike in ``GET /jobs``)."""
        done = self.status == "success"
        return {"status_str": "success" if done else "error", "completed": done, "messages": self.messages}


def may_see(viewer: str | None, owner: str | None) -> bool:
    """Whether a user may see and change what belongs to ``owner``. The operator, None, may do so with everything."""
    return viewer is None or viewer == owner


def whole(number: float) -> float:
    """Return whole numbers as integers, as clients sent them."""
    return int(number) if number == int(number) and abs(number) < 1e15 else number


def compact_json(value: Any) -> str:
    """Return JSON in ASCII without spaces. NaN and infinity, which JSON lacks, become null."""
    try:
        return _encode(value)
    except ValueError:
        return _encode(_without_nan(value))


_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""``json.dumps`` with these options makes a new encoder each time, which takes longer than most messages."""


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return value
