"""The public path of what writes pictures, for nodes outside this house."""

from __future__ import annotations

from nodes.pictures.saving import png_preview, save_png

__all__ = ["png_preview", "save_png"]
