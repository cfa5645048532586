"""The public import path of the functions that write pictures, for node packs."""

from __future__ import annotations

from nodes.pictures.saving import png_preview, save_png

__all__ = ["png_preview", "save_png"]
