"""Tests of the judge of the model's pictures, with shapes that are easy to tell apart."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.likeness import Recogniser, look, worn

SHAPES = ("disc", "square", "cross")


def picture(shape: str, colour: str, ground: str, rng: np.random.Generator) -> Image.Image:
    canvas = Image.new("RGB", (128, 128), ground)
    pen, (x, y), half = ImageDraw.Draw(canvas), rng.integers(54, 74, 2).tolist(), int(rng.integers(30, 46))
    if shape == "disc":
        pen.ellipse((x - half, y - half, x + half, y + half), colour)
    elif shape == "square":
        pen.rectangle((x - half, y - half, x + half, y + half), colour)
    else:
        pen.line((x - half, y, x + half, y), colour, 14)
        pen.line((x, y - half, x, y + half), colour, 14)
    return canvas


def test_shapes_are_recognised_in_other_places_on_other_grounds_and_worn() -> None:
    rng = np.random.default_rng(0)
    colours = ("#e02020", "#2060d0", "#20a040")
    known = [(shape, picture(shape, colour, "white", rng)) for shape in SHAPES for colour in colours for _ in range(4)]
    recogniser = Recogniser(np.stack([look(shown).features for _, shown in known]), [shape for shape, _ in known])
    for shape in SHAPES:
        asked = worn(picture(shape, "#2060d0", "#e0d060", rng), rng)
        assert recogniser.nearest(look(asked).features)[0][0] == shape


def test_ground_and_colours_are_named() -> None:
    seen = look(picture("disc", "#e02020", "#ffd000", np.random.default_rng(0)))
    assert seen.ground == "yellow" and not seen.plain
    assert seen.colours[0] > 0.95  # red


def test_an_empty_picture_is_plain() -> None:
    assert look(Image.new("RGB", (128, 128), "#8080ff")).plain
