"""Codecs: how the cache sizes, stores and reads back values that graph/ cannot look inside.

Plain data (numbers, strings, lists, tuples, dicts) needs no codec: the cache walks
it and asks the registered codecs about every other leaf.
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
        """Whether ``value`` is of this codec's kind. Must not import anything heavy to answer no."""

    def nbytes(self, value: Any) -> int:
        """Return the bytes of memory that ``value`` occupies (0 for handles)."""

    def dump(self, value: Any) -> Blob | None:
        """Return ``value`` as bytes, or None if it must stay in memory (model handles)."""

    def load(self, blob: Blob) -> Any:
        """Return the value that :meth:`dump` was given, equal bit for bit."""


def codecs_in(module: ModuleType) -> list[Codec]:
    """Return the codecs at the top level of ``module``, in the order they are defined."""
    return [value for value in vars(module).values() if not isinstance(value, type) and isinstance(value, Codec)]
