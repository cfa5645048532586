"""What can go wrong in training and is the workflow's doing."""

from __future__ import annotations

from graph.errors import SumiError


class TrainingError(SumiError):
    """Settings, models or data do not fit together; names what was found and what would be right."""


class DatasetError(TrainingError):
    """A dataset cannot be used; names the file."""
