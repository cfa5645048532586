"""Errors of LoRA files."""

from __future__ import annotations

from graph.errors import SumiError


class LoraError(SumiError):
    """A LoRA cannot be used. The message names the file, its content, and the model that the node got."""
