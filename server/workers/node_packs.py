"""Reports from workers about their node packs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_SLOW_SECONDS: Final = 5.0
_PROBLEMS: Final = ("ignored", "replaced", "printed", "hint")


def problems_of(packs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Map each pack with problems to a description of them. Only the last line of a traceback is included."""
    return {pack["name"]: facts for pack in packs if (facts := _facts(pack))}


def _facts(pack: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: pack[name] for name in _PROBLEMS if pack.get(name)}
    if pack.get("failure"):
        facts["failure"] = pack["failure"].strip().splitlines()[-1]
    if pack.get("broken"):
        facts["broken"] = pack["broken"]
    if pack["seconds"] > _SLOW_SECONDS:
        facts["seconds"] = pack["seconds"]
    return facts


def scripts(packs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return the addresses of all scripts that packs have for the editor."""
    for pack in packs:
        if pack.get("web"):
            root = Path(pack["web"])
            for path in sorted(root.rglob("*.js")):
                yield f"/extensions/{pack['name']}/{path.relative_to(root).as_posix()}"


def web_folder(packs: Sequence[Mapping[str, Any]], name: str) -> Path | None:
    """Return the folder with the files that the pack ``name`` has for the editor."""
    return next((Path(pack["web"]) for pack in packs if pack["name"] == name and pack.get("web")), None)
