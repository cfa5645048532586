"""The programs and packages that torch.compile needs, and its folder; without importing torch."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Final

_NAMES: Final = {"win32": ("cl",), "darwin": ("clang++", "g++")}
_OTHER_NAMES: Final = ("g++", "clang++")


def missing(kind: str) -> str | None:
    """Return what torch.compile lacks on a device of ``kind`` (``cpu``, ``cuda`` …) and how to install it, or None."""
    if kind == "cuda":
        if _has_triton():
            return None
        return "Triton is needed on a GPU, and is not installed; install it with: pip install triton"
    if _compiler():
        return None
    return (
        "a C++ compiler is needed, and none was found; install one with: "
        "sudo apt install g++ (Debian, Ubuntu), xcode-select --install (macOS), or Visual Studio's C++ build tools "
        "(Windows)"
    )


def keep_in(folder: Path) -> None:
    """Keep what torch.compile makes in ``folder``, unless the environment variable TORCHINDUCTOR_CACHE_DIR is set.

    Call this before anything imports torch's compiler, which sets the variable itself.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


@cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def _compiler() -> str | None:
    """Return the path of a C++ compiler: the one in the environment variable CXX, or the first that is installed."""
    chosen = os.environ.get("CXX")
    names = (chosen,) if chosen else _NAMES.get(sys.platform, _OTHER_NAMES)
    return next((path for name in names if (path := shutil.which(name))), None)
