"""The imports of a source tree's modules, and a hash of their code.

Both are read from syntax trees: comments, docstrings and line breaks do not matter, and an import inside a function
counts like one at the top of the file.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from graph.operating_system import replace_file

_NOT_DATA: Final = frozenset({"", ".md", ".py", ".pyc", ".pyi"})
"""Endings of files in a package's folder that do not affect results, or that are modules themselves."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What was read from one module.

    ``state`` names the files that were read, with their sizes and modification times. ``imports`` are absolute:
    ``["a.b", "c"]`` for ``from a.b import c``, ``["a.b", ""]`` for ``import a.b``.
    ``mentions`` are strings that could be the name of a module.
    """

    state: str
    digest: str
    imports: list[list[str]]
    mentions: list[str]


class SourceTree:
    """The modules of ``packages`` in the folder ``root``. A module is read when it is first needed.

    ``memory`` is a file in which :meth:`remember` stores what was read, so that the next process reads only changed
    modules. ``registered`` lists, for a module with a registry, the modules that register code there: modules that
    import the registry run that code. Every method raises SyntaxError for a file that is not Python.
    """

    def __init__(
        self,
        root: Path,
        packages: Iterable[str],
        memory: Path | None = None,
        registered: Mapping[str, Iterable[str]] | None = None,
    ):
        self.files = {name: path for package in packages for name, path in _modules(root, package)}
        """Module name → file. A package's file is its ``__init__.py``."""
        self._memory = memory
        self._registered = registered or {}
        self._remembered = _load(memory) if memory is not None else {}
        self._sources: dict[str, _Source] = {}

    def members(self, package: str) -> frozenset[str]:
        """Return ``package`` and every module in it."""
        return frozenset(name for name in self.files if name == package or name.startswith(f"{package}."))

    def imports(self, module: str) -> frozenset[str]:
        """Return the modules of this tree that ``module`` imports, anywhere in the file.

        Imports for type checkers count, and so does a string with a module's name, alone or with an attribute
        (``"nodes.unet.unet:UNet"``): such strings name modules to import later.
        """
        source = self._source(module)
        found = {self._provider(base, name) for base, name in source.imports}
        found.update(name for name in source.mentions if name in self.files)
        return frozenset(name for name in found if name is not None and name != module)

    def outside_imports(self, module: str) -> frozenset[str]:
        """Return the top-level packages outside this tree that ``module`` imports."""
        return frozenset(
            base.partition(".")[0] for base, name in self._source(module).imports if not self._provider(base, name)
        )

    def reached(self, modules: Iterable[str]) -> frozenset[str]:
        """Return ``modules``, all they import, directly or not, code registered there, and the parent packages.

        The outermost package is left out unless its own names are imported, since it imports every room.
        """
        found: set[str] = set()
        waiting = list(modules)
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting += self.imports(current)
                waiting += _packages_around(current)
                waiting += self._registered.get(current, ())
        return frozenset(found)

    def version(self, modules: Iterable[str]) -> str:
        """Return a hash of the code of ``modules`` and of everything that they reach."""
        digest = blake2b(digest_size=16)
        for name in sorted(self.reached(modules)):
            digest.update(f"{name} {self._source(name).digest}\n".encode())
        return digest.hexdigest()

    def remember(self) -> None:
        """Store what was read, if it is not stored yet. Does nothing if the folder is read-only."""
        sources = {**{name: source for name, source in self._remembered.items() if name in self.files}, **self._sources}
        if self._memory is not None and sources != self._remembered:
            _save(self._memory, sources)
            self._remembered = sources

    def _source(self, module: str) -> _Source:
        source = self._sources.get(module)
        if source is None:
            source = self._sources[module] = _read(module, self.files[module], self._remembered.get(module))
        return source

    def _provider(self, base: str, name: str) -> str | None:
        """Return the module of this tree that an import refers to: the submodule ``base.name`` or else ``base``."""
        if name and f"{base}.{name}" in self.files:
            return f"{base}.{name}"
        return base if base in self.files else None


