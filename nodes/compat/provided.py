"""Makes ComfyUI's modules importable for packs.

``comfy``, ``comfy_execution``, ``comfy_api``, ``folder_paths`` … are aliases of the modules of the same name in this
package, which are loaded once. Files have the names that packs import, even vague ones (``utils``), so that there is
no second set of names to keep in step.

``nodes`` and ``server`` are also Sumi's own packages. A process has one module of each name, and a pack that uses
``sys.modules`` or ``importlib`` or loads its files itself would get Sumi's despite any import hook, so Sumi's packages
provide both sets of names. Their own attributes come first, and a test checks that the two sets do not overlap.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from graph.folders import Folders

PROVIDED: Final = frozenset(
    {
        "app",
        "comfy",
        "comfy_api",
        "comfy_api_nodes",
        "comfy_execution",
        "comfy_extras",
        "comfyui_version",
        "execution",
        "folder_paths",
        "latent_preview",
        "node_helpers",
        "protocol",
    }
)
"""Top-level names that are aliases of modules in this package."""

_OF_COMFYUI: Final = PROVIDED | {"nodes", "server"}

_submodules: set[str] = set()
"""Sumi's own modules in ``nodes``: the import system asks for them as attributes before it imports them."""


def install(folders: Folders, server_package: ModuleType | None = None, flags: Mapping[str, Any] | None = None) -> None:
    """Make the names importable in this process. ``server_package`` is Sumi's ``server``, if it is loaded;
    ``flags`` are those that Sumi was started with."""
    import nodes
    from nodes.compat import folder_paths
    from nodes.compat.comfy import cli_args

    folder_paths.use(folders)
    cli_args.use(flags or {})
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    _submodules.update(module.name for module in pkgutil.iter_modules(nodes.__path__))
    vars(nodes)["__getattr__"] = _attribute_of_nodes
    if server_package is not None:
        vars(server_package)["__getattr__"] = _attribute_of_server


def wanted_from_comfyui(error: BaseException) -> str | None:
    """Return the part of ComfyUI that Sumi lacks, if ``error`` was raised because a pack imports it; else None."""
    if not isinstance(error, ImportError):
        return None
    name = error.name or ""
    for prefix in ("nodes.compat.", ""):
        if name.startswith(prefix) and name.removeprefix(prefix).split(".")[0] in _OF_COMFYUI:
            return name.removeprefix(prefix)
    return None


def _attribute_of_nodes(name: str) -> Any:
    if not name.startswith("__") and name not in _submodules:
        from nodes.compat import core_nodes

        found = core_nodes.provided(name)
        if found is None:
            found = _part("nodes", name)
        if found is not None:
            return found
    raise AttributeError(f"module 'nodes' has no attribute {name!r}")


def _attribute_of_server(name: str) -> Any:
    if name in ("PromptServer", "BinaryEventTypes"):
        from nodes.compat import prompt_server

        return getattr(prompt_server, name)
    found = None if name.startswith("__") else _part("server", name)
    if found is None:
        raise AttributeError(f"module 'server' has no attribute {name!r}")
    return found


def _part(module: str, name: str) -> Any:
    """Return ``name`` of ComfyUI's ``module``, which Sumi's does not define, or None if there is no such name."""
    from nodes.compat.imported_names import imported
    from nodes.compat.missing import names
    from nodes.compat.missing.stand_ins import stand_in

    full_name = f"{module}.{name}"
    if module.partition(".")[0] in PROVIDED and _exists(full_name):
        return importlib.import_module(full_name)
    if module.startswith(f"{_EXTRAS}."):
        from nodes.compat import extra_nodes

        if (node_class := extra_nodes.found_in(module.removeprefix(f"{_EXTRAS}."), name)) is not None:
            return node_class
    reason = names.reason_for(module, name)
    if reason is not None:
        return stand_in(full_name, reason)
    return imported(name)


_EXTRAS: Final = "comfy_extras"
"""The package of further core nodes, in modules named ``nodes_…``."""


def _exists(module: str) -> bool:
    """Return whether packs can import ``module``."""
    return _own_spec(module) is not None or _is_made(module)


def _own_spec(module: str) -> ModuleSpec | None:
    """Return the spec of the file in this package that packs import as ``module``."""
    try:
        return importlib.util.find_spec(f"{__package__}.{module}")
    except ModuleNotFoundError:
        return None


def _is_made(module: str) -> bool:
    """Return whether ``module`` has no file here and is made when it is imported: it holds stand-ins, or core nodes."""
    from nodes.compat.missing import names

    package, _, name = module.rpartition(".")
    return module in names.importable() or (package == _EXTRAS and name.startswith("nodes_"))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the aliases. Other modules of ComfyUI are not looked for elsewhere, because a part of
    ComfyUI that happens to be installed does not work with this package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in PROVIDED:
            return None
        found = _own_spec(fullname)
        if found is not None:
            return ModuleSpec(fullname, _Alias(found), is_package=found.submodule_search_locations is not None)
        if not _is_made(fullname):
            return None  # its package's folder is this package's, so that no other finder has it
        return ModuleSpec(fullname, _Made(), is_package=True)


class _Alias(importlib.abc.Loader):
    """Returns the existing module, which has two names."""

    def __init__(self, spec: ModuleSpec):
        self._spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return importlib.import_module(self._spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has just set the alias's
        _answer_for(module, self._spec.name.removeprefix(f"{__package__}."))


class _Made(importlib.abc.Loader):
    """Makes a module without a file here: it holds stand-ins, or whichever of Sumi's nodes is asked for."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        _answer_for(module, module.__name__)


def _answer_for(module: ModuleType, name: str) -> None:
    """Let ``module``, which packs know as ``name``, provide ComfyUI's names that it does not define itself."""
    from nodes.compat.missing.stand_ins import attributes

    vars(module)["__getattr__"] = attributes(module, name, partial(_part, name))
