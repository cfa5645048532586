"""The errors in training that the workflow causes."""

from __future__ import annotations

from graph.errors import SumiError


class TrainingError(SumiError):
    """Settings, models or data do not fit together. The message says what was found and what would be right."""


class DatasetError(TrainingError):
    """A dataset cannot be used; names the file."""
