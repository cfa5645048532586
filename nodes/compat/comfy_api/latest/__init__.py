"""``comfy_api.latest``: schema-style nodes and the extensions that list them."""

from __future__ import annotations

from typing import Any

from graph.context import current
from nodes.compat.comfy_api import input as Input
from nodes.compat.comfy_api import input_impl as InputImpl
from nodes.compat.comfy_api import util as Types
from nodes.compat.comfy_api.latest import _io, _ui
from nodes.compat.progress import report

io = _io
ui = _ui
IO = _io
UI = _ui


class ComfyExtension:
    """The result of ``comfy_entrypoint``."""

    async def on_load(self) -> None:
        """Called before the nodes are asked for."""

    async def get_node_list(self) -> list[type[_io.ComfyNode]]:
        """Return the classes of the nodes."""
        raise NotImplementedError(f"{type(self).__name__} has no get_node_list")


class _Execution:
    async def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: Any = None,
        ignore_size_limit: bool = False,
    ) -> None:
        """Report that ``value`` of ``max_value`` is done. ``preview_image``: an IMAGE or a Pillow image."""
        report(current(), value, max_value, preview_image)


class _ExecutionSync:
    def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: Any = None,
        ignore_size_limit: bool = False,
    ) -> None:
        """Report that ``value`` of ``max_value`` is done. ``preview_image``: an IMAGE or a Pillow image."""
        report(current(), value, max_value, preview_image)


class ComfyAPI:
    """The functions that a running node may call in coroutines."""

    VERSION = "latest"
    STABLE = False

    def __init__(self) -> None:
        self.execution = _Execution()


class ComfyAPISync:
    """The functions that a running node may call."""

    VERSION = "latest"
    STABLE = False

    def __init__(self) -> None:
        self.execution = _ExecutionSync()


__all__ = [
    "IO",
    "UI",
    "ComfyAPI",
    "ComfyAPISync",
    "ComfyExtension",
    "Input",
    "InputImpl",
    "Types",
    "io",
    "ui",
]
