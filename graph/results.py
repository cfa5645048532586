"""What a node may return besides plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Blocked:
    """In place of an output: whatever needs it does not run.

    With a ``message``, each node that would have needed it reports it as its error;
    without, they are skipped silently.
    """

    message: str | None = None


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file that an output node wrote: ``folder`` is ``output`` or ``temp``."""

    filename: str
    subfolder: str = ""
    folder: str = "output"

    def as_ui(self) -> dict[str, str]:
        """What clients are told of it."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.folder}


class NodeResult:
    """Values, what to show, and a graph to run in the node's place.

    ``values``: one per output. ``ui``: name → list of JSON data that clients get in
    ``executed`` (``{"images": [{"filename", "subfolder", "type"}]}``); entries that have
    ``filename`` and ``type`` name files, which a cached result needs to be still there.
    ``expand``: an API-format graph; then ``values`` may be links into it (``graph.Link``
    or ``[node_id, output_index]``).
    """

    __slots__ = ("expand", "ui", "values")

    def __init__(self, *values: Any, ui: Mapping[str, Any] | None = None, expand: Mapping[str, Any] | None = None):
        self.values = values
        self.ui = ui
        self.expand = expand
