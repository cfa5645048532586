"""Tells the cache the size of MODEL, CLIP and VAE handles. They are never stored: recreating one costs nothing."""

from __future__ import annotations

from typing import Any

from graph.codec import Blob


class HandleCodec:
    """Handles of models. Their weights are counted by :mod:`nodes.models.residency`, their patches here."""

    name = "handle"

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is a handle."""
        from nodes.models.handle import Handle

        return isinstance(value, Handle)

    def nbytes(self, value: Any) -> int:
        """Bytes of the weight patches that the handle holds."""
        return sum(patch.nbytes for patch in getattr(value, "patches", ()))

    def dump(self, value: Any) -> Blob | None:
        """None: a handle is not stored."""
        return None

    def load(self, blob: Blob) -> Any:
        """Raises TypeError: a handle is never stored."""
        raise TypeError("a handle is never stored")
