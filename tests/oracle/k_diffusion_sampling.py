"""k_diffusion/sampling.py, loaded without the rest of its package.

The package's ``__init__`` imports training code whose dependencies (torchvision, wandb) no test
needs; of its sibling ``utils`` the samplers use ``append_dims`` alone.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
import torch


def load() -> ModuleType:
    """The module, or a skipped test where k-diffusion is not installed."""
    package = importlib.util.find_spec("k_diffusion")
    if package is None or package.submodule_search_locations is None:
        pytest.skip("k-diffusion is not installed")
    parent = ModuleType("k_diffusion_alone")
    parent.__path__ = list(package.submodule_search_locations)
    utils = ModuleType("k_diffusion_alone.utils")
    utils.append_dims = append_dims  # type: ignore[attr-defined]
    sys.modules |= {parent.__name__: parent, utils.__name__: utils}
    spec = importlib.util.spec_from_file_location("k_diffusion_alone.sampling", f"{parent.__path__[0]}/sampling.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def append_dims(x: torch.Tensor, dimensions: int) -> torch.Tensor:
    return x[(...,) + (None,) * (dimensions - x.ndim)]
