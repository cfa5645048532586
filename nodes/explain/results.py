"""The result that every node of this room has: a card, a table in Markdown, and both shown on the node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from graph.context import Context
from graph.node import Named, Socket
from graph.results import NodeResult, SavedFile
from nodes.types import Image

if TYPE_CHECKING:
    import torch

    from nodes.drawing.table import Table

CATEGORY: Final = "explain"
ROWS_SHOWN: Final = 150
"""Rows of each table that the node shows; its output has all."""


class Explained(NamedTuple):
    """``picture`` is the card [1, H, 900, 3], ``table`` its numbers as a table in Markdown."""

    picture: Image
    table: Annotated[str, Socket("STRING"), Named("table")]


def shown(
    context: Context,
    picture: torch.Tensor,
    *tables: Table,
    values: Sequence[Any] = (),
    prompt: Any = None,
    extra_pnginfo: Any = None,
    files: Sequence[SavedFile] = (),
) -> Any:
    """Return ``picture`` [1, H, W, 3] and the tables, and show both on the node; the picture is in the temp folder.

    Several tables are separated by an empty line. The result is an :class:`Explained`, as a NodeResult, with ``values``
    for a node that has more outputs. ``files`` are other files that the node has written.
    """
    from nodes.pictures.saving import save_preview

    images = save_preview(context, picture, prompt=prompt, extra_pnginfo=extra_pnginfo)
    text = "\n\n".join(table.markdown() for table in tables)
    short = "\n\n".join(table.markdown(ROWS_SHOWN) for table in tables)
    ui: dict[str, list[Any]] = {"images": [file.as_ui() for file in images], "text": [short]}
    if files:
        ui["files"] = [file.as_ui() for file in files]
    return NodeResult(picture, text, *values, ui=ui)
