"""``comfy_extras.chainner_models.model_loading``: networks that enlarge pictures, read by spandrel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodes.upscale.spandrel_import import import_spandrel


def load_state_dict(state_dict: Mapping[str, Any]) -> Any:
    """Return the network of these tensors, ready to run. Raises UpscaleModelError if spandrel is not installed."""
    return import_spandrel().ModelLoader().load_from_state_dict(dict(state_dict)).eval()
