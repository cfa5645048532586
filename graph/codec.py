"""How a value that graph/ must not look inside is sized, stored and read back.

Plain data (numbers, strings, lists, tuples, dicts) needs no codec: the cache walks
it and asks the registered codecs about each leaf that is something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Blob:
    """A leaf as bytes: ``dtype`` is a safetensors name (``F32``, ``BF16``, ``U8``), C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | bytearray | memoryview


@runtime_checkable
class Codec(Protocol):
    """One kind of leaf (torch tensors, say)."""

    name: str

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is of this codec's kind. Must not import anything heavy to say no."""

    def nbytes(self, value: Any) -> int:
        """Bytes of memory that keeping ``value`` costs (0 for handles)."""

    def dump(self, value: Any) -> Blob | None:
        """``value`` as bytes, or None when it must not leave memory (model handles)."""

    def load(self, blob: Blob) -> Any:
        """The value that :meth:`dump` was given, equal bit for bit."""


def codecs_in(module: ModuleType) -> list[Codec]:
    """The codecs that ``module`` has at its top level, in the order they are written."""
    return [value for value in vars(module).values() if not isinstance(value, type) and isinstance(value, Codec)]
