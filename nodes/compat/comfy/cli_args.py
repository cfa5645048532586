"""``comfy.cli_args``: packs look at flags. Those that Sumi does not have are None, which is off."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final


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


_DEFAULTS: Final[Mapping[str, Any]] = {"listen": "127.0.0.1", "port": 8188, "preview_method": "auto"}


class _Flags:
    """``args``: what Sumi was started with, by the names of its own flags. One that it does not have is None."""

    def __init__(self) -> None:
        self._given: Mapping[str, Any] = {}

    @property
    def preview_method(self) -> LatentPreviewMethod:
        """How pictures at work are made."""
        return LatentPreviewMethod.from_string(self._value("preview_method")) or LatentPreviewMethod.Auto

    @property
    def cpu(self) -> bool:
        """Whether everything is computed on the CPU."""
        from nodes import device

        return device.device_name() == "cpu"

    @property
    def disable_metadata(self) -> bool:
        """Whether pictures are saved without their workflow."""
        from nodes.pictures import metadata

        return not metadata.enabled

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._value(name)

    def _value(self, name: str) -> Any:
        value = self._given.get(name, _DEFAULTS.get(name))
        return str(value) if isinstance(value, Path) else value


def use(given: Mapping[str, Any]) -> None:
    """Have :data:`args` tell of these flags."""
    args._given = dict(given)


args = _Flags()
