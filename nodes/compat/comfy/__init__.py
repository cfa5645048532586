"""``comfy``: what packs import of it. Submodules are there without being imported, as packs expect."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    full_name = f"{__name__}.{name}"
    if name.startswith("_") or importlib.util.find_spec(full_name) is None:
        raise AttributeError(f"module 'comfy' has no attribute {name!r} in Sumi")
    return importlib.import_module(full_name)
