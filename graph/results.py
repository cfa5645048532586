"""Special return values of nodes, and the files that their ``ui`` data names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Blocked:
    """Returned in place of an output. Nodes that need the output do not run.

    With a ``message``, each of these nodes reports it as its error, and the run continues. Without one, they are
    skipped silently. With ``fails``, the run fails at the first node that needs the output: for a value that does not
    exist, such as the VAE of a checkpoint without one.
    """

    message: str | None = None
    fails: bool = False


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file that an output node shows. ``folder`` is ``output`` or ``temp`` (node packs also use ``input``)."""

    filename: str
    subfolder: str = ""
    folder: str = "output"

    def as_ui(self) -> dict[str, str]:
        """Return the file as an entry of ``ui`` data, in the form that clients receive."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.folder}

    @property
    def relative(self) -> str:
        """Return the path below the folder, with ``/``."""
        return f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename


def file_in(entry: Any) -> SavedFile | None:
    """Return the file that an entry of ``ui`` data names; None for any other entry."""
    if not isinstance(entry, Mapping):
        return None
    filename, folder = entry.get("filename"), entry.get("type")
    if not isinstance(filename, str) or not isinstance(folder, str) or not filename:
        return None
    return SavedFile(filename, str(entry.get("subfolder") or ""), folder)


def files_in(ui: Mapping[str, Any] | None) -> Iterator[SavedFile]:
    """Yield each file that ``ui`` data names, in order."""
    for shown in (ui or {}).values():
        for entry in shown if isinstance(shown, (list, tuple)) else ():
            file = file_in(entry)
            if file is not None:
                yield file


def with_changed_files(
    ui: Mapping[str, Any], change: Callable[[Mapping[str, Any], SavedFile], Mapping[str, Any]]
) -> dict[str, Any]:
    """Return ``ui`` data with each entry that names a file replaced by ``change(entry, file)``."""

    def changed(entry: Any) -> Any:
        file = file_in(entry)
        return entry if file is None else change(entry, file)

    return {
        name: [changed(entry) for entry in shown] if isinstance(shown, (list, tuple)) else shown
        for name, shown in ui.items()
    }


class NodeResult:
    """The result of a node: values, data to show, and a graph to run in the node's place.

    ``values``: one per output. ``ui``: name → list of JSON data that clients get in ``executed``
    (``{"images": [{"filename", "subfolder", "type"}]}``). Entries with ``filename`` and ``type`` name files: a
    cached result is valid only while they are in place. ``expand``: a graph in the API format; ``values`` may then
    be links into it (``graph.Link`` or ``[node_id, output_index]``).
    """

    __slots__ = ("expand", "ui", "values")

    def __init__(self, *values: Any, ui: Mapping[str, Any] | None = None, expand: Mapping[str, Any] | None = None):
        self.values = values
        self.ui = ui
        self.expand = expand
