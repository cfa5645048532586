"""Images to latents and back: ranges, cropping, batches, noise, tiles, what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nodes.models import contents, residency
from nodes.models.checkpoint import Checkpoint
from nodes.models.vae_config import VaeConfig, detect_vae, expected_shapes
from nodes.vae import coding as vae_coding
from nodes.vae.autoencoder import AutoencoderKL
from nodes.vae.coding import VaeInputError, decode, decode_tiled, encode, encode_tiled, sample_posterior
from nodes.vae.network import autoencoder
from tests.nodes.models.networks import Net, saved

EMBEDDED = Path(__file__).parents[3] / "models" / "checkpoints" / "sumi-tiny.safetensors"
CONFIG = VaeConfig(encoder_widths=(32, 32, 32, 64), encoder_blocks=1, decoder_widths=(32, 32, 64, 64), decoder_blocks=2)


@pytest.fixture(scope="module")
def network() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(CONFIG).eval().requires_grad_(False)


def _random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("config", [CONFIG, VaeConfig()])
def test_shapes_are_those_of_the_network_and_tell_its_config(config: VaeConfig) -> None:
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in AutoencoderKL(config).state_dict().items()}
    assert shapes == expected_shapes(config)
    assert detect_vae(shapes) == config
    assert config.factor == 8


def test_images_and_latents_are_float32_in_range(network: AutoencoderKL) -> None:
    images = decode(network, torch.randn(2, 4, 3, 5) * 10)
    assert images.shape == (2, 24, 40, 3)
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (0.0, 1.0)
    latents = encode(network, images)
    assert latents.shape == (2, 4, 3, 5)
    assert latents.dtype == torch.float32


def test_half_precision_stays_inside(network: AutoencoderKL) -> None:
    half = AutoencoderKL(CONFIG).requires_grad_(False)
    half.load_state_dict(network.state_dict())
    half.to(torch.bfloat16)
    assert decode(half, torch.randn(1, 4, 2, 2)).dtype == torch.float32
    assert encode(half, _random(1, 16, 16, 3)).dtype == torch.float32


def test_an_item_of_a_batch_is_what_it_is_alone(network: AutoencoderKL) -> None:
    latents, images = torch.randn(3, 4, 2, 3), _random(3, 16, 24, 3)
    assert torch.equal(decode(network, latents)[1], decode(network, latents[1:2])[0])
    assert torch.equal(encode(network, images)[2], encode(network, images[2:])[0])


def test_encoding_is_a_function_of_the_image(network: AutoencoderKL) -> None:
    torch.manual_seed(1)
    first = encode(network, _random(1, 16, 16, 3))
    torch.manual_seed(2)
    assert torch.equal(encode(network, _random(1, 16, 16, 3)), first)


def test_sides_are_cropped_in_the_middle_to_multiples_of_eight(network: AutoencoderKL) -> None:
    image = _random(1, 21, 30, 3)
    assert torch.equal(encode(network, image), encode(network, image[:, 2:18, 3:27]))


def test_transparency_is_dropped(network: AutoencoderKL) -> None:
    image = _random(1, 16, 16, 4)
    assert torch.equal(encode(network, image), encode(network, image[..., :3]))


def test_inputs_are_not_changed(network: AutoencoderKL) -> None:
    latents, image = torch.randn(1, 4, 2, 2), _random(1, 16, 16, 3)
    kept = latents.clone(), image.clone()
    decode(network, latents)
    encode(network, image)
    decode_tiled(network, latents, 64, 0)
    assert torch.equal(latents, kept[0])
    assert torch.equal(image, kept[1])


def test_the_posterior_is_sampled() -> None:
    mean, log_variance = torch.full((2, 1, 64, 64), 3.0), torch.full((2, 1, 64, 64), 2.0)
    drawn = sample_posterior(torch.cat([mean, log_variance], dim=1))
    assert torch.equal(drawn[0], drawn[1])
    assert drawn.mean().item() == pytest.approx(3.0, abs=0.15)
    assert drawn.std().item() == pytest.approx(torch.e, rel=0.05)
    certain = sample_posterior(torch.cat([mean, torch.full_like(mean, -1e9)], dim=1))
    torch.testing.assert_close(certain, mean, atol=1e-5, rtol=0)
    assert sample_posterior(torch.cat([mean, torch.full_like(mean, 1e9)], dim=1)).isfinite().all()


def test_a_picture_that_fits_half_a_tile_is_the_whole(network: AutoencoderKL) -> None:
    latents, image = torch.randn(2, 4, 8, 6), _random(2, 61, 48, 3)
    assert torch.allclose(decode_tiled(network, latents, 128, 16), decode(network, latents), atol=1e-6)
    assert torch.allclose(encode_tiled(network, image, 128, 16), encode(network, image), atol=1e-6)


def test_tiles_of_a_trained_vae_stay_near_the_whole() -> None:
    """Norms and attention see one tile only, so near is all that tiles can be."""
    trained = autoencoder(contents.vae_in(Checkpoint.open(EMBEDDED)))
    red, green = torch.meshgrid(torch.linspace(0, 1, 192), torch.linspace(0, 1, 160), indexing="ij")
    image = torch.stack([red, green, (red - green).abs()], dim=-1)[None]
    whole = encode(trained, image)
    assert (encode_tiled(trained, image, 128, 32) - whole).abs().mean() < 0.2 * whole.abs().mean()
    assert (decode_tiled(trained, whole, 128, 32) - decode(trained, whole)).abs().mean() < 0.04


@pytest.mark.parametrize(("tile", "overlap"), [(64, 4096), (64, 0), (96, 32), (4096, 4096)])
def test_any_tile_size_and_overlap_the_node_allows(network: AutoencoderKL, tile: int, overlap: int) -> None:
    assert decode_tiled(network, torch.randn(1, 4, 13, 9), tile, overlap).shape == (1, 104, 72, 3)
    assert encode_tiled(network, _random(1, 110, 75, 3), tile, overlap).shape == (1, 4, 13, 9)


@pytest.mark.slow
def test_a_picture_that_does_not_fit_is_done_in_tiles_and_said_so(
    network: AutoencoderKL, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(vae_coding, "available_memory", lambda: 1 << 20)
    latents, image = torch.randn(1, 4, 72, 8), _random(1, 576, 64, 3)
    with caplog.at_level(logging.WARNING):
        decoded, encoded = decode(network, latents), encode(network, image)
    assert torch.equal(decoded, decode_tiled(network, latents, 512, 64))
    assert torch.equal(encoded, encode_tiled(network, image, 512, 64))
    assert [record.getMessage().split(";")[1] for record in caplog.records] == [" using tiles of 512 pixels"] * 2


def test_other_networks_leave_before_a_picture_is_done_in_tiles(
    network: AutoencoderKL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    weights = saved(tmp_path / "other.safetensors")
    monkeypatch.setattr(vae_coding, "available_memory", lambda: 1 << 20 if residency.loaded() else 1 << 40)
    latents, image = torch.randn(1, 4, 72, 8), _random(1, 576, 64, 3)
    for does, value in ((decode, latents), (encode, image)):
        weights.resident(Net, torch.float32, torch.device("cpu"))
        assert residency.loaded()
        does(network, value)
        assert residency.loaded() == []
    assert "tiles" not in caplog.text


@pytest.mark.slow
def test_a_gpu_that_runs_out_leads_to_tiles(network: AutoencoderKL, caplog: pytest.LogCaptureFixture) -> None:
    class Small(AutoencoderKL):
        def decode(self, latents: Tensor) -> Tensor:
            if latents.shape[2] * latents.shape[3] > 64 * 64:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().decode(latents)

    small = Small(CONFIG).eval().requires_grad_(False)
    assert decode(small, torch.randn(1, 4, 72, 72)).shape == (1, 576, 576, 3)
    assert "tiles" in caplog.text


@pytest.mark.parametrize("shape", [(1, 16, 2, 2), (4, 2, 2), (1, 4, 0, 2), (0, 4, 2, 2)])
def test_latents_of_another_kind_are_refused(network: AutoencoderKL, shape: tuple[int, ...]) -> None:
    for refuse in (
        lambda: decode(network, torch.zeros(shape)),
        lambda: decode_tiled(network, torch.zeros(shape), 64, 0),
    ):
        with pytest.raises(VaeInputError, match=r"expected \[batch, 4, height / 8, width / 8\]"):
            refuse()


@pytest.mark.parametrize("shape", [(1, 7, 64, 3), (1, 64, 7, 3), (1, 64, 64, 1), (64, 64, 3), (0, 64, 64, 3)])
def test_images_that_cannot_be_encoded_are_refused(network: AutoencoderKL, shape: tuple[int, ...]) -> None:
    for refuse in (
        lambda: encode(network, torch.zeros(shape)),
        lambda: encode_tiled(network, torch.zeros(shape), 64, 0),
    ):
        with pytest.raises(VaeInputError, match="3 or more"):
            refuse()
