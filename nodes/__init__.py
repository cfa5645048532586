"""The nodes: one room per stage of making a picture. Importing this package imports neither torch nor transformers."""

from __future__ import annotations

from nodes.rooms import registry

__all__ = ["registry"]
