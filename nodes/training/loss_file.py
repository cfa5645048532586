"""Saves the loss graph as a file in the temp folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from graph.context import Context
from graph.results import SavedFile
from nodes.pictures.saving import save_png
from nodes.training.loss_graph import loss_graph


def save_loss_graph(
    context: Context, losses: Sequence[float], prefix: str, prompt: Any, extra_pnginfo: Any
) -> list[SavedFile]:
    """Save the graph as ``{prefix}_{counter:05}_.png``, with the workflow inside. Raises OutputFileError."""
    picture = torch.from_numpy(np.asarray(loss_graph(losses), dtype=np.float32) / 255.0)
    return save_png(
        context, picture.unsqueeze(0), prefix=prefix, folder="temp", prompt=prompt, extra_pnginfo=extra_pnginfo
    )
