"""The rooms, and the registry of all their nodes.

A node's version is a hash over its room and everything in nodes/ that the room imports, so that results of an edited
sampler are not taken from the cache of the old one.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from graph.codec import Codec
from graph.node import node_types_in
from graph.schema import NodeType, Registry
from nodes.models.handle_codec import HandleCodec
from nodes.source_tree import SourceTree, memory_beside
from nodes.tensor_codec import TensorCodec

ROOMS: Final = (
    "nodes.models",
    "nodes.text",
    "nodes.conditioning",
    "nodes.latent",
    "nodes.sampling",
    "nodes.vae",
    "nodes.image",
    "nodes.filters",
    "nodes.mask",
    "nodes.primitive",
    "nodes.training",
)

LAYERS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"compat"}),
    frozenset({"training", "explain"}),
    frozenset({"changes", "conditioning", "upscale"}),
    frozenset({"sampling"}),
    frozenset({"unet", "text", "vision", "vae"}),
    frozenset({"models"}),
)
"""The rooms that a model passes through, from the outermost in. A room imports only rooms of later rows."""

APART: Final = frozenset({"image", "mask", "filters", "latent", "primitive"})
"""The rooms that need no model. They import no room; of the others only ``compat`` imports them."""

SHARED_PACKAGES: Final = frozenset({"pictures"})
"""Folders of nodes/ that are not rooms. They and the single modules of nodes/ import no room; any room imports them."""

COMPOSITION_ROOT: Final = frozenset({"rooms", "packs"})
"""The modules that join the rooms and the packs' nodes: they import any room, and only ``compat`` imports them."""

NETWORKS: Final = ("nodes.text", "nodes.unet", "nodes.vae")
"""The rooms whose packages register a network with ``nodes.models.networks`` when they are imported."""

CODECS: Final[tuple[Codec, ...]] = (TensorCodec(), HandleCodec())
"""How the cache keeps the values of these nodes."""

_HERE: Final = Path(__file__).parent


for _room in NETWORKS:
    importlib.import_module(_room)


def registry(extra: Mapping[str, NodeType] | None = None, codecs: Sequence[Codec] = ()) -> Registry:
    """Every node of the house, and ``extra`` ones, which come first where names clash; ``codecs`` are for their values.

    Reads signatures only: no room's mathematics is imported.
    """
    from nodes import device

    return Registry({**_built_in(), **(extra or {})}, (*CODECS, *codecs), device.tag())


@cache
def _built_in() -> dict[str, NodeType]:
    types: dict[str, NodeType] = {}
    versions = room_versions(_HERE.parent, memory_beside(str(_HERE / "__init__.py")))
    for room in ROOMS:
        module = importlib.import_module(f"{room}.nodes")
        for node_type in node_types_in(module):
            types[node_type.name] = dataclasses.replace(node_type, version=versions[room])
    return types


def room_versions(root: Path, memory: Path | None = None) -> dict[str, str]:
    """Room → the version of its nodes, from the sources in the folder ``root``; ``memory`` keeps what was read.

    The modules of graph/ do not count: they carry values and compute none.
    """
    tree = SourceTree(root, ["nodes"], memory, registered={"nodes.models.networks": NETWORKS})
    versions = {room: tree.version(tree.members(room)) for room in ROOMS}
    tree.remember()
    return versions
