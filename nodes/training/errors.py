"""The errors of training that users can cause."""

from __future__ import annotations

from graph.errors import SumiError


class TrainingError(SumiError):
    """Settings, models or data do not match. The message says what was found and what was expected."""


class DatasetError(TrainingError):
    """A dataset cannot be used. The message names the file."""
