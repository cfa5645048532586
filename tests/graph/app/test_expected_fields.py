"""Every example has the fields as an app that a person chose for it, written down in ``expected/``.

Each field is ``kind node.input`` ("node" with the inner node's id after a slash if a subgraph's node shows it), in the
form's order; "more" and "outputs" list what is shown only on request.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graph.app import App, read_app
from graph.formats import load
from graph.schema import Registry
from nodes import registry

WORKFLOWS = Path(__file__).parents[3] / "workflows"
SAVED = Path(__file__).parents[1] / "formats" / "files"
EXPECTED = Path(__file__).parent / "expected"


@pytest.fixture(scope="module")
def catalogue() -> Registry:
    return registry()


def outline(app: App) -> dict[str, Any]:
    def line(field: Any) -> str:
        place = field.place
        node = place.node if place.inner is None else f"{place.node}/{place.inner}"
        return f"{field.kind} {node}.{place.name}" + (" with mask" if field.mask else "")

    return {
        "main": [line(field) for field in app.fields if field.main],
        "more": [line(field) for field in app.fields if not field.main],
        "outputs": [output.node for output in app.outputs if output.main],
        "other outputs": [output.node for output in app.outputs if not output.main],
    }


def test_every_example_has_an_expectation() -> None:
    assert {path.name for path in WORKFLOWS.glob("*.json")} <= {path.name for path in EXPECTED.glob("*.json")}


@pytest.mark.parametrize("path", sorted(EXPECTED.glob("*.json")), ids=lambda path: path.stem)
def test_an_app_has_these_fields(path: Path, catalogue: Registry) -> None:
    source = next(folder / path.name for folder in (WORKFLOWS, SAVED) if (folder / path.name).is_file())
    assert outline(read_app(load(source, catalogue), catalogue)) == json.loads(path.read_text())


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.json")), ids=lambda path: path.stem)
def test_the_api_form_of_an_example_has_the_same_fields(path: Path, catalogue: Registry) -> None:
    workflow = load(path, catalogue)
    from_api = read_app(load(workflow.to_api(), catalogue), catalogue)
    assert outline(from_api) == outline(read_app(workflow, catalogue))


@pytest.mark.parametrize("path", sorted(EXPECTED.glob("*.json")), ids=lambda path: path.stem)
def test_every_value_that_a_file_sets_is_in_one_field(path: Path, catalogue: Registry) -> None:
    """So that nothing is out of reach in the app, and nothing is in it twice."""
    source = next(folder / path.name for folder in (WORKFLOWS, SAVED) if (folder / path.name).is_file())
    app = read_app(load(source, catalogue), catalogue)
    widgets = [field.place.widget for field in app.fields]
    targets = [target for field in app.fields for target in field.targets]
    assert len(widgets) == len(set(widgets)) and len(targets) == len(set(targets))
