"""The greyed picture and the grown mask of an inpainting latent."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.vae.inpainting import prepare


def _by_convolution(mask: Tensor, side: int) -> Tensor:
    """The definition: a ones kernel, padding ceil((k - 1) / 2), clamped, cut from the top left, rounded."""
    height, width = mask.shape[2:]
    kernel = torch.ones(1, 1, side, side)
    grown = F.conv2d(mask.round(), kernel, padding=math.ceil((side - 1) / 2)).clamp(0, 1)
    return grown[:, :, :height, :width].round()


@pytest.mark.parametrize("side", [1, 2, 5, 6, 7, 64])
def test_the_mask_grows_as_the_definition_says(side: int) -> None:
    mask = (torch.rand(2, 40, 32, generator=torch.Generator().manual_seed(1)) > 0.99).float()
    _, grown = prepare(torch.zeros(2, 40, 32, 3), mask, side)
    assert torch.equal(grown, _by_convolution(mask[:, None], side))


def test_without_growth_the_mask_is_rounded_only() -> None:
    _, noise_mask = prepare(torch.zeros(1, 8, 8, 3), torch.full((1, 8, 8), 0.6), 0)
    assert torch.equal(noise_mask, torch.ones(1, 1, 8, 8))


def test_pixels_under_the_ungrown_mask_become_grey() -> None:
    image, mask = torch.rand(1, 16, 16, 3), torch.zeros(1, 16, 16)
    mask[:, 4:8, 4:8] = 0.6
    mask[:, 0, 0] = 0.4
    kept = image.clone()
    greyed, _ = prepare(image, mask, 6)
    assert (greyed[:, 4:8, 4:8] == 0.5).all()
    greyed[:, 4:8, 4:8] = image[:, 4:8, 4:8]
    assert torch.equal(greyed, image)
    assert torch.equal(image, kept)


def test_the_mask_is_scaled_to_the_picture_and_both_are_cropped() -> None:
    mask = torch.zeros(1, 10, 10)
    mask[:, :, 5:] = 1.0
    greyed, noise_mask = prepare(torch.zeros(2, 20, 30, 3), mask, 0)
    assert greyed.shape == (2, 16, 24, 3)
    assert noise_mask.shape == (1, 1, 16, 24)
    assert (noise_mask[..., :12] == 0).all()
    assert (noise_mask[..., 12:] == 1).all()
    assert (greyed[:, :, 12:] == 0.5).all()


def test_masks_are_repeated_over_a_longer_batch() -> None:
    masks = torch.stack([torch.zeros(8, 8), torch.ones(8, 8)])
    greyed, _ = prepare(torch.zeros(4, 8, 8, 3), masks, 0)
    assert greyed.amax(dim=(1, 2, 3)).tolist() == [0.0, 0.5, 0.0, 0.5]
