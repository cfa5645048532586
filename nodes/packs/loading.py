"""Users' nodes: packs in ``custom_nodes/``, in the folders that extra_model_paths.yaml adds, and installed ones.

A pack is a ``.py`` file or a package. Its nodes are functions decorated with ``@node``, or classes
written for ComfyUI (``NODE_CLASS_MAPPINGS``, ``comfy_entrypoint``; see :data:`DIALECT`). An installed
distribution offers one by an entry point of the group ``sumi.nodes`` that names its module.

A pack that fails is reported with its traceback. Start-up and the other packs continue.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import importlib.metadata
import importlib.util
import logging
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from graph.codec import Codec, codecs_in
from graph.folders import Folders
from graph.node import node_types_in
from graph.schema import NodeType
from nodes.packs.importing import PackImport, requirements_hint
from nodes.packs.record import ENDED, ImportRecord

log = logging.getLogger(__name__)

ENTRY_POINTS: Final = "sumi.nodes"
DIALECT: Final = "nodes.compat.dialect"
"""The name of the module that reads packs written for ComfyUI. It is not imported, since no room may import it."""
SLOW_SECONDS: Final = 5.0
"""Seconds of import time above which the log names the pack."""

_PARENT: Final = "sumi_custom_nodes"


@dataclass
class Pack:
    """One pack, and the result of its import.

    ``failure``: the traceback of a failed import. ``broken``: class name → why this node cannot be used.
    ``ignored``: built-in nodes that the pack redefines; like ComfyUI, Sumi ignores these. ``replaced``: built-in nodes
    that the pack has replaced on purpose. ``hint``: how to fix a problem.
    ``web``: the folder of its scripts for the editor.
    """

    name: str
    path: Path | None = None
    types: dict[str, NodeType] = field(default_factory=dict)
    codecs: list[Codec] = field(default_factory=list)
    failure: str | None = None
    broken: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    hint: str | None = None
    web: Path | None = None
    seconds: float = 0.0

    def describe(self) -> dict[str, Any]:
        """Return all fields as JSON data, without empty ones."""
        facts = {
            "name": self.name,
            "path": str(self.path) if self.path else None,
            "nodes": list(self.types),
            "failure": self.failure,
            "broken": self.broken,
            "ignored": self.ignored,
            "replaced": self.replaced,
            "printed": self.printed,
            "hint": self.hint,
            "web": str(self.web) if self.web else None,
            "seconds": round(self.seconds, 3),
        }
        return {name: fact for name, fact in facts.items() if fact or name in ("nodes", "seconds")}


@dataclass
class CustomNodes:
    """``types`` by class name and ``codecs``, of all ``packs``."""

    types: dict[str, NodeType] = field(default_factory=dict)
    codecs: list[Codec] = field(default_factory=list)
    packs: list[Pack] = field(default_factory=list)

    @property
    def failures(self) -> dict[str, str]:
        """Map each unusable pack (or ``pack: node``) to the reason."""
        found = {pack.name: pack.failure for pack in self.packs if pack.failure is not None}
        broken = {f"{pack.name}: {name}": why for pack in self.packs for name, why in pack.broken.items()}
        return found | broken


def load_custom_nodes(
    directories: Iterable[Path],
    folders: Folders,
    *,
    own: Mapping[str, NodeType],
    only: Collection[str] | None = None,
    server_package: ModuleType | None = None,
    flags: Mapping[str, Any] | None = None,
    record: ImportRecord | None = None,
) -> CustomNodes:
    """Import the packs in ``directories``, in the order of their names, and the installed ones.

    ``own`` are the built-in nodes. ``only``: the packs (folder or file names) that may be loaded; None for all.
    ``server_package`` is Sumi's ``server``, which packs import, too, and ``flags`` are its command-line flags.
    ``record`` notes a pack that ends the process, so that it is left out the next time.
    """
    sources = [source for source in _sources(directories) if only is None or source.is_among(only)]
    found = CustomNodes()
    if not sources:
        return found
    dialect().install(folders, server_package, flags)
    sys.modules.setdefault(_PARENT, _parent_module())
    left_out = record.left_out if record is not None else []
    for source in sources:
        if source.key not in left_out:
            with record.importing(source.key) if record is not None else contextlib.nullcontext():
                source.run_prestartup()
    for source in sources:
        if source.key in left_out:
            pack = Pack(source.name, source.path, failure=ENDED)
            _report(pack)
        else:
            with record.importing(source.key) if record is not None else contextlib.nullcontext():
                pack = _load(source, own)
        found.packs.append(pack)
    for pack in found.packs:
        for name, node_type in pack.types.items():
            if name in found.types:
                log.warning(
                    "custom node pack %s: another pack also defines the node '%s'; this pack's is used", pack.name, name
                )
            found.types[name] = node_type
        found.codecs += pack.codecs
    found.types |= dialect().with_added_names([node_type for name, node_type in own.items() if name not in found.types])
    return found


def dialect() -> Any:
    """Import and return the module that reads packs written for ComfyUI."""
    return importlib.import_module(DIALECT)


def loaded_dialect() -> Any | None:
    """Return the module that reads packs written for ComfyUI, if a pack has been loaded."""
    return sys.modules.get(DIALECT)


def code_state(own: Iterable[Path], directories: Iterable[Path]) -> str:
    """Return a hash of the modification times of ``own`` and of all packs, in ``directories`` and installed."""
    digest = hashlib.blake2b(digest_size=16)
    for root in [*own, *(path for directory in directories for path in _packs(directory))]:
        for source in [root] if root.is_file() else sorted(root.rglob("*.py")):
            with contextlib.suppress(FileNotFoundError):
                found = source.stat()
                digest.update(f"{source}\0{found.st_mtime_ns}\0{found.st_size}\0".encode(errors="replace"))
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        version = entry_point.dist.version if entry_point.dist is not None else ""
        digest.update(f"{entry_point.name}\0{entry_point.value}\0{version}\0".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Source:
    """The origin of a pack; ``load`` imports it."""

    name: str
    path: Path | None
    load: Callable[[], ModuleType]

    @property
    def key(self) -> str:
        """A name that no other pack has."""
        return str(self.path) if self.path is not None else f"{ENTRY_POINTS}:{self.name}"

    def is_among(self, names: Collection[str]) -> bool:
        return self.name in names or (self.path is not None and self.path.name in names)

    def run_prestartup(self) -> None:
        """Run the pack's ``prestartup_script.py``; all of these run before the first pack is imported."""
        script = self.path / "prestartup_script.py" if self.path is not None else None
        if script is not None and script.is_file():
            importing = PackImport(self.name, dialect().missing_part)
            importing.run(lambda: _module_at(script, f"{_PARENT}.{_identifier(self.name)}_prestartup"))
            if importing.failure is not None:
                log.error("custom node pack %s: prestartup_script.py failed:\n%s", self.name, importing.failure)


