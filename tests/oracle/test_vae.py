"""Our autoencoder against diffusers' AutoencoderKL on the same weights, named as latent diffusion names them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL as DiffusersAutoencoder
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors.torch import save_file
from torch import Tensor

from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import vae_in
from nodes.models.vae_config import VaeConfig, expected_shapes
from nodes.vae import coding as vae_coding
from nodes.vae.autoencoder import AutoencoderKL
from nodes.vae.network import autoencoder

SMALL = VaeConfig(encoder_widths=(32, 64, 64, 64), decoder_widths=(32, 64, 64, 64))
SHALLOW = VaeConfig(
    encoder_widths=(32, 96),
    encoder_blocks=1,
    decoder_widths=(32, 96),
    decoder_blocks=2,
    latent_channels=3,
    inner_channels=3,
)


def _random_weights(config: VaeConfig) -> dict[str, Tensor]:
    """Weights that keep activations of order one; norms around 1 with an offset, so that they matter."""
    generator = torch.Generator().manual_seed(7)
    weights = {}
    for name, shape in expected_shapes(config).items():
        values = torch.randn(shape, generator=generator)
        if len(shape) == 4:
            values /= (shape[1] * shape[2] * shape[3]) ** 0.5
        else:
            values = 0.1 * values + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
        weights[name] = values
    return weights


def _ours(config: VaeConfig) -> AutoencoderKL:
    network = AutoencoderKL(config)
    network.load_state_dict(_random_weights(config))
    return network.eval().requires_grad_(False)


def _theirs(config: VaeConfig) -> DiffusersAutoencoder:
    levels = len(config.encoder_widths)
    network = DiffusersAutoencoder(
        block_out_channels=config.encoder_widths,
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        layers_per_block=config.encoder_blocks,
        latent_channels=config.latent_channels,
    )
    network.load_state_dict(convert_ldm_vae_checkpoint(_random_weights(config), network.config))
    return network.eval().requires_grad_(False)


_OLDER_NAMES = {"to_q.": "query.", "to_k.": "key.", "to_v.": "value.", "to_out.0.": "proj_attn."}


@pytest.mark.parametrize("config", [SMALL, SHALLOW], ids=["four levels", "two levels"])
@pytest.mark.parametrize("older", [False, True], ids=["to_q", "query"])
@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
def test_files_with_diffusers_names_hold_the_same_network(
    tmp_path: Path, config: VaeConfig, older: bool, prefix: str
) -> None:
    theirs = _theirs(config)
    state = {}
    for name, values in theirs.state_dict().items():
        for new, old in _OLDER_NAMES.items() if older else ():
            name = name.replace(new, old)
        state[prefix + name] = values.contiguous()
    save_file(state, tmp_path / "vae.safetensors")
    vae = vae_in(Checkpoint.open(tmp_path / "vae.safetensors"))
    assert vae.config == config
    with torch.no_grad():
        latents = torch.randn(1, config.latent_channels, 6, 5, generator=torch.Generator().manual_seed(1))
        _assert_agrees(autoencoder(vae).decode(latents), theirs.decode(latents).sample)
        pictures = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(2)) * 2 - 1
        _assert_agrees(autoencoder(vae).moments(pictures), theirs.encode(pictures).latent_dist.parameters)


def _assert_agrees(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    largest = max(1.0, theirs.abs().max().item())
    assert (ours - theirs).abs().max().item() <= 2e-4 * largest


@pytest.mark.parametrize("config", [SMALL, SHALLOW], ids=["four levels", "two levels"])
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 8, 8), (2, 5, 11), (1, 1, 3)])
def test_decoding(config: VaeConfig, batch: int, height: int, width: int) -> None:
    latents = torch.randn(batch, config.latent_channels, height, width, generator=torch.Generator().manual_seed(1))
    theirs = _theirs(config).decode(latents).sample
    _assert_agrees(_ours(config).decode(latents), theirs)
    images = vae_coding.decode(_ours(config), latents)
    assert (images - (theirs / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)).abs().max().item() <= 1.5 / 255


@pytest.mark.parametrize("config", [SMALL, SHALLOW], ids=["four levels", "two levels"])
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 64, 64), (2, 40, 88), (1, 8, 24)])
def test_encoding(config: VaeConfig, batch: int, height: int, width: int) -> None:
    pictures = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(2)) * 2 - 1
    theirs = _theirs(config).encode(pictures).latent_dist
    moments = _ours(config).moments(pictures)
    _assert_agrees(moments, theirs.parameters)
    noise = torch.randn((1, *theirs.mean.shape[1:]), generator=torch.Generator().manual_seed(vae_coding.POSTERIOR_SEED))
    _assert_agrees(
        vae_coding.encode(_ours(config), pictures.permute(0, 2, 3, 1) / 2 + 0.5), theirs.mean + theirs.std * noise
    )


def test_bfloat16_stays_near_float32() -> None:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    whole, half = _ours(SMALL), _ours(SMALL).to(torch.bfloat16)
    assert (vae_coding.decode(half, latents) - vae_coding.decode(whole, latents)).abs().mean().item() < 0.01
