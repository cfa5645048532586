"""Which part of the house imports which, wherever the import stands: in a function or for type checkers too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import networkx
import pytest

from nodes.rooms import APART, COMPOSITION_ROOT, LAYERS, SHARED_PACKAGES
from nodes.source_tree import SourceTree

ROOT = Path(__file__).parent.parent
TREE = SourceTree(ROOT, ["commands", "graph", "nodes", "server"])
HEAVY = {"torch", "transformers", "diffusers", "scipy", "PIL", "numpy", "torchsde"}

ROOT_MODULES = {"nodes", *(module for name in COMPOSITION_ROOT for module in TREE.members(f"nodes.{name}"))}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("graph", {"torch", "transformers", "numpy", "nodes", "server", "commands", "main"}),
        ("server", {"torch", "transformers", "nodes", "commands", "main"}),
        ("nodes", {"server", "commands", "main"}),
        ("commands", {"main"}),
    ],
)
def test_a_package_imports_nothing_from_above(package: str, forbidden: set[str]) -> None:
    modules = sorted(TREE.members(package))
    assert modules, f"{package}/ has no sources: this test would prove nothing"
    imported = {module: TREE.outside_imports(module) | _packages(TREE.imports(module)) for module in modules}
    assert {module: bad for module in modules if (bad := imported[module] & forbidden)} == {}


def test_every_room_has_its_place_in_the_table() -> None:
    folders = {name.split(".")[1] for name in TREE.members("nodes") if name.count(".") > 1}
    placed = [*APART, *SHARED_PACKAGES, *COMPOSITION_ROOT, *(room for layer in LAYERS for room in layer)]
    assert folders <= set(placed) and len(placed) == len(set(placed))


def test_rooms_import_only_what_the_table_allows() -> None:
    edges = [(module, imported) for module in sorted(TREE.members("nodes")) for imported in TREE.imports(module)]
    wrong = [f"{module} imports {imported}" for module, imported in edges if not _allowed(module, imported)]
    assert sorted(wrong) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = networkx.DiGraph((module, imported) for module in TREE.files for imported in TREE.imports(module))
    circles = [sorted(circle) for circle in networkx.strongly_connected_components(edges) if len(circle) > 1]
    assert circles == []


def test_no_room_imports_modules_by_names_made_at_run_time() -> None:
    """Such imports would be in no version and under no rule."""
    rooms = [name for name in TREE.members("nodes") - ROOT_MODULES if not name.startswith("nodes.compat")]
    assert [name for name in rooms if "import_module" in TREE.files[name].read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    "statement",
    [
        "import graph",
        "import nodes; nodes.registry()",
        "import main; main.parser()",
        "import server.service",
        "from graph import Engine, load, validate",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str) -> None:
    code = f"{statement}; import sys; print(' '.join(sorted(set(sys.modules) & {HEAVY!r})))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


def _packages(modules: frozenset[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def _allowed(module: str, imported: str) -> bool:
    if not imported.startswith("nodes") or module in ROOT_MODULES:
        return True
    room, other = _room(module), _room(imported)
    if imported in ROOT_MODULES:
        return room == "compat"
    if other is None or room == other:
        return True
    return room is not None and other in _rooms_below(room)


def _room(module: str) -> str | None:
    """The room that ``module`` is in; None for a shared module."""
    folder = module.split(".")[1] if "." in module else ""
    return folder if folder in APART or any(folder in layer for layer in LAYERS) else None


def _rooms_below(room: str) -> frozenset[str]:
    """The rooms that ``room`` may import."""
    if room in APART:
        return frozenset()
    row = next(number for number, layer in enumerate(LAYERS) if room in layer)
    below = frozenset().union(*LAYERS[row + 1 :])
    return below | APART if room == "compat" else below
