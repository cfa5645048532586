"""The nodes that combine conditionings and say where and when they count."""

from __future__ import annotations

from typing import Annotated, Literal

from graph.node import Range, node
from nodes.types import Conditioning, Mask

Pixels = Annotated[int, Range(0, 16384, 8)]
Size = Annotated[int, Range(64, 16384, 8)]
Part = Annotated[float, Range(0, 1.0, 0.01)]
Strength = Annotated[float, Range(0.0, 10.0, 0.01)]
Percent = Annotated[float, Range(0.0, 1.0, 0.001)]

_FACTOR = 8  # pixels per latent pixel


@node("ConditioningCombine", display_name="Conditioning (Combine)", category="conditioning")
def conditioning_combine(*, conditioning_1: Conditioning, conditioning_2: Conditioning) -> Conditioning:
    """Lets both count: the model predicts for each, and the predictions are averaged."""
    return conditioning_1 + conditioning_2


@node("ConditioningAverage", category="conditioning")
def conditioning_average(
    *,
    conditioning_to: Conditioning,
    conditioning_from: Conditioning,
    conditioning_to_strength: Annotated[float, Range(0.0, 1.0, 0.01)] = 1.0,
) -> Conditioning:
    """Blends two prompts into one between them: strength 1 is all "to", 0 all "from".

    Raises ConditioningError if they come from text encoders of different widths.
    """
    from nodes.conditioning import entries

    return entries.averaged(conditioning_to, conditioning_from, conditioning_to_strength)


@node("ConditioningConcat", display_name="Conditioning (Concat)", category="conditioning")
def conditioning_concat(*, conditioning_to: Conditioning, conditioning_from: Conditioning) -> Conditioning:
    """Puts the tokens of "from" behind those of "to", as a longer prompt whose chunks do not see each other.

    Raises ConditioningError if they come from text encoders of different widths.
    """
    from nodes.conditioning import entries

    return entries.concatenated(conditioning_to, conditioning_from)


@node("ConditioningSetArea", display_name="Conditioning (Set Area)", category="conditioning")
def conditioning_set_area(
    *,
    conditioning: Conditioning,
    width: Size = 64,
    height: Size = 64,
    x: Pixels = 0,
    y: Pixels = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Confines a prompt to a rectangle of the picture, given in pixels from the top left corner."""
    from nodes.conditioning import entries

    area = (height // _FACTOR, width // _FACTOR, y // _FACTOR, x // _FACTOR)
    return entries.with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)


@node(
    "ConditioningSetAreaPercentage",
    display_name="Conditioning (Set Area with Percentage)",
    category="conditioning",
)
def conditioning_set_area_percentage(
    *,
    conditioning: Conditioning,
    width: Part = 1.0,
    height: Part = 1.0,
    x: Part = 0,
    y: Part = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Confines a prompt to a rectangle given as parts of the picture's size: 0.5 is half of it."""
    from nodes.conditioning import entries

    area = ("percentage", height, width, y, x)
    return entries.with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)


@node("ConditioningSetAreaStrength", category="conditioning")
def conditioning_set_area_strength(*, conditioning: Conditioning, strength: Strength = 1.0) -> Conditioning:
    """Sets how much a prompt counts against the others in the same place."""
    from nodes.conditioning import entries

    return entries.with_options(conditioning, strength=strength)


@node("ConditioningSetMask", display_name="Conditioning (Set Mask)", category="conditioning")
def conditioning_set_mask(
    *,
    conditioning: Conditioning,
    mask: Mask,
    strength: Strength = 1.0,
    set_cond_area: Literal["default", "mask bounds"],
) -> Conditioning:
    """Confines a prompt to where a mask is white; with "mask bounds" the model sees only that part."""
    from nodes.conditioning import entries

    return entries.masked(conditioning, mask, strength, crop=set_cond_area == "mask bounds")


@node("ConditioningSetTimestepRange", category="advanced/conditioning")
def conditioning_set_timestep_range(
    *, conditioning: Conditioning, start: Percent = 0.0, end: Percent = 1.0
) -> Conditioning:
    """Confines a prompt to a part of the sampling: 0 is pure noise, 1 the finished picture."""
    from nodes.conditioning import entries

    return entries.with_options(conditioning, start_percent=start, end_percent=end)


@node("ConditioningZeroOut", category="advanced/conditioning")
def conditioning_zero_out(*, conditioning: Conditioning) -> Conditioning:
    """Replaces a prompt's vectors with zeros: not the empty prompt, but none at all."""
    from nodes.conditioning import entries

    return entries.zeroed(conditioning)
