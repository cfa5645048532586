"""Describes the labelled grid that ends a sweep, as data for the node that draws it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.results import file_in
from graph.sweep.sweep import Sweep
from graph.workflow import Workflow, WorkflowNode

GRID_NODE: Final = "SweepGrid"
"""The class of the node that draws a grid."""

PICTURES: Final = "images"
"""The name under which output nodes show pictures."""

Shown = Mapping[int, Mapping[str, Mapping[str, Any]]]
"""Combination → output node → what it showed."""


def grid_workflow(sweep: Sweep, shown: Shown, outputs: Sequence[str], prompt: Mapping[str, Any]) -> Workflow:
    """Return a workflow that draws one grid for each output node that showed pictures, under that node's id.

    The pictures are in the files that ``shown`` names. ``prompt``, the workflow before the sweep in the API dialect,
    is written into the grids. The result has no nodes if there is nothing to draw.
    """
    nodes = {}
    for output in outputs:
        axes = sweep.axes_of(output)
        numbers = sweep.numbers_of(output)
        cells = [_files(shown.get(number, {}).get(output, {})) for number in numbers]
        if axes and any(cells):
            titles = sweep.titles()
            described = {
                "axes": [{"title": titles[axis], "labels": list(sweep.axes[axis].labels)} for axis in axes],
                "cells": cells,
            }
            inputs = {
                "grid": json.dumps(described, ensure_ascii=False),
                "workflow": json.dumps(prompt, ensure_ascii=False),
            }
            nodes[output] = WorkflowNode(GRID_NODE, inputs)
    return Workflow(nodes)


def _files(ui: Mapping[str, Any]) -> list[dict[str, str]]:
    entries = ui.get(PICTURES)
    files = map(file_in, entries) if isinstance(entries, (list, tuple)) else ()
    return [file.as_ui() for file in files if file is not None and file.folder in ("output", "temp")]
