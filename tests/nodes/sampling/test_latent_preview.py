"""Previews are small JPEGs in roughly the right colours."""

from __future__ import annotations

import io

import torch
from PIL import Image

from nodes.models.latent_space import SD_LATENTS
from nodes.sampling.latent_preview import factors_for, latent_to_rgb, preview

FACTORS = factors_for(SD_LATENTS)
assert FACTORS is not None


def opened(latents: torch.Tensor) -> Image.Image:
    shown = preview(latents, FACTORS)
    assert shown.format == "JPEG"
    return Image.open(io.BytesIO(shown.data))


def test_a_preview_is_8_times_as_large_up_to_512_pixels() -> None:
    assert opened(torch.zeros(2, 4, 16, 24)).size == (192, 128)
    assert opened(torch.zeros(1, 4, 128, 64)).size == (256, 512)
    assert opened(torch.zeros(1, 4, 1, 1024)).size == (512, 1)


def test_colours_are_a_linear_map_of_the_first_latent() -> None:
    latent = torch.zeros(4, 1, 3)
    latent[0, 0, 1] = 1.0
    latent[3, 0, 2] = 100.0
    rgb = latent_to_rgb(latent, FACTORS)
    assert rgb.shape == (1, 3, 3) and rgb.dtype == torch.uint8
    assert rgb[0].tolist() == [[127, 127, 127], [int((f + 1) * 127.5) for f in FACTORS[0].tolist()], [0, 0, 0]]
