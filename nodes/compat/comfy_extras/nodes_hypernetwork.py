"""``comfy_extras.nodes_hypernetwork``: reading a hypernetwork as a patch of attention, and its node."""

from __future__ import annotations

import os
from pathlib import Path

from nodes.changes.hypernetwork import Hypernetwork, hypernetwork_in


def load_hypernetwork_patch(path: str | os.PathLike[str], strength: float) -> Hypernetwork:
    """Return the patch for ``set_model_attn1_patch``. Raises CheckpointError for a file without a hypernetwork."""
    return hypernetwork_in(Path(path), strength)
