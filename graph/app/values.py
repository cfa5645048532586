"""Names an app's fields, and sets them: an app is called like a function."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from graph.app.app import App, Field
from graph.app.kinds import Kind
from graph.errors import Problem, SumiError
from graph.folders import Folders
from graph.formats.listed_choices import with_positions
from graph.schema import NodeType
from graph.validation.coerce import coerce
from graph.validation.nearest import Nearest
from graph.validation.validate import validate
from graph.workflow import Workflow
from graph.writing.document_values import with_values

_NAMES: Final[Mapping[Kind, str]] = {
    "prompt": "prompt",
    "negative": "negative_prompt",
    "picture": "image",
    "model": "model",
    "lora": "lora",
    "steps": "steps",
    "guidance": "cfg",
    "sampler": "sampler",
    "scheduler": "scheduler",
    "denoise": "denoise",
    "seed": "seed",
    "count": "batch_size",
}
"""Names of fields by their kind; other fields have the name of their input."""
RANDOM_SEED: Final = -1
"""As the value of a seed: draw one at random."""
_SEED_LIMIT: Final = 2**32


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with the value of the field ``name``. ``expected`` says what would be right."""

    name: str
    message: str
    expected: str = ""
    suggestions: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.name}: {self.message}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.suggestions:
            text += f". Did you mean {' or '.join(map(repr, self.suggestions))}?"
        return text


class FieldError(SumiError):
    """Values that an app's fields do not accept; ``problems`` has all of them."""

    def __init__(self, problems: Sequence[FieldProblem]):
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def named_fields(app: App) -> dict[str, Field]:
    """Return the fields by name, in the order of the form.

    A name says the kind (``prompt``, ``steps``) or is the input's; characters other than letters, digits and ``_``
    become ``_``. If several fields share a name, the second is ``name_2`` and so on.
    """
    named: dict[str, Field] = {}
    for field in app.fields:
        wanted = re.sub(r"\W+", "_", _NAMES.get(field.kind) or field.declared.name).strip("_") or "field"
        name, number = wanted, 1
        while name in named:
            number += 1
            name = f"{wanted}_{number}"
        named[name] = field
    return named


def find_field(name: str, fields: Mapping[str, Field]) -> str | None:
    """Return the name of the field that ``name`` means: its name, or ``NODE.input`` of an input that it sets."""
    if name in fields:
        return name
    node, _, given = name.partition(".")
    for own, field in fields.items():
        if (node, given) in field.targets or (node, given) == (field.place.node, field.place.name):
            return own
    return None


def by_field(values: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return ``values`` by the fields' own names. Raises FieldError for a name that means no field, or one twice."""
    problems = []
    found: dict[str, Any] = {}
    for name, value in values.items():
        own = find_field(name, fields)
        if own is None:
            near = Nearest()(name, tuple(fields), "fields", 2)
            problems.append(FieldProblem(name, "there is no such field", f"one of {', '.join(fields)}", near))
        elif own in found:
            problems.append(FieldProblem(name, f"is the same field as {own}, which is given, too"))
        else:
            found[own] = value
    if problems:
        raise FieldError(problems)
    return found


def called(
    workflow: Workflow,
    fields: Mapping[str, Field],
    values: Mapping[str, Any],
    registry: Mapping[str, NodeType],
    folders: Folders | None = None,
) -> Workflow:
    """Return the workflow with the fields of these names set to ``values``, also in its editor's document.

    If the document cannot hold them, the workflow has none. Raises FieldError for fields that do not exist and values
    that are not accepted; ``folders`` are needed to check file names.
    """
    given = {name: _coerced(fields[name], value) for name, value in by_field(values, fields).items()}
    problems = [
        FieldProblem(name, f"{value!r} is not a whole number", "an integer")
        for name, value in given.items()
        if fields[name].declared.type == "INT" and isinstance(value, float)
    ]
    problems += [
        FieldProblem(name, f"{value!r} is not a number", "a number")
        for name, value in by_field(values, fields).items()
        if fields[name].declared.type in ("INT", "FLOAT") and isinstance(value, bool)
    ]
    if problems:
        raise FieldError(problems)
    problems = [
        FieldProblem(name, f"{value!r} is not among the choices", f"one of {', '.join(choices)}")
        for name, value in given.items()
        if fields[name].declared.listed_in and value not in (choices := fields[name].declared.choices or ())
    ]
    if problems:
        raise FieldError(problems)
    changed = _changed(workflow, fields, given, registry)
    problems = field_problems(validate(changed, registry, folders, run_custom=False), fields, given)
    if problems:
        raise FieldError(problems)
    return changed


def field_problems(
    problems: Sequence[Problem], fields: Mapping[str, Field], given: Mapping[str, Any]
) -> list[FieldProblem]:
    """Return the workflow's problems that values of ``given`` fields cause, one for each field."""
    names = {target: name for name in given for target in fields[name].targets}
    found: dict[str, FieldProblem] = {}
    for problem in problems:
        name = names.get((problem.node_id or "", problem.input_name or ""))
        if name is not None:
            expected, suggestions = problem.expected or "", problem.suggestions
            found.setdefault(name, FieldProblem(name, problem.message, expected, suggestions))
    return list(found.values())


def with_random_seeds(values: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return ``values``, by field, with a random seed, 0 ≤ seed < 2³², for each seed that is -1."""
    drawn = dict(values)
    for name, value in values.items():
        if fields[name].kind == "seed" and value in (RANDOM_SEED, str(RANDOM_SEED)):
            drawn[name] = random.randrange(_SEED_LIMIT)
    return drawn


def values_of(workflow: Workflow, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return the values that the fields have in ``workflow``."""
    return {
        name: workflow.nodes[node].inputs.get(given)
        for name, field in fields.items()
        for node, given in field.targets[:1]
    }


def _coerced(field: Field, value: Any) -> Any:
    """Return the value in the field's type. One that cannot be converted is returned unchanged, for validation."""
    if field.declared.type == "INT" and isinstance(value, float) and not value.is_integer():
        return value  # validation would cut it
    try:
        return coerce(field.declared, value)
    except (TypeError, ValueError):
        return value


def _changed(
    workflow: Workflow, fields: Mapping[str, Field], values: Mapping[str, Any], registry: Mapping[str, NodeType]
) -> Workflow:
    targets = {target: value for name, value in values.items() for target in fields[name].targets}
    nodes = dict(workflow.nodes)
    for (node, given), value in targets.items():
        inputs = {**nodes[node].inputs, given: value}
        node_type = registry.get(nodes[node].class_type)
        nodes[node] = replace(nodes[node], inputs=with_positions(inputs, node_type) if node_type else inputs)
    document = workflow.editor
    if document is not None and targets:
        widgets = {target: _widget(fields[name]) for name in values for target in fields[name].targets}
        document = with_values(document, targets, registry, widgets)
    return Workflow(nodes, document, workflow.notes)


def _widget(field: Field) -> tuple[str, str]:
    place = field.place
    return (place.node if place.inner is None else f"{place.node}:{place.inner}", place.name)
