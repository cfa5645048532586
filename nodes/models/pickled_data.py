"""Allows names of plain data in the pickle of a ``torch.save`` file, in addition to those that torch allows.

Old ``.ckpt`` files contain numpy's numbers (a loss, a learning rate), arrays and the names of callbacks from training.
Rebuilding them runs no code that the file could choose.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any, Final, cast

_NUMPY_MODULES: Final = ("numpy.core.multiarray", "numpy._core.multiarray")
"""The module's name before and since numpy 2."""

_LIGHTNING: Final = "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"
_PATHS: Final = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
_FACTORIES: Final = ("dict", "list", "int", "float", "str")
"""Built-in types that a defaultdict makes its missing values with; here nothing is made."""
_ENCODINGS: Final = frozenset({"latin1", "latin-1", "iso-8859-1", "utf-8", "utf8", "ascii"})


class ModelCheckpoint:
    """A placeholder for the Lightning class that training checkpoints use as the name of a callback."""


def plain_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return classes and functions for ``torch.serialization.safe_globals``, some with the name in the file."""
    import numpy as np
    import torch

    # A pickled dtype is rebuilt and then gets its byte order; torch permits that only if its class is listed.
    dtypes = [kind for kind in vars(np.dtypes).values() if isinstance(kind, type) and issubclass(kind, np.dtype)]
    make_scalar, make_array = (
        cast("Callable[..., Any]", value.__reduce__()[0]) for value in (np.float64(0), np.array(0))
    )
    named: list[tuple[Callable[..., Any], str]] = [
        (ModelCheckpoint, _LIGHTNING),
        (_encode, "_codecs.encode"),
        (_dict, "collections.defaultdict"),
        *((_nothing, f"{module}.{name}") for module in ("builtins", "__builtin__") for name in _FACTORIES),
        *((_path, f"{module}.{name}") for module in ("pathlib", "pathlib._local") for name in _PATHS),
        *((make_scalar, f"{module}.scalar") for module in _NUMPY_MODULES),
        *((make_array, f"{module}._reconstruct") for module in _NUMPY_MODULES),
    ]
    return [torch.nn.ParameterDict, np.ndarray, np.dtype, *dtypes, *named]


def _dict(*_: object) -> dict[object, object]:
    """Return an ordinary dict in place of a defaultdict."""
    return {}


def _nothing(*_: object) -> None:
    """Take the place of a built-in type, which no file may call."""


def _path(*parts: str) -> str:
    """Return a path of any system as text."""
    return "/".join(parts)


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    """Encode text as bytes, which is how pickles of protocol 2 hold bytes."""
    if encoding.lower() not in _ENCODINGS:
        raise ValueError(f"unexpected encoding {encoding!r}")
    return codecs.encode(text, encoding)
