"""Compositing with alpha: the algebra of Porter and Duff's paper, and Pillow where it has the operator."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch

from nodes.mask import nodes
from nodes.mask.porter_duff import OPERATORS, composite


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


SOURCE, SOURCE_MASK = random(1, 6, 6, 3, seed=0), random(1, 6, 6, seed=1)
DESTINATION, DESTINATION_MASK = random(1, 6, 6, 3, seed=2), random(1, 6, 6, seed=3)


def run(mode: str) -> tuple[torch.Tensor, torch.Tensor]:
    return composite(SOURCE, SOURCE_MASK, DESTINATION, DESTINATION_MASK, mode)


@pytest.mark.parametrize("mode", OPERATORS)
def test_every_mode_gives_colours_and_masks(mode: str) -> None:
    color, mask = run(mode)
    assert color.shape == (1, 6, 6, 3) and mask.shape == (1, 6, 6)
    for values in (color, mask):
        assert values.isfinite().all() and values.min() >= -1e-6 and values.max() <= 1 + 1e-6


def test_the_modes_are_the_nodes() -> None:
    assert set(nodes.PORTER_DUFF) == set(OPERATORS)


# Fractions of source and destination in the result: F_A and F_B of the paper's table.
FRACTIONS = {
    "CLEAR": lambda sa, da: (0, 0),
    "SRC": lambda sa, da: (1, 0),
    "DST": lambda sa, da: (0, 1),
    "SRC_OVER": lambda sa, da: (1, 1 - sa),
    "DST_OVER": lambda sa, da: (1 - da, 1),
    "SRC_IN": lambda sa, da: (da, 0),
    "DST_IN": lambda sa, da: (0, sa),
    "SRC_OUT": lambda sa, da: (1 - da, 0),
    "DST_OUT": lambda sa, da: (0, 1 - sa),
    "SRC_ATOP": lambda sa, da: (da, 1 - sa),
    "DST_ATOP": lambda sa, da: (1 - da, sa),
    "XOR": lambda sa, da: (1 - da, 1 - sa),
}


@pytest.mark.parametrize("mode", FRACTIONS)
def test_the_twelve_operators_of_the_paper(mode: str) -> None:
    sa, da = 1 - SOURCE_MASK[..., None], 1 - DESTINATION_MASK[..., None]
    source_part, destination_part = FRACTIONS[mode](sa, da)
    alpha = sa * source_part + da * destination_part
    premultiplied = SOURCE * sa * source_part + DESTINATION * da * destination_part
    color, mask = run(mode)
    torch.testing.assert_close(1 - mask[..., None], torch.as_tensor(alpha) + torch.zeros_like(sa))
    torch.testing.assert_close(color * alpha, premultiplied, rtol=1e-4, atol=1e-5)


def test_over_is_pillows_alpha_composite() -> None:
    def pillow(image: torch.Tensor, mask: torch.Tensor) -> PIL.Image.Image:
        rgba = torch.cat((image[0], 1 - mask[0, ..., None]), -1)
        return PIL.Image.fromarray((rgba * 255).round().to(torch.uint8).numpy(), "RGBA")

    below, above = pillow(DESTINATION, DESTINATION_MASK), pillow(SOURCE, SOURCE_MASK)
    expected = torch.tensor(np.array(PIL.Image.alpha_composite(below, above))) / 255
    color, mask = run("SRC_OVER")
    torch.testing.assert_close(torch.cat((color[0], 1 - mask[0, ..., None]), -1), expected, rtol=0, atol=3 / 255)


def test_alpha_is_joined_and_split() -> None:
    joined = nodes.join_image_with_alpha(image=SOURCE, alpha=SOURCE_MASK)
    image, mask = nodes.split_image_with_alpha(image=joined)
    assert torch.equal(image, SOURCE)
    torch.testing.assert_close(mask, SOURCE_MASK)
    assert not nodes.split_image_with_alpha(image=SOURCE).MASK.any()
    assert nodes.join_image_with_alpha(image=SOURCE, alpha=torch.ones(2, 3, 3)).shape == (2, 6, 6, 4)
