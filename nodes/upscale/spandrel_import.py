"""Imports the optional library spandrel (MIT, https://github.com/chaiNNer-org/spandrel), or says how to install it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from types import ModuleType
from typing import Any, Final

from graph.errors import SumiError

_TORCHVISION: Final = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")


class UpscaleModelError(SumiError):
    """An upscale model cannot be used. The message names the file and what is wrong, or what to install."""


def import_spandrel() -> Any:
    """Import and return the module ``spandrel``.

    Raises UpscaleModelError, naming the extra to install, if it is missing or cannot be imported.
    """
    try:
        with _torchvision():
            import spandrel
    except ImportError as error:
        raise UpscaleModelError(
            f"upscale models need the library spandrel ({error}); install it: .venv/bin/pip install -e '.[upscale]'"
        ) from error
    return spandrel


@contextmanager
def _torchvision() -> Iterator[None]:
    """Provide the names that spandrel imports from torchvision, if torchvision is missing or cannot be imported.

    A torchvision that was built for another torch fails when it is imported. Only two architectures, neither of which
    enlarges pictures, call these functions.
    """
    if "spandrel" in sys.modules or _torchvision_loads():
        yield
        return
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torchvision"}
    for name in before:
        del sys.modules[name]
    for name in _TORCHVISION:
        sys.modules[name] = ModuleType(name)
    functional: Any = sys.modules[_TORCHVISION[-1]]
    functional.InterpolationMode = _InterpolationMode
    functional.rotate = functional.normalize = _missing
    try:
        yield
    finally:
        for name in _TORCHVISION:
            del sys.modules[name]


def _torchvision_loads() -> bool:
    try:
        import torchvision.transforms.functional  # noqa: F401
    except (ImportError, RuntimeError):  # RuntimeError: its operators were built for another torch
        return False
    return True


class _InterpolationMode(Enum):
    NEAREST = "nearest"
    BILINEAR = "bilinear"


def _missing(*_: Any, **__: Any) -> Any:
    raise UpscaleModelError("this architecture needs the library torchvision, in the version made for this torch")