def memory_beside(package_file: str) -> Path:
    """Return the file in which to store what was read from a package; it is beside Python's compiled files."""
    return Path(importlib.util.cache_from_source(package_file)).with_name("source_tree.json")


def _modules(root: Path, package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _packages_around(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(2, len(parts))]


# -- reading one module ------------------------------------------------------------------------------------------


def _read(module: str, path: Path, earlier: _Source | None) -> _Source:
    is_package = path.name == "__init__.py"
    data = _data_beside(path) if is_package else []
    state = " ".join(f"{file.name}:{at.st_size}:{at.st_mtime_ns}" for file in (path, *data) for at in (file.stat(),))
    if earlier is not None and earlier.state == state:
        return earlier
    tree = ast.parse(path.read_bytes(), str(path))
    text, imports, mentions = _scan(tree, module if is_package else module.rpartition(".")[0])
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    for file in data:
        digest.update(f"\n{file.name} {blake2b(file.read_bytes(), digest_size=16).hexdigest()}".encode())
    return _Source(state, digest.hexdigest(), imports, mentions)


def _data_beside(path: Path) -> list[Path]:
    """Return the data files in a package's folder, such as a tokenizer's vocabulary, on which results depend."""
    return sorted(file for file in path.parent.iterdir() if file.suffix not in _NOT_DATA and file.is_file())


def _scan(tree: ast.AST, package: str) -> tuple[str, list[list[str]], list[str]]:
    """Return the tree as text without positions and docstrings, its imports, and its mentions of modules.

    Empty fields are left out of the text: each version of Python adds some, and the text must not depend on it.
    """
    text: list[str] = []
    imports: set[tuple[str, str]] = set()
    mentions: set[str] = set()
    waiting: list[Any] = [tree]
    while waiting:
        current = waiting.pop()
        if isinstance(current, ast.AST):
            text.append(type(current).__name__)
            for field in current._fields:
                value = getattr(current, field, None)
                if value is not None and value != [] and field != "ctx":
                    text.append(field)
                    waiting.append(value)
            if isinstance(current, ast.Import):
                imports.update((alias.name, "") for alias in current.names)
            elif isinstance(current, ast.ImportFrom):
                base = _absolute(current.module, current.level, package)
                imports.update((base, alias.name) for alias in current.names)
            elif isinstance(current, ast.Constant) and isinstance(current.value, str):
                name = current.value.partition(":")[0]
                if "." in name and all(part.isidentifier() for part in name.split(".")):
                    mentions.add(name)
        elif isinstance(current, list):
            kept = [item for item in current if not _is_docstring(item)]
            text.append(str(len(kept)))
            waiting += kept
        else:
            text.append(repr(current))
    return "\n".join(text), sorted(map(list, imports)), sorted(mentions)


def _is_docstring(item: Any) -> bool:
    """Return whether ``item`` is only a string, which is documentation."""
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)


def _absolute(base: str | None, level: int, package: str) -> str:
    """Return the absolute name of ``base`` after ``level`` dots in ``package``."""
    if level == 0:
        return base or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([base] if base else [])])


# -- remembering what was read -----------------------------------------------------------------------------------


def _load(memory: Path) -> Mapping[str, _Source]:
    """Return the content of ``memory``; empty if it is missing, damaged, or from another version of this module."""
    try:
        data = json.loads(memory.read_text(encoding="utf-8"))
        if data["reader"] != _reader():
            return {}
        return {name: _Source(**source) for name, source in data["modules"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _save(memory: Path, sources: Mapping[str, _Source]) -> None:
    """Write ``memory`` completely or not at all; processes that write at the same time write the same content."""
    data = {"reader": _reader(), "modules": {name: asdict(source) for name, source in sources.items()}}
    part = memory.with_name(f"{memory.name}.{secrets.token_hex(8)}.part")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(data), encoding="utf-8")
        replace_file(part, memory)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _reader() -> str:
    return blake2b(Path(__file__).read_bytes(), digest_size=16).hexdigest()
