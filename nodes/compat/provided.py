"""The names under which packs import what ComfyUI has.

``comfy``, ``comfy_execution``, ``comfy_api``, ``folder_paths`` … are aliases: whoever imports them gets
the module of that name in this package, once. Files have the names that packs import, also where these
say nothing (``utils``): a second name for each would have to be kept in step.

``nodes`` and ``server`` are Sumi's own packages as well. There is one module of each name in a process, so a
pack that asks ``sys.modules``, calls ``importlib`` or loads its files itself would get Sumi's whatever an
import hook did; so Sumi's packages answer for both. Their own attributes come first, and a test sees to it
that the two sets of names have nothing in common.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from graph.folders import Folders

PROVIDED: Final = frozenset(
    {
        "comfy",
        "comfy_api",
        "comfy_execution",
        "folder_paths",
        "latent_preview",
        "node_helpers",
    }
)
"""Top-level names that are aliases of modules in this package."""

_EXTRAS: Final = "comfy_extras"
"""Where packs find further core nodes, in modules named ``nodes_…``."""


_OF_COMFYUI: Final = PROVIDED | {_EXTRAS, "nodes", "server"}

_submodules: set[str] = set()
"""Sumi's own modules in ``nodes``: the import system asks for them as attributes before it imports them."""


def install(folders: Folders, server_package: ModuleType | None = None, flags: Mapping[str, Any] | None = None) -> None:
    """Make the names importable in this process. ``server_package`` is Sumi's ``server``, where there is one;
    ``flags`` are what it was started with."""
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
    """The name of what a pack wanted of ComfyUI and Sumi does not have, if that is why ``error`` was raised."""
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
        if found is not None:
            return found
    raise AttributeError(f"module 'nodes' has no attribute {name!r}")


def _attribute_of_server(name: str) -> Any:
    if name in ("PromptServer", "BinaryEventTypes"):
        from nodes.compat import prompt_server

        return getattr(prompt_server, name)
    raise AttributeError(f"module 'server' has no attribute {name!r}")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the aliases. What this package does not have is not looked for elsewhere: a half of
    ComfyUI that happens to be installed does not fit ours."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == _EXTRAS or fullname.startswith(f"{_EXTRAS}.nodes_"):
            return ModuleSpec(fullname, _CoreNodes(), is_package=fullname == _EXTRAS)
        if fullname.split(".")[0] not in PROVIDED:
            return None
        ours = f"{__package__}.{fullname}"
        try:
            found = importlib.util.find_spec(ours)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return ModuleSpec(fullname, _Alias(found), is_package=found.submodule_search_locations is not None)


class _Alias(importlib.abc.Loader):
    """Gives the module that is there already; there is one of each, under two names."""

    def __init__(self, spec: ModuleSpec):
        self._spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return importlib.import_module(self._spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has just put the alias's there


class _CoreNodes(importlib.abc.Loader):
    """A module of ``comfy_extras``: whichever of Sumi's nodes is asked for, as a class."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        def node_class(name: str) -> Any:
            from nodes.compat import core_nodes

            if name in core_nodes.own_names():
                return core_nodes.provided(name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r} in Sumi")

        vars(module)["__getattr__"] = node_class
