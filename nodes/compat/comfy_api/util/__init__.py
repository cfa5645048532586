"""``comfy_api.util``: names of video formats, for packs that mention them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any


class VideoCodec(StrEnum):
    """The containers of videos."""

    AUTO = "auto"
    H264 = "h264"

    @classmethod
    def as_input(cls) -> list[str]:
        """Choices of a node."""
        return [member.value for member in cls]


class VideoContainer(StrEnum):
    """The kind of file."""

    AUTO = "auto"
    MP4 = "mp4"

    @classmethod
    def as_input(cls) -> list[str]:
        """Choices of a node."""
        return [member.value for member in cls]


@dataclass
class VideoComponents:
    """Pictures [B, H, W, C], frames per second, and sound."""

    images: Any
    frame_rate: Fraction
    audio: Any = None
    metadata: dict[str, Any] | None = None
