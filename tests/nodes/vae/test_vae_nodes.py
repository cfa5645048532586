"""The nodes between pictures and latents, on the embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Vae
from nodes.vae import nodes
from nodes.vae.coding import encode
from nodes.vae.network import autoencoder

EMBEDDED = Path(__file__).parents[3] / "models" / "checkpoints" / "sumi-tiny.safetensors"


@pytest.fixture(scope="module")
def vae() -> Vae:
    return contents.vae_in(Checkpoint.open(EMBEDDED))


def _picture() -> torch.Tensor:
    red, green = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    return torch.stack([red, green, (red - green).abs()], dim=-1)[None]


def test_a_picture_survives_the_way_there_and_back(vae: Vae) -> None:
    latent = nodes.vae_encode(pixels=_picture(), vae=vae)
    assert latent["samples"].shape == (1, 4, 8, 8)
    assert (nodes.vae_decode(samples=latent, vae=vae) - _picture()).abs().mean() < 0.1


def test_the_embedded_latents_are_scaled_to_unit_variance(vae: Vae) -> None:
    """As trained, its latents times 0.18215 have unit variance over its training pictures."""
    samples = nodes.vae_encode(pixels=_picture(), vae=vae)["samples"]
    assert 0.3 < (0.18215 * samples).std().item() < 3


def test_tiled_nodes_take_sizes_in_pixels(vae: Vae) -> None:
    latent = nodes.vae_encode_tiled(pixels=_picture(), vae=vae, tile_size=128)
    torch.testing.assert_close(latent["samples"], nodes.vae_encode(pixels=_picture(), vae=vae)["samples"])
    whole = nodes.vae_decode(samples=latent, vae=vae)
    torch.testing.assert_close(nodes.vae_decode_tiled(samples=latent, vae=vae, tile_size=128), whole)
    assert not torch.allclose(nodes.vae_decode_tiled(samples=latent, vae=vae, tile_size=64), whole)


def test_inpainting_encodes_the_greyed_picture(vae: Vae) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, 20:40, 20:40] = 1.0
    latent = nodes.vae_encode_for_inpaint(pixels=_picture(), vae=vae, mask=mask, grow_mask_by=6)
    greyed = torch.where(mask[..., None] > 0, 0.5, _picture())
    assert torch.equal(latent["samples"], encode(autoencoder(vae), greyed))
    assert latent["noise_mask"].shape == (1, 1, 64, 64)
    assert latent["noise_mask"].sum().item() == 25 * 25
