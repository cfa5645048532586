"""The rooms, and the registry of all their nodes.

A node's version is a hash over its room and everything in nodes/ that the room imports, so that an edited sampler
does not reuse cached results of its old code.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

from graph.codec import Codec
from graph.node import node_types_in
from graph.schema import NodeType, Registry
from nodes.help_texts import with_help
from nodes.models.handle_codec import HandleCodec
from nodes.source_tree import SourceTree, memory_beside
from nodes.tensor_codec import TensorCodec

ROOMS: Final = (
    "nodes.models",
    "nodes.lora",
    "nodes.merging",
    "nodes.text",
    "nodes.conditioning",
    "nodes.control",
    "nodes.latent",
    "nodes.sampling",
    "nodes.changes",
    "nodes.vae",
    "nodes.vision",
    "nodes.image",
    "nodes.filters",
    "nodes.mask",
    "nodes.primitive",
    "nodes.upscale",
    "nodes.training",
    "nodes.explain",
)

LAYERS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"compat"}),
    frozenset({"training", "explain"}),
    frozenset({"changes", "conditioning", "control", "upscale"}),
    frozenset({"sampling"}),
    frozenset({"unet", "text", "vision", "vae", "lora", "merging"}),
    frozenset({"models"}),
)
"""The rooms that a model passes through, from the outermost to the innermost. A room imports only later rows."""

APART: Final = frozenset({"image", "mask", "filters", "latent", "primitive"})
"""The rooms that need no model. They import no other room, and only ``compat`` imports them."""

SHARED_PACKAGES: Final = frozenset({"drawing", "pictures"})
"""Shared folders of nodes/. They and the single modules of nodes/ import no room; every room may import them."""

COMPOSITION_ROOT: Final = frozenset({"rooms", "packs", "builder", "help_texts", "warm_up"})
"""The modules that join the rooms, the packs' nodes and the help for them: they import any room, and only ``compat``
imports them."""

NETWORKS: Final = ("nodes.control", "nodes.text", "nodes.unet", "nodes.vae", "nodes.vision")
"""The rooms whose packages register a network with ``nodes.models.networks`` when they are imported."""

CODECS: Final[tuple[Codec, ...]] = (TensorCodec(), HandleCodec())
"""The codecs with which the cache stores values of these nodes."""

_HERE: Final = Path(__file__).parent


for _room in NETWORKS:
    importlib.import_module(_room)


def registry(extra: Mapping[str, NodeType] | None = None, codecs: Sequence[Codec] = ()) -> Registry:
    """Return the registry of all built-in nodes and the ``extra`` ones, which replace built-in nodes of the same name.

    ``codecs`` store the values of the extra nodes. With extra nodes, built-in ones check the pictures they receive.
    Only signatures are read; no room's mathematics is imported.
    """
    from nodes import device

    own = _built_in()
    if extra:
        from nodes.pictures.received import with_checked_pictures

        own = {name: with_checked_pictures(node_type) for name, node_type in own.items()}
    return Registry({**own, **(extra or {})}, (*CODECS, *codecs), device.tag())


@cache
def _built_in() -> dict[str, NodeType]:
    types: dict[str, NodeType] = {}
    versions = room_versions(_HERE.parent, memory_beside(str(_HERE / "__init__.py")))
    for room in ROOMS:
        for module in _node_modules(room):
            for node_type in node_types_in(module):
                helped = with_help(node_type, room.rpartition(".")[2])
                types[node_type.name] = dataclasses.replace(helped, version=versions[room])
    return types


def _node_modules(room: str) -> list[ModuleType]:
    """Return the modules of a room that declare nodes: ``nodes``, then modules whose names end in ``_nodes``."""
    names = (module.name for module in pkgutil.iter_modules(importlib.import_module(room).__path__))
    declaring = sorted(
        (name for name in names if name == "nodes" or name.endswith("_nodes")), key=lambda n: (n != "nodes", n)
    )
    return [importlib.import_module(f"{room}.{name}") for name in declaring]


def room_versions(root: Path, memory: Path | None = None) -> dict[str, str]:
    """Return the version of each room's nodes, from the sources in the folder ``root``; ``memory`` caches the sources.

    Modules of graph/ do not count, because they pass values on without computing any.
    """
    tree = SourceTree(root, ["nodes"], memory, registered={"nodes.models.networks": NETWORKS})
    versions = {room: tree.version(tree.members(room)) for room in ROOMS}
    tree.remember()
    return versions
