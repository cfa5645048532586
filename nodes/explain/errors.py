"""The error of this room's nodes."""

from __future__ import annotations

from graph.errors import SumiError


class ExplainError(SumiError):
    """An input of a node that explains cannot be used. The message names the input and says what would be right."""
