"""Workflows as apps: a form of the fields that matter, and the outputs to show beside it."""

from graph.app.app import App, Field, Output, read_app
from graph.app.describe import describe_app, described_field
from graph.app.values import FieldError, FieldProblem, called, named_fields

__all__ = [
    "App",
    "Field",
    "FieldError",
    "FieldProblem",
    "Output",
    "called",
    "describe_app",
    "described_field",
    "named_fields",
    "read_app",
]
