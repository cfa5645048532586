"""People's own nodes: a ``.py`` file or a package in ``custom_nodes/`` whose functions are decorated with ``@node``.

One that fails to import is reported with its traceback and stops neither the start nor the others.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import logging
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from graph.node import node_types_in
from graph.schema import NodeType

log = logging.getLogger(__name__)


@dataclass
class CustomNodes:
    """``types`` by class name; ``failures``: path → traceback of what could not be imported."""

    types: dict[str, NodeType] = field(default_factory=dict)
    failures: dict[Path, str] = field(default_factory=dict)


def load_custom_nodes(directories: Iterable[Path]) -> CustomNodes:
    """Import every file and package in ``directories``, in the order of their names."""
    found = CustomNodes()
    for path in (path for directory in directories for path in _packs(directory)):
        try:
            types = _import(path)
        except Exception:  # whatever a stranger's module raises must not stop the start
            found.failures[path] = traceback.format_exc()
            log.error("custom node %s failed to import:\n%s", path, found.failures[path])
            continue
        for node_type in types:
            if node_type.name in found.types:
                log.warning(
                    "custom node %s: '%s' is declared by another pack too; this one counts", path, node_type.name
                )
            found.types[node_type.name] = node_type
    return found


def _packs(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        for path in sorted(directory.iterdir()):
            if path.name.startswith((".", "_")) or path.name.endswith(".disabled"):
                continue
            if path.suffix == ".py" or (path / "__init__.py").is_file():
                yield path


def _import(path: Path) -> list[NodeType]:
    name = f"sumi_custom_nodes.{path.stem}"
    file = path if path.suffix == ".py" else path / "__init__.py"
    locations = None if path.suffix == ".py" else [str(path)]
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=locations)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    version = _version(path)
    return [dataclasses.replace(node_type, version=version) for node_type in node_types_in(module)]


def _version(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for source in [path] if path.is_file() else sorted(path.rglob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()
