"""The node that draws the labelled grid of a sweep. The server and ``main.py run --sweep`` add it, not people."""

from __future__ import annotations

from graph.context import Context
from graph.folders import Folders
from graph.node import ExtraPngInfo, node
from graph.results import NodeResult


def _state_of_files(grid: str, folders: Folders) -> list[list[object]]:
    from nodes.image.sweep_grid import path_of, read_grid

    marks: list[list[object]] = []
    for file in read_grid(grid).files():
        path = path_of(file, folders)
        found = path.stat() if path.is_file() else None
        marks.append([file.relative, found.st_size if found else 0, found.st_mtime_ns if found else 0])
    return marks


@node(
    "SweepGrid",
    display_name="Sweep Grid",
    category="image",
    output_node=True,
    environment=False,
    fingerprint=_state_of_files,
)
def sweep_grid(*, grid: str, workflow: str = "", extra_pnginfo: ExtraPngInfo = None, context: Context) -> NodeResult:
    """Draw the pictures of a sweep as one grid with labels, and save it beside them.

    Sweeps add this node themselves. The grid carries the workflow before the sweep, and the sweep. Files that are not
    pictures are left out; if none is one, nothing is saved. Raises GridError and OutputFileError.
    """
    import json

    from nodes.image.sweep_grid import draw, prefix_beside, read_grid
    from nodes.pictures import metadata
    from nodes.saving import save_files

    described = read_grid(grid)
    picture = draw(described, context.folders, context.progress)
    if picture is None:
        return NodeResult(ui={})
    first = described.files()[0]
    chunks = metadata.png_chunks(json.loads(workflow) if workflow else None, extra_pnginfo)
    files = save_files(
        context,
        [lambda file: picture.save(file, format="PNG", pnginfo=chunks, compress_level=4)],
        prefix=prefix_beside(first).replace("%", ""),
        suffix=".png",
        folder=first.folder,
    )
    return NodeResult(ui={"images": [file.as_ui() for file in files]})
