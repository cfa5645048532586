"""Imports and hashes read from sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.source_tree import SourceTree, memory_beside


def tree(root: Path, memory: Path | None = None, **files: str) -> SourceTree:
    """A tree of the package ``house``, in which ``room__sampler="…"`` is house/room/sampler.py."""
    for name, text in {"__init__": "", **files}.items():
        path = root / "house" / f"{name.replace('__', '/') if not name.startswith('__') else name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.parent / "__init__.py").exists():
            (path.parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    return SourceTree(root, ["house"], memory)


@pytest.mark.parametrize(
    "statement",
    [
        "import house.device",
        "import house.device as d",
        "from house import device",
        "from house import device as d",
        "from house.device import name",
        "from house.device import *",
        "from .. import device",
        "from ..device import name",
        "def later():\n    from house import device",
        "if TYPE_CHECKING:\n    from house import device",
        'importlib.import_module("house.device")',
        'register("house.device:Device")',
        'sys.modules.get("house.device")',
    ],
)
def test_every_form_of_import_is_seen(tmp_path: Path, statement: str) -> None:
    sources = tree(tmp_path, device="", room__sampler=statement)
    assert sources.imports("house.room.sampler") == {"house.device"}


def test_names_that_are_not_modules_come_from_the_module_that_has_them(tmp_path: Path) -> None:
    sources = tree(tmp_path, room__sampler="from house.room import noise, NAMES\nimport torch.nn", room__noise="")
    assert sources.imports("house.room.sampler") == {"house.room", "house.room.noise"}
    assert sources.outside_imports("house.room.sampler") == {"torch"}


def test_relative_imports_in_a_package_start_from_it(tmp_path: Path) -> None:
    sources = tree(tmp_path, room__noise="", noise="")
    (tmp_path / "house/room/__init__.py").write_text("from . import noise\nfrom .. import noise as outer")
    assert sources.imports("house.room") == {"house.room.noise", "house.noise"}


def test_strings_in_sentences_and_docstrings_are_not_imports(tmp_path: Path) -> None:
    sources = tree(tmp_path, device="", sampler='"""house.device"""\nTEXT = "see house.device."')
    assert sources.imports("house.sampler") == frozenset()


def test_what_is_reached_takes_the_packages_along_but_not_the_outermost(tmp_path: Path) -> None:
    sources = tree(tmp_path, a="import house.room.b", room__b="from house import c", c="", unrelated="")
    assert sources.reached(["house.a"]) == {"house.a", "house.room", "house.room.b", "house.c"}


def test_what_is_registered_with_a_module_is_reached_through_it(tmp_path: Path) -> None:
    tree(tmp_path, a="import house.networks", networks="", unet="import house.networks\nimport house.layers", layers="")
    sources = SourceTree(tmp_path, ["house"], registered={"house.networks": ["house.unet"]})
    assert sources.reached(["house.a"]) == {"house.a", "house.networks", "house.unet", "house.layers"}
    assert "house.unet" not in sources.imports("house.networks")


BODY = "def f(x):\n    return x + 1\n"


@pytest.mark.parametrize(
    "same",
    [
        '"""About."""\n' + BODY,
        "# a comment\n\n\ndef f(x):  # and another\n    return (x +\n            1)\n",
        'def f(x):\n    """Add 1."""\n    return x + 1\n',
    ],
)
def test_comments_docstrings_and_lines_are_not_part_of_a_version(tmp_path: Path, same: str) -> None:
    assert tree(tmp_path / "1", a=BODY).version(["house.a"]) == tree(tmp_path / "2", a=same).version(["house.a"])


def test_a_docstring_of_an_attribute_is_not_part_of_a_version(tmp_path: Path) -> None:
    texts = [
        'A = 1\n"""Meters."""\nB = "text"',
        'A = 1\n"""Metres."""\nB = "text"',
        'A = 1\n"""Metres."""\nB = "other"',
    ]
    versions = [tree(tmp_path / str(number), a=text).version(["house.a"]) for number, text in enumerate(texts)]
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize(
    "other",
    ["def f(x):\n    return x + 2\n", "def f(x):\n    return x + 1.0\n", "def f(y):\n    return y + 1\n", BODY * 2],
)
def test_code_is_part_of_a_version(tmp_path: Path, other: str) -> None:
    assert tree(tmp_path / "1", a=BODY).version(["house.a"]) != tree(tmp_path / "2", a=other).version(["house.a"])


def test_data_files_of_a_package_are_part_of_a_version(tmp_path: Path) -> None:
    before = tree(tmp_path, room__tokenizer="").version(["house.room.tokenizer"])
    (tmp_path / "house/room/README.md").write_text("About.")
    (tmp_path / "house/room/builder.pyi").write_text("def f() -> None: ...")
    assert tree(tmp_path).version(["house.room.tokenizer"]) == before
    (tmp_path / "house/room/words.txt").write_text("a b c")
    assert tree(tmp_path).version(["house.room.tokenizer"]) != before


def test_only_changed_files_are_read_again(tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    first = tree(tmp_path, memory, a="import house.b", b="X = 1")
    version = first.version(["house.a"])
    first.remember()
    (tmp_path / "house/a.py").chmod(0o000)
    assert tree(tmp_path, memory).version(["house.a"]) == version
    (tmp_path / "house/a.py").chmod(0o600)
    assert tree(tmp_path, memory, b="X = 10").version(["house.a"]) != version


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"reader": "another", "modules": {}}'])
def test_a_damaged_memory_is_not_used(tmp_path: Path, damage: str) -> None:
    memory = tmp_path / "memory.json"
    memory.write_text(damage)
    sources = tree(tmp_path, memory, a="X = 1")
    assert sources.version(["house.a"]) == tree(tmp_path).version(["house.a"])
    sources.remember()
    assert memory.read_text() != damage


def test_a_memory_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sources = tree(tmp_path, tmp_path / "file" / "memory.json", a="X = 1")
    assert sources.version(["house.a"])
    sources.remember()


def test_the_memory_lies_where_python_keeps_compiled_modules(tmp_path: Path) -> None:
    assert memory_beside(str(tmp_path / "house/__init__.py")).parent.name == "__pycache__"
