"""``comfy.ldm.util``: values with defaults, and objects from their dotted names."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from nodes.compat.comfy.ldm.modules.attention import exists
from nodes.compat.comfy.ldm.modules.diffusionmodules.util import mean_flat

__all__ = ["count_params", "default", "exists", "get_obj_from_str", "instantiate_from_config", "mean_flat"]


def default(val: Any, d: Any) -> Any:
    """``val``, or ``d`` if it is None; a function ``d`` is called for the default."""
    if val is not None:
        return val
    return d() if callable(d) else d


def count_params(model: nn.Module, verbose: bool = False) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def get_obj_from_str(string: str, reload: bool = False) -> Any:
    """Return the object with that dotted name."""
    module, _, name = string.rpartition(".")
    return getattr(importlib.import_module(module), name)


def instantiate_from_config(config: Mapping[str, Any]) -> Any:
    """Return the object that ``{"target": name, "params": {…}}`` describes. Raises KeyError without a target."""
    return get_obj_from_str(config["target"])(**config.get("params", {}))