def _sources(directories: Iterable[Path]) -> Iterator[_Source]:
    taken: set[str] = set()
    for path in (path for directory in directories for path in _packs(directory)):
        module_name = f"{_PARENT}.{_identifier(path.stem if path.suffix == '.py' else path.name)}"
        while module_name in taken:  # two folders may hold packs with the same name
            module_name += "_"
        taken.add(module_name)
        yield _Source(path.stem if path.suffix == ".py" else path.name, path, _importer(path, module_name))
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        yield _Source(entry_point.name, None, entry_point.load)


def _packs(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        for path in sorted(directory.iterdir()):
            if path.name.startswith((".", "_")) or path.name.endswith(".disabled"):
                continue
            if path.suffix == ".py" or (path / "__init__.py").is_file():
                yield path


def _load(source: _Source, own: Mapping[str, NodeType]) -> Pack:
    pack = Pack(source.name, source.path)
    importing = PackImport(source.name, dialect().missing_part)
    before = _put_in_place()
    _import_torch_for(source.path)
    started = time.perf_counter()
    importing.run(lambda: _read(pack, source.load(), own))
    pack.seconds = time.perf_counter() - started
    pack.failure, pack.printed = importing.failure, importing.printed
    _take_replaced(pack, before)
    pack.hint = importing.hint or requirements_hint(source.path)
    _report(pack)
    return pack


def _import_torch_for(path: Path | None) -> None:
    """Import torch before the first pack that imports it, so that its time is not counted as the pack's."""
    if path is not None and "torch" not in sys.modules:
        sources = [path] if path.is_file() else path.glob("*.py")
        if any(word in source.read_bytes() for source in sources for word in (b"import torch", b"comfy")):
            importlib.import_module("torch")


def _report(pack: Pack) -> None:
    if pack.failure is not None:
        pack.types.clear()
        pack.codecs.clear()
        log.error("custom node pack %s failed to import:\n%s", pack.name, pack.failure)
    for name, why in pack.broken.items():
        log.error("custom node pack %s: node '%s' cannot be used: %s", pack.name, name, why)
    if pack.hint is not None:
        log.warning("custom node pack %s: %s", pack.name, pack.hint)
    if pack.seconds > SLOW_SECONDS:
        log.warning("custom node pack %s took %.1f s to import", pack.name, pack.seconds)
    if pack.ignored:
        log.warning(
            "custom node pack %s redefines built-in nodes; the built-in ones are kept: %s",
            *(pack.name, ", ".join(pack.ignored)),
        )
    if pack.replaced:
        log.warning("custom node pack %s replaces built-in nodes: %s", pack.name, ", ".join(pack.replaced))


def _read(pack: Pack, module: Any, own: Mapping[str, NodeType]) -> None:
    """Add the nodes that ``module`` declares to ``pack``."""
    pack.codecs = codecs_in(module)
    version = _version(pack.path or _place_of(module))
    for node_type in node_types_in(module):
        pack.types[node_type.name] = dataclasses.replace(
            node_type, version=version, module=_shown_module(node_type.module)
        )
        if node_type.name in own:
            pack.replaced.append(node_type.name)
    if not dialect().speaks(module):
        return
    found = dialect().read_pack(module, pack.name)
    pack.broken.update(found.broken)
    pack.web = found.web
    for name, node_type in found.types.items():
        if name in own:
            pack.ignored.append(name)
        else:
            pack.types[name] = node_type


def _shown_module(module: str) -> str:
    """Return the node's module for clients: they look for ``custom_nodes.``, ComfyUI's package of packs."""
    return module.replace(_PARENT, "custom_nodes", 1) if module.startswith(f"{_PARENT}.") else module


def _put_in_place() -> dict[str, type]:
    """Return the packs' classes that have replaced built-in nodes so far."""
    return dialect().replaced()


def _take_replaced(pack: Pack, before: Mapping[str, type]) -> None:
    for name, node_class in _put_in_place().items():
        if before.get(name) is not node_class:
            found = dialect().read_class(name, node_class, pack.name)
            if isinstance(found, NodeType):
                pack.types[name] = found
                pack.replaced.append(name)
            else:
                pack.broken[name] = found


def _importer(path: Path, module_name: str) -> Callable[[], ModuleType]:
    return lambda: _module_at(path if path.suffix == ".py" else path / "__init__.py", module_name)


def _module_at(file: Path, name: str) -> ModuleType:
    locations = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=locations)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for loaded in [loaded for loaded in sys.modules if loaded == name or loaded.startswith(f"{name}.")]:
            del sys.modules[loaded]
        raise
    return module


def _parent_module() -> ModuleType:
    parent = ModuleType(_PARENT)
    parent.__path__ = []
    return parent


def _identifier(name: str) -> str:
    return name.replace(".", "_")


def _place_of(module: Any) -> Path | None:
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    return Path(file).parent if hasattr(module, "__path__") else Path(file)


def _version(path: Path | None) -> str | None:
    """Return a hash of all sources of the pack; None if there are none."""
    if path is None:
        return None
    digest = hashlib.blake2b(digest_size=16)
    for source in [path] if path.is_file() else sorted(path.rglob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()


__all__ = ["CustomNodes", "Pack", "code_state", "load_custom_nodes"]
