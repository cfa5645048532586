"""``comfy.cli_args``: packs look at flags. Those that Sumi does not have are off."""

from __future__ import annotations

from enum import Enum
from typing import Any


class LatentPreviewMethod(Enum):
    """How pictures at work are made."""

    NoPreviews = "none"
    Auto = "auto"
    Latent2RGB = "latent2rgb"
    TAESD = "taesd"

    @classmethod
    def from_string(cls, value: str) -> LatentPreviewMethod | None:
        """The member of that value."""
        return next((member for member in cls if member.value == value), None)


class _Flags:
    """``args``: a flag that is not known is None."""

    preview_method = LatentPreviewMethod.Auto
    listen = "127.0.0.1"
    port = 8188

    @property
    def cpu(self) -> bool:
        """Whether everything is computed on the CPU."""
        from nodes import device

        return device.device_name() == "cpu"

    @property
    def disable_metadata(self) -> bool:
        """Whether pictures are saved without their workflow."""
        from nodes.image import metadata

        return not metadata.enabled

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


args = _Flags()
