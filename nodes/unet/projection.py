"""Caches the projections of texts for cross-attention, so that a run computes each of them once."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary


class ProjectedTexts:
    """The keys and values of texts, kept while the text tensor exists and is unchanged."""

    def __init__(self) -> None:
        self._kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def of(self, network: Any, text: Tensor) -> Any:
        """Return ``network.project_context(text)``, computed once for each tensor."""
        version, projection = self._kept.get(text, (None, None))
        if version != text._version:  # a function may have changed the tensor in place
            projection = network.project_context(text)
            self._kept[text] = text._version, projection
        return projection
