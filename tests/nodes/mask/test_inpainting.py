"""Masks and pictures for inpainting, against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from nodes import gaussian
from nodes.mask.inpainting_nodes import blur_mask, fill_masked_area, resize_and_fill_image


def picture(height: int = 40, width: int = 60) -> torch.Tensor:
    return torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sigma", [0.5, 1, 4, 16, 64, 256])
def test_box_blur_is_pillows_gaussian_blur(sigma: float) -> None:
    values = (picture()[0, ..., 0] * 255).round()
    theirs = np.array(Image.fromarray(values.byte().numpy()).filter(ImageFilter.GaussianBlur(sigma)))
    ours = gaussian.box_blur(values[None, None], sigma)[0, 0]
    assert (ours - torch.from_numpy(theirs).float()).abs().max() < 2.5  # Pillow rounds every pass to 8 bits


def test_a_blurred_mask_keeps_its_sum_and_falls_as_a_gaussian() -> None:
    mask = torch.zeros(1, 61, 61)
    mask[:, 30, 30] = 1.0
    found = blur_mask(mask=mask, sigma=4.0)
    assert found.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert (found[0, 30, 34] / found[0, 30, 30]).item() == pytest.approx(np.exp(-0.5), abs=1e-5)
    assert torch.equal(blur_mask(mask=mask, sigma=0.0), mask)


def test_a_filled_hole_has_the_colours_around_it_and_nothing_of_its_own() -> None:
    image = torch.zeros(1, 64, 64, 3)
    image[:, :, :32] = torch.tensor([1.0, 0.0, 0.0])
    image[:, :, 32:] = torch.tensor([0.0, 0.0, 1.0])
    mask = torch.zeros(1, 64, 64)
    mask[:, 16:48, 16:48] = 1.0
    hole = image.clone()
    hole[mask == 1] = torch.tensor([0.0, 1.0, 0.0])
    found = fill_masked_area(image=hole, mask=mask)
    torch.testing.assert_close(found[mask == 0], image[mask == 0])
    assert found[..., 1].max() < 1e-6, "the green inside the hole does not leak out"
    assert found[0, 32, 18, 0] > 0.8 and found[0, 32, 45, 2] > 0.8
    assert torch.equal(fill_masked_area(image=image, mask=torch.ones(1, 64, 64)), torch.zeros_like(image))


def test_a_picture_that_is_fitted_continues_at_its_edges() -> None:
    image = picture(20, 40)
    found = resize_and_fill_image(image=image, width=40, height=60)
    torch.testing.assert_close(found[:, 20:40], image, atol=1 / 255, rtol=0)
    for row in (0, 10, 19):
        assert torch.equal(found[:, row], found[:, 20])
    assert torch.equal(found[:, 59], found[:, 39])
    assert resize_and_fill_image(image=image, width=7, height=300).shape == (1, 300, 7, 3)
