"""The cache's codec for handles (MODEL, CLIP and others). They are never stored, since recreating one costs nothing."""

from __future__ import annotations

from typing import Any

from graph.codec import Blob


class HandleCodec:
    """Codec for handles of models. It counts their patches; :mod:`nodes.models.residency` counts their weights."""

    name = "handle"

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is a handle."""
        from nodes.models.handle import Handle

        return isinstance(value, Handle)

    def nbytes(self, value: Any) -> int:
        """Return the bytes of the weight patches and pictures that the handle holds."""
        return getattr(value, "nbytes", 0) + sum(patch.nbytes for patch in getattr(value, "patches", ()))

    def dump(self, value: Any) -> Blob | None:
        """Return None, since a handle is not stored."""
        return None

    def load(self, blob: Blob) -> Any:
        """Raise TypeError, since a handle is never stored."""
        raise TypeError("a handle is never stored")
