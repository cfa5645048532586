"""The rooms, and the registry of all their nodes.

A node's version is a hash of its room's source and of the rooms it imports, so that an edited
sampler is not answered from what the old one left in the cache.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from graph.codec import Codec
from graph.node import node_types_in
from graph.schema import NodeType, Registry

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
)

_HERE = Path(__file__).parent
_IMPORT = re.compile(r"^\s*(?:from|import)\s+(nodes(?:\.\w+)*)", re.MULTILINE)


def registry(extra: Mapping[str, NodeType] | None = None, codecs: Sequence[Codec] = ()) -> Registry:
    """Every node of the house, and ``extra`` ones, which come first where names clash; ``codecs`` are for their values.

    Reads signatures only: no room's mathematics is imported.
    """
    from nodes import device
    from nodes.codecs import CODECS

    return Registry({**_built_in(), **(extra or {})}, (*CODECS, *codecs), device.tag())


@cache
def _built_in() -> dict[str, NodeType]:
    types: dict[str, NodeType] = {}
    for room in ROOMS:
        module = importlib.import_module(f"{room}.nodes")
        version = room_version(room)
        for node_type in node_types_in(module):
            types[node_type.name] = dataclasses.replace(node_type, version=version)
    return types


@cache
def room_version(room: str) -> str:
    """A hash of the sources of ``room`` and of every room it imports, directly or not."""
    reached: set[str] = set()
    waiting = [room]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting += imported_rooms(current)
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(reached):
        digest.update(name.encode())
        digest.update(_source_hash(name))
    return digest.hexdigest()


def imported_rooms(room: str) -> set[str]:
    """The rooms and single modules of nodes/ that a room's sources import."""
    names = {name for path in _sources(room) for name in _IMPORT.findall(path.read_text(encoding="utf-8"))}
    return {".".join(name.split(".")[:2]) for name in names} - {"nodes", room, "nodes.rooms"}


@cache
def _source_hash(room: str) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for path in _sources(room):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.digest()


def _sources(room: str) -> list[Path]:
    place = _HERE / room.partition(".")[2]
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
