"""Scenes: which things in which colours stand on which ground. One scene becomes one training picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from models.tiny.colour import COLOURS, SOLID_ALPHA, Part, clear_name, find_part, named_colours, oklab
from models.tiny.concepts import HERE, Concept, Drawing, concepts, drawings

GROUNDS = tuple(name for name in COLOURS if name != "white")
ON_WHITE_EACH = 20  # pictures of a drawing in its own colours on white
RECOLOURED_ON_WHITE_EACH = 2
PLAIN_EACH = 40  # empty grounds of a colour
PLAIN_WHITE = 600
TWO_THINGS = 7000
NEVER_HELD_OUT = frozenset({"apple", "car", "dog", "cat", "sunflower"})  # the examples' prompts


@dataclass(frozen=True)
class Thing:
    """A drawing in a scene. `colour` None keeps the drawing's own; `named` is the colour that captions may give it."""

    drawing: int
    colour: str | None = None

    @property
    def icon(self) -> Drawing:
        return drawings()[self.drawing]

    @property
    def concept(self) -> Concept:
        return concepts()[self.icon.concept]

    @property
    def named(self) -> str | None:
        return self.colour or own_colour(self.drawing)


@dataclass(frozen=True)
class Scene:
    """No, one or two things, left to right, on a ground of a named colour."""

    things: tuple[Thing, ...]
    ground: str
    centred: bool = False


@dataclass(frozen=True)
class Holdouts:
    """Pairs that no training picture shows: (concept, colour of the thing) and (concept, colour of the ground)."""

    colours: frozenset[tuple[str, str]]
    grounds: frozenset[tuple[str, str]]


@cache
def holdouts() -> Holdouts:
    listed = json.loads((HERE / "holdouts.json").read_text(encoding="utf-8"))
    return Holdouts(
        frozenset((concept, colour) for concept, colour in listed["colours"]),
        frozenset((concept, colour) for concept, colour in listed["grounds"]),
    )


@cache
def part_of(drawing: int) -> Part | None:
    """The part of a drawing that takes a new colour, or None if its concept keeps its colours."""
    icon = drawings()[drawing]
    rule = concepts()[icon.concept].recolour
    return find_part(icon.rgba, rule) if rule else None


@cache
def own_colour(drawing: int) -> str | None:
    """The colour that a person would name for an unchanged drawing, or None if none is clear."""
    icon, part = drawings()[drawing], part_of(drawing)
    return icon.colour or (clear_name(part) if part else None)


def scenes(seed: int) -> list[Scene]:
    """Plan the whole data set. The same seed gives the same list."""
    rng = np.random.default_rng(seed)
    plan = [*_own_colours(), *_recoloured(rng), *_two_things(rng)]
    plan += [Scene((), ground) for ground in GROUNDS for _ in range(PLAIN_EACH)]
    plan += [Scene((), "white")] * PLAIN_WHITE
    return plan


def _own_colours() -> Iterator[Scene]:
    for index in range(len(drawings())):
        thing = Thing(index)
        for copy in range(ON_WHITE_EACH):
            yield Scene((thing,), "white", centred=copy == 0)
        for ground in GROUNDS:
            if allowed(thing, ground):
                yield Scene((thing,), ground)


def _recoloured(rng: np.random.Generator) -> Iterator[Scene]:
    for index in range(len(drawings())):
        icon = drawings()[index]
        if part_of(index) is None or icon.colour is not None:
            continue
        for colour in COLOURS:
            thing = Thing(index, colour)
            grounds = [ground for ground in GROUNDS if allowed(thing, ground)]
            for _ in range(RECOLOURED_ON_WHITE_EACH if allowed(thing, "white") else 1):
                if allowed(thing, "white"):
                    yield Scene((thing,), "white")
            if grounds:
                yield Scene((thing,), str(rng.choice(grounds)))


def _two_things(rng: np.random.Generator) -> Iterator[Scene]:
    """Draw pairs, mostly of one icon set, a seventh of them two of a kind, a quarter on a coloured ground."""
    made = 0
    while made < TWO_THINGS:
        left = int(rng.integers(len(drawings())))
        same_set = [i for i, icon in enumerate(drawings()) if icon.icon_set == drawings()[left].icon_set]
        alike = rng.random() < 0.15
        right = left if alike else int(rng.choice(same_set if rng.random() < 0.8 else len(drawings())))
        colours = [_some_colour(rng, index) for index in (left, right)]
        if alike and rng.random() < 0.6:
            colours[1] = colours[0]
        ground = str(rng.choice(GROUNDS)) if rng.random() < 0.25 else "white"
        pair = Thing(left, colours[0]), Thing(right, colours[1])
        if all(allowed(thing, ground) for thing in pair):
            yield Scene(pair, ground)
            made += 1


def _some_colour(rng: np.random.Generator, drawing: int) -> str | None:
    if part_of(drawing) is None or drawings()[drawing].colour or rng.random() < 0.55:
        return None
    return str(rng.choice(list(COLOURS)))


def allowed(thing: Thing, ground: str) -> bool:
    """Return False for held-out pairs and for things that would not stand out from the ground."""
    name = thing.concept.name
    if (name, thing.named) in holdouts().colours or (name, ground) in holdouts().grounds:
        return False
    if ground == "white":
        return thing.colour != "white"
    return thing.named != ground and (thing.colour is not None or not _blends(thing.drawing, ground))


@cache
def _blends(drawing: int, ground: str) -> bool:
    """Whether two fifths of an unchanged drawing have almost the ground's colour."""
    rgba = drawings()[drawing].rgba[::3, ::3]
    solid = oklab(rgba[rgba[..., 3] > SOLID_ALPHA][:, :3])
    return float((np.linalg.norm(solid - named_colours()[list(COLOURS).index(ground)], axis=-1) < 0.13).mean()) > 0.4


def choose_holdouts(seed: int) -> dict[str, list[list[str]]]:
    """Draw 60 concept × colour and 30 concept × ground pairs: colours evenly, each concept at most once if possible.

    A pair is excluded if an icon set already has the concept in that colour. White things are excluded, because they
    cannot be judged on a white ground.
    """
    rng = np.random.default_rng(seed)
    by_itself = {(icon.concept, own_colour(index)) for index, icon in enumerate(drawings())}
    able = [c.name for c in concepts().values() if c.recolour and c.name not in NEVER_HELD_OUT]
    others = [name for name in concepts() if name not in NEVER_HELD_OUT]
    blending = {(icon.concept, ground) for i, icon in enumerate(drawings()) for ground in GROUNDS if _blends(i, ground)}
    return {
        "colours": _draw_pairs(rng, able, 60, by_itself),
        "grounds": _draw_pairs(rng, others, 30, by_itself | blending),
    }


def _draw_pairs(
    rng: np.random.Generator, names: list[str], count: int, excluded: set[tuple[str, str | None]]
) -> list[list[str]]:
    waiting, pairs = list(rng.permutation(names)), []
    for turn in range(count):
        colour = GROUNDS[turn % len(GROUNDS)]
        name = next(name for name in waiting if (name, colour) not in excluded)
        waiting.remove(name)
        pairs.append([str(name), colour])
    return sorted(pairs)
