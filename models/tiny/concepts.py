"""The concepts of concepts.toml and the emoji drawings of each, rasterised."""

from __future__ import annotations

import io
import json
import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
PACKAGES = HERE / "node_modules"

# Every set has one English and one Chinese word that selects it.
ICON_SETS = {
    "noto": ("cartoon", "卡通"),
    "noto-v1": ("retro", "复古"),
    "fluent-emoji-flat": ("flat", "扁平"),
    "fluent-emoji": ("glossy", "光泽"),
    "twemoji": ("simple", "简单"),
}
OLDER_NAMES = {"enraged-face": "pouting-face"}
RENDER_PX = 192


@dataclass(frozen=True)
class Concept:
    """One thing that the model can draw, with its names."""

    name: str
    emoji: str
    en: tuple[str, ...]
    zh: tuple[str, ...]
    plural: str
    article: str
    measure: str = "个"
    recolour: str | None = None
    also: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Drawing:
    """One icon: RGBA float32 [side, side, 4] in 0..1, not premultiplied. `colour` is set where the emoji names one."""

    concept: str
    icon_set: str
    emoji: str
    colour: str | None
    rgba: np.ndarray = field(repr=False, compare=False)


class PackagesMissing(RuntimeError):
    """The npm packages with the drawings are not installed."""


@cache
def concepts() -> dict[str, Concept]:
    """Concept name → concept, in the order of concepts.toml."""
    table = tomllib.loads((HERE / "concepts.toml").read_text(encoding="utf-8"))
    return {name: _concept(name, entry) for name, entry in table.items()}


def _concept(name: str, entry: dict) -> Concept:
    en, zh = tuple(entry["en"]), tuple(entry["zh"])
    return Concept(
        name=name,
        emoji=entry["emoji"],
        en=en,
        zh=zh,
        plural=entry.get("plural", _plural(en[0])),
        article=entry.get("article", "an" if en[0][0] in "aeiou" else "a"),
        measure=entry.get("measure", "个"),
        recolour=entry.get("recolour"),
        also=tuple((emoji, colour) for emoji, colour in entry.get("also", [])),
    )


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "ch", "sh")) or noun in ("tomato",):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


@cache
def drawings() -> tuple[Drawing, ...]:
    """Every concept's drawings in all icon sets. A set that lacks an emoji is skipped."""
    return tuple(
        Drawing(concept.name, icon_set, emoji, colour, rgba)
        for concept in concepts().values()
        for emoji, colour in ((concept.emoji, None), *concept.also)
        for icon_set in ICON_SETS
        if (rgba := rasterise(icon_set, emoji)) is not None
    )


@cache
def labels(language: str) -> dict[str, str]:
    """Emoji → emojibase label in `language` ("en" or "zh"), without variation selectors."""
    entries = _read(PACKAGES / "emojibase-data" / language / "data.json")
    return {bare(entry["emoji"]): entry["label"] for entry in entries if "label" in entry}


def bare(emoji: str) -> str:
    """Return the emoji without its variation selector."""
    return emoji.replace("\ufe0f", "")


def rasterise(icon_set: str, emoji: str, side: int = RENDER_PX) -> np.ndarray | None:
    """Render an icon as RGBA [side, side, 4] in 0..1, or return None if the set does not have it."""
    import resvg_py

    svg = _svg(icon_set, emoji)
    if svg is None:
        return None
    png = resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png))) as picture:
        return np.asarray(picture.convert("RGBA"), np.float32) / 255


def _svg(icon_set: str, emoji: str) -> str | None:
    book = _icon_book(icon_set)
    name = re.sub(r"[^a-z0-9]+", "-", labels("en")[bare(emoji)].lower()).strip("-")
    for key in (name, OLDER_NAMES.get(name)):
        icon = book["icons"].get(book.get("aliases", {}).get(key, {}).get("parent", key))
        if icon is not None:
            break
    else:
        return None
    width, height = (icon.get(side, book.get(side, 16)) for side in ("width", "height"))
    side = max(width, height)  # a few icons are not square: they get a margin
    left, top = icon.get("left", 0) - (side - width) / 2, icon.get("top", 0) - (side - height) / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {side} {side}">{icon["body"]}</svg>'
    )


@cache
def _icon_book(icon_set: str) -> dict:
    return _read(PACKAGES / "@iconify-json" / icon_set / "icons.json")


def _read(path: Path) -> dict:
    if not path.is_file():
        raise PackagesMissing(f"{path} is missing. Run `npm ci` in {HERE}, or `make tiny-pictures`.")
    return json.loads(path.read_text(encoding="utf-8"))
