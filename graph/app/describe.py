"""Describes an app as JSON for editors and other clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graph.app.app import App, Field
from graph.app.values import named_fields
from graph.node_types.describe import choices_of
from graph.schema import MISSING


def describe_app(app: App, names_of: Callable[[str], list[str]]) -> dict[str, Any]:
    """Return the app, ready for json.dumps. ``names_of(folder)`` lists the files of a folder.

    ``name`` is the name of a field for programs (:func:`graph.app.values.named_fields`).
    Keys that do not apply to a field are left out: ``inner``, ``default``, ``min``, ``max``, ``step``, ``choices``,
    ``multiline``, ``mask``, ``height``, ``entry`` (its index in the author's list).
    """
    return {
        "fields": [described_field(name, field, names_of) for name, field in named_fields(app).items()],
        "outputs": [
            {"node": output.node, "title": output.title, "saves": output.saves, "main": output.main}
            for output in app.outputs
        ],
        "chosen": app.chosen,
        "opens_as_app": app.opens_as_app,
    }


def described_field(name: str, field: Field, names_of: Callable[[str], list[str]]) -> dict[str, Any]:
    """Return one field as :func:`describe_app` does."""
    declared = field.declared
    facts = {
        "inner": field.place.inner,
        "default": None if declared.default is MISSING else declared.default,
        "min": declared.minimum,
        "max": declared.maximum,
        "step": declared.step,
        "choices": choices_of(declared, names_of),
        "multiline": bool(declared.hints.get("multiline")) or None,
        "mask": field.mask or None,
        "height": field.height,
        "entry": field.entry,
    }
    return {
        "name": name,
        "node": field.place.node,
        "input": field.place.name,
        "kind": field.kind,
        "label": declared.name,
        "title": field.title,
        "type": declared.type,
        "value": field.value,
        "main": field.main,
        "targets": [list(target) for target in field.targets],
        **{name: value for name, value in facts.items() if value is not None},
    }
