"""The house's arrows run downwards: main → server → graph, main → nodes → graph."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "transformers", "diffusers", "scipy", "PIL", "numpy", "torchsde"}


def imported_packages(path: Path) -> set[str]:
    """Top-level names of everything a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def sources(room: str) -> list[Path]:
    found = sorted((ROOT / room).rglob("*.py"))
    return found


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("graph", {"torch", "transformers", "numpy", "nodes", "server", "commands", "main"}),
        ("server", {"torch", "transformers", "nodes", "commands", "main"}),
        ("nodes", {"server", "commands", "main"}),
    ],
)
def test_a_room_imports_nothing_from_above(room: str, forbidden: set[str]) -> None:
    files = sources(room)
    if room != "server":
        assert files, f"{room}/ has no sources: this test would prove nothing"
    assert {str(path): bad for path in files if (bad := imported_packages(path) & forbidden)} == {}


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
