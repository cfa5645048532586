"""``comfy.cli_args``: the flags that packs read. Flags that Sumi does not have are None, which means off."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final


class LatentPreviewMethod(Enum):
    """How previews are made."""

    NoPreviews = "none"
    Auto = "auto"
    Latent2RGB = "latent2rgb"
    TAESD = "taesd"

    @classmethod
    def from_string(cls, value: str) -> LatentPreviewMethod | None:
        """Return the member with that value."""
        return next((member for member in cls if member.value == value), None)


_DEFAULTS: Final[Mapping[str, Any]] = {"listen": "127.0.0.1", "port": 8188, "preview_method": "auto"}


class _Flags:
    """The flags that Sumi was started with, as ``args``. A flag that it does not have is None.

    ``cpu`` is whether everything is computed on the CPU, ``disable_metadata`` whether pictures are saved without
    their workflow, ``preview_method`` how previews are made.
    """

    def __init__(self) -> None:
        self._given: Mapping[str, Any] = {}
        self._set: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._set:
            return self._set[name]
        if name == "cpu":
            from nodes import device

            return device.device_name() == "cpu"
        if name == "disable_metadata":
            from nodes.pictures import metadata

            return not metadata.enabled
        value = self._given.get(name, _DEFAULTS.get(name))
        if name == "preview_method":
            return LatentPreviewMethod.from_string(value) or LatentPreviewMethod.Auto
        return str(value) if isinstance(value, Path) else value

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a flag for packs; Sumi's own settings do not change."""
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            self._set[name] = value


def use(given: Mapping[str, Any]) -> None:
    """Let :data:`args` show these flags."""
    args._given = dict(given)


args = _Flags()


class PerformanceFeature(Enum):
    """Features of ComfyUI's flag ``--fast``; Sumi has none of them."""

    Fp16Accumulation = "fp16_accumulation"
    Fp8MatrixMultiplication = "fp8_matrix_mult"
    CublasOps = "cublas_ops"
    AutoTune = "autotune"
