"""The nodes of a pack that was written for ComfyUI."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import tomllib
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from graph.errors import NodeDefinitionError
from graph.schema import NodeType
from nodes.compat import core_nodes
from nodes.compat.class_nodes import node_type_of_class
from nodes.compat.schema_nodes import is_schema_class, node_type_of_schema


@dataclass
class PackNodes:
    """``types`` by class name; ``broken``: class name → why it cannot be used; ``web``: scripts for the editor."""

    types: dict[str, NodeType] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    web: Path | None = None


def read_pack(module: ModuleType, pack: str) -> PackNodes:
    """Return the nodes of ``NODE_CLASS_MAPPINGS``, or else those that ``comfy_entrypoint`` gives.

    Raises NodeDefinitionError if neither is valid, and any error of the pack's own code.
    """
    found = PackNodes(web=_web_directory(module))
    mappings = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if mappings is not None:
        if not isinstance(mappings, Mapping):
            raise NodeDefinitionError(f"NODE_CLASS_MAPPINGS is a {type(mappings).__name__}; expected a dict")
        names = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None) or {}
        classes = {str(name): (node_class, names.get(name)) for name, node_class in mappings.items()}
    else:
        classes = {}
        for node_class in _listed(module):
            try:
                classes[node_class.GET_SCHEMA().node_id] = (node_class, None)
            except Exception as error:  # define_schema is the pack's own code
                name = getattr(node_class, "__name__", repr(node_class))
                found.broken[name] = f"its schema cannot be read: {type(error).__name__}: {error}"
    for name, (node_class, display_name) in classes.items():
        read = read_class(name, node_class, pack, display_name)
        if isinstance(read, NodeType):
            found.types[name] = read
            if name not in core_nodes.own_names():
                core_nodes.register(name, node_class, read.display_name)
        else:
            found.broken[name] = read
    return found


def read_class(name: str, node_class: Any, pack: str, display_name: str | None = None) -> NodeType | str:
    """Return the node type of a class of either style, or the reason why there is none."""
    if not isinstance(node_class, type):
        return f"node {name} is {node_class!r}; expected a class"
    module = f"custom_nodes.{pack}"
    try:
        if is_schema_class(node_class):
            return node_type_of_schema(name, node_class, display_name, module)
        return node_type_of_class(name, node_class, display_name, module)
    except NodeDefinitionError as error:
        return str(error)
    except Exception as error:  # declarations are the pack's own code
        return f"its declarations cannot be read: {type(error).__name__}: {error}"


def _listed(module: ModuleType) -> list[Any]:
    """Return the classes of the extension that ``comfy_entrypoint`` makes."""

    async def ask() -> list[Any]:
        extension = await _awaited(module.comfy_entrypoint())
        if not hasattr(extension, "get_node_list"):
            raise NodeDefinitionError(
                f"comfy_entrypoint returned a {type(extension).__name__}; expected a ComfyExtension"
            )
        if hasattr(extension, "on_load"):
            await _awaited(extension.on_load())
        return list(await _awaited(extension.get_node_list()))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(ask())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, ask()).result()


async def _awaited(value: Any) -> Any:
    if inspect.isawaitable(value):
        awaitable: Awaitable[Any] = value
        return await awaitable
    return value


def _web_directory(module: ModuleType) -> Path | None:
    """Return the folder of scripts that the pack names.

    WEB_DIRECTORY counts, then ``web`` in its pyproject.toml's tool.comfy, then ``nodes.EXTENSION_WEB_DIRS``.
    """
    if not getattr(module, "__file__", None):
        return None
    root = Path(str(module.__file__)).parent
    named = getattr(module, "WEB_DIRECTORY", None)
    if named is None and (root / "pyproject.toml").is_file() and hasattr(module, "__path__"):
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        named = project.get("tool", {}).get("comfy", {}).get("web")
    if named is None:
        named = next((path for path in core_nodes.EXTENSION_WEB_DIRS.values() if Path(path).is_relative_to(root)), None)
    if not isinstance(named, str) or not named:
        return None
    folder = (root / named).resolve()
    return folder if folder.is_dir() else None
