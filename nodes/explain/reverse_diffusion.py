"""Draws a recorded run: how a sampler turns noise into a picture, and what guidance adds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from nodes.drawing.card import Block, Text, card
from nodes.drawing.card import caption as small_text
from nodes.drawing.colours import limit_of
from nodes.drawing.film import Film, Row
from nodes.drawing.table import Table
from nodes.explain.latent_pictures import ToPictures, without_noise_scale
from nodes.explain.sampling_record import RecordedStep

if TYPE_CHECKING:
    from nodes.models.noise_levels import NoiseLevels


_SIDES: Final = {
    "positive": "the prompt",
    "negative": "the negative prompt",
    "middle": "the middle prompt",
    "empty": "the empty prompt",
}


def reverse_diffusion_card(steps: Sequence[RecordedStep], levels: NoiseLevels, to_pictures: ToPictures) -> Tensor:
    """Draw film strips of recorded steps as an IMAGE [1, H, 900, 3].

    The first strip shows the noisy latent x, the predicted clean picture and the predicted noise (DDPM,
    arXiv:2006.11239), the second one the predictions with and without the prompt and their difference (classifier-free
    guidance, arXiv:2207.12598), if both were predicted.
    """
    if not steps:
        return card("Reverse diffusion", Text("The run had no steps."))
    labels = [f"step {step.step}" for step in steps]
    noisiness = [f"σ {step.sigma:.3g}" for step in steps]
    noisy = [without_noise_scale(step.x, step.sigma, levels) for step in steps]
    clean = to_pictures([step.denoised for step in steps])
    noise = to_pictures([without_noise_scale(step.noise * step.sigma, step.sigma, levels) for step in steps])
    rows = [
        Row("x: the noisy picture that the step starts from", to_pictures(noisy), captions=noisiness),
        Row("The clean picture that the model predicts", clean),
        Row("The noise that the model predicts in x", noise),
    ]
    blocks: list[Block] = [Film(labels, rows, smooth=True)]
    guided = [step for step in steps if step.contrast is not None]
    guided = [step for step in guided if step.sides.keys() == guided[0].sides.keys()]
    if guided:
        blocks += guidance_blocks(guided, [clean[steps.index(step)] for step in guided], to_pictures)
    else:
        blocks.append(small_text("Only one side was predicted: at a guidance scale of 1, nothing is added."))
    return card("Reverse diffusion", *blocks)


def guidance_blocks(steps: Sequence[RecordedStep], guided: Sequence[Tensor], to_pictures: ToPictures) -> list[Block]:
    """Return the strip of all sides of guidance, their differences, and the ``guided`` pictures [H, W, 3].

    The steps have the same sides. With more than two, each is compared with the empty prompt's, else with the next one.
    """
    names = list(steps[0].sides)
    pairs = [(name, "empty") for name in names if name != "empty"] if "empty" in names else itertools.pairwise(names)
    pictures = {name: to_pictures([step.sides[name] for step in steps]) for name in names}
    differences = {
        (one, other): [a - b for a, b in zip(pictures[one], pictures[other], strict=True)] for one, other in pairs
    }
    limit = limit_of(torch.stack([each for row in differences.values() for each in row]))
    rows = [Row(f"Clean picture with {_side(name)}", pictures[name]) for name in names]
    for (one, other), row in differences.items():
        title = "Their difference, amplified" if len(names) == 2 else f"{_side(one)} minus {_side(other)}"
        shown = [(0.5 + difference / (2 * limit)).clamp(0, 1) for difference in row]
        rows.append(Row(f"{title[0].upper()}{title[1:]}: grey is none", shown))
    times_scale = "the difference multiplied by the guidance scale"
    guidance = times_scale if len(names) == 2 else f"what the guider makes of all {len(names)} sides"
    rows.append(Row(f"Guided: {guidance}", guided))
    labels = [f"step {step.step}" for step in steps]
    return [Text("What guidance adds"), Film(labels, rows, smooth=True)]


def _side(name: str) -> str:
    return _SIDES.get(name, f"side '{name}'")


def reverse_diffusion_table(steps: Sequence[RecordedStep], levels: NoiseLevels) -> Table:
    """Return the numbers of recorded steps.

    The difference of the sides and the change of the clean latent since the row above are root mean squares over the
    latent, whose values have a spread of about 1.
    """
    rows = []
    before: RecordedStep | None = None
    for step in steps:
        changed = "" if before is None else f"{_rms(step.denoised - before.denoised):.3f}"
        contrast = step.contrast
        apart = "" if contrast is None else f"{_rms(step.sides[contrast[0]] - step.sides[contrast[1]]):.3f}"
        rows.append(
            [
                f"{step.step}",
                f"{step.sigma:.4g}",
                f"{levels.timestep(step.sigma):.4g}",
                f"{100 * step.share_of_noise:.3g}%",
                f"{_rms(step.noise):.3f}",
                changed,
                apart,
            ]
        )
        before = step
    headers = ["step", "sigma", "timestep", "noise in x", "size of noise", "clean changed", "sides differ"]
    return Table(headers, rows)


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
