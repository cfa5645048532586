"""Packs written for ComfyUI, as :mod:`nodes.packs.loading` loads them; it knows this module by name only.

Parts that no pack asks for are not imported: each function imports its own part.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from graph.folders import Folders
from graph.schema import NodeType


def install(folders: Folders, server_package: ModuleType | None = None, flags: Mapping[str, Any] | None = None) -> None:
    """Make the names importable that packs import; see :func:`nodes.compat.provided.install`."""
    from nodes.compat import provided

    provided.install(folders, server_package, flags)


def speaks(module: ModuleType) -> bool:
    """Return whether a pack's module declares nodes in ComfyUI's form."""
    return getattr(module, "NODE_CLASS_MAPPINGS", None) is not None or hasattr(module, "comfy_entrypoint")


def read_pack(module: ModuleType, name: str) -> Any:
    """Return the nodes of a pack: an object with ``types``, ``broken`` and ``web``."""
    from nodes.compat import pack_nodes

    return pack_nodes.read_pack(module, name)


def read_class(name: str, node_class: type, pack: str) -> NodeType | str:
    """Return the type of a node's class, or the reason why it cannot be used."""
    from nodes.compat import pack_nodes

    return pack_nodes.read_class(name, node_class, pack)


def replaced() -> Mapping[str, type]:
    """Return the packs' classes that replace Sumi's nodes."""
    core_nodes = sys.modules.get("nodes.compat.core_nodes")
    return core_nodes.replaced() if core_nodes is not None else {}


def with_added_names(own: Iterable[NodeType]) -> Mapping[str, NodeType]:
    """Sumi's nodes that offer samplers or schedules, with those that packs have added."""
    from nodes.compat import added_samplers

    return added_samplers.with_added_names(own)


def missing_part(error: BaseException) -> str | None:
    """Return the name of a part of ComfyUI that Sumi does not have, if that is why a pack's import failed."""
    from nodes.compat import provided

    return provided.wanted_from_comfyui(error)


def pack_server() -> Any:
    """Return packs' server object, if a pack has asked for it."""
    module = sys.modules.get("nodes.compat.prompt_server")
    return module.PromptServer.instance if module is not None else None


def connect(
    deliver: Callable[[str, Any, str | None], None],
    ask: Callable[[str, Mapping[str, Any]], Any],
    interrupt: Callable[[], Any],
) -> None:
    """Connect packs to the server; see :mod:`nodes.compat.line`."""
    from nodes.compat import line

    line.deliver, line.ask, line.interrupt = deliver, ask, interrupt


def run_begins(client_id: str | None, prompt_id: str | None) -> None:
    """Tell packs which client's run is current."""
    from nodes.compat import line

    line.client_id, line.prompt_id = client_id, prompt_id
