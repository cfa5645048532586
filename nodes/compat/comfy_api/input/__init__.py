"""``comfy_api.input``: the values that nodes get, as types."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypedDict

ImageInput = Any
"""A tensor [B, H, W, C], 0..1."""
MaskInput = Any
"""A tensor [B, H, W], 0..1."""


class AudioInput(TypedDict):
    """``waveform`` [B, channels, samples]."""

    waveform: Any
    sample_rate: int


class LatentInput(TypedDict):
    """``samples`` [B, C, h, w]."""

    samples: Any


class VideoInput(ABC):
    """A video. Sumi makes none; a pack may bring its own."""

    @abstractmethod
    def get_components(self) -> Any:
        """Pictures, sound and frame rate."""

    @abstractmethod
    def save_to(self, path: str, format: Any = None, codec: Any = None, metadata: Any = None) -> None:
        """Write it to a file."""
