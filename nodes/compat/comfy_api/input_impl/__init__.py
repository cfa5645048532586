"""``comfy_api.input_impl``: videos, which Sumi cannot read or write."""

from __future__ import annotations

from typing import Any

from graph.errors import SumiError


class VideoError(SumiError):
    """A pack wants to read or write a video."""


class VideoFromFile:
    """Raises an error: Sumi does not read or write video."""

    def __init__(self, *_: Any, **__: Any):
        raise VideoError("Sumi has no video: this node cannot run here (see docs/compatibility.md)")


class VideoFromComponents(VideoFromFile):
    """Raises an error: Sumi does not read or write video."""
