"""SDXL's vector conditioning, against diffusers."""

from __future__ import annotations

import torch
from diffusers.models.embeddings import get_timestep_embedding

from nodes.models.vector_kinds import REFINER_SIZES, SDXL_SIZES
from nodes.sampling.vector_conditioning import size_vector


def test_sdxl_base_is_told_original_size_crop_and_target_size() -> None:
    pooled = torch.randn(1, 1280)
    options = {"pooled_output": pooled, "width": 1024, "height": 768, "crop_w": 8, "target_width": 640}
    numbers = torch.tensor([768.0, 1024, 0, 8, 768, 640])
    sizes = get_timestep_embedding(numbers, 256, flip_sin_to_cos=True, downscale_freq_shift=0)
    expected = torch.cat([pooled, sizes.flatten()[None]], dim=1)
    assert torch.allclose(size_vector(SDXL_SIZES, options, 2816, 256, 384), expected, atol=1e-5)


def test_sizes_that_nobody_gave_are_the_pictures() -> None:
    sizes = {"width": 384, "height": 256}
    assert torch.equal(size_vector(SDXL_SIZES, {}, 2816, 256, 384), size_vector(SDXL_SIZES, sizes, 2816, 1, 1))
    assert not size_vector(SDXL_SIZES, {}, 2816, 256, 384)[:, :1280].any()


def test_the_refiner_is_told_an_aesthetic_score() -> None:
    pooled = torch.randn(1, 1280)
    for negative, score in ((False, 6.0), (True, 2.5)):
        numbers = torch.tensor([256.0, 384, 0, 0, score])
        sizes = get_timestep_embedding(numbers, 256, flip_sin_to_cos=True, downscale_freq_shift=0)
        found = size_vector(REFINER_SIZES, {"pooled_output": pooled}, 2560, 256, 384, negative)
        assert torch.allclose(found, torch.cat([pooled, sizes.flatten()[None]], dim=1), atol=1e-5)
