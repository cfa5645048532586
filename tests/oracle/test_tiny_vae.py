"""TAESD in its two files and in diffusers' layout, against diffusers' AutoencoderTiny."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file
from torch import Tensor

from nodes import model_folders
from nodes.merging.saving_nodes import vae_save
from nodes.models.checkpoint import CheckpointError
from nodes.models.handle import TinyVae
from nodes.models.nodes import vae_loader
from nodes.vae.nodes import vae_decode, vae_decode_tiled, vae_encode
from tests.nodes.conftest import NodeContext

SCALES = {"taesd": 0.18215, "taesdxl": 0.13025}


@pytest.fixture(scope="module")
def oracle() -> AutoencoderTiny:
    torch.manual_seed(0)
    return AutoencoderTiny().eval().requires_grad_(False)


def original(oracle: AutoencoderTiny, half: str) -> dict[str, Tensor]:
    """The names of the published files: the decoder's first layer is the clamp, which has no weights."""
    found = {}
    for name, tensor in getattr(oracle, half).state_dict().items():
        number, _, rest = name.removeprefix("layers.").partition(".")
        found[f"{int(number) + (half == 'decoder')}.{rest}"] = tensor.clone()
    return found


@pytest.fixture
def place(tmp_path: Path) -> NodeContext:
    for folder in ("vae", "vae_approx"):
        (tmp_path / "models" / folder).mkdir(parents=True)
    return NodeContext(model_folders.folders(tmp_path))


def models(place: NodeContext) -> Path:
    return place.folders.input.parent / "models"


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_two_files_agree_with_diffusers(name: str, ending: str, oracle: AutoencoderTiny, place: NodeContext) -> None:
    assert place.folders.names("vae") == []
    for half in ("encoder", "decoder"):
        path = models(place) / "vae_approx" / f"{name}_{half}.{ending}"
        if ending == "pth":
            torch.save(original(oracle, half), path)
        else:
            save_file(original(oracle, half), path)
    assert place.folders.names("vae") == [name]
    context: Any = place
    vae = vae_loader(vae_name=name, context=context)
    assert isinstance(vae, TinyVae) and vae.scale == SCALES[name]
    agree(vae, oracle, SCALES[name])


def agree(vae: TinyVae, oracle: AutoencoderTiny, scale: float) -> None:
    latent = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(1)) / scale
    picture = vae_decode(samples={"samples": latent}, vae=vae)
    expected = oracle.decode(latent * scale).sample
    torch.testing.assert_close(picture, ((expected + 1) / 2).clamp(0, 1).movedim(1, -1), rtol=1e-4, atol=1e-4)
    pixels = torch.rand(1, 32, 40, 3, generator=torch.Generator().manual_seed(2))
    encoded = vae_encode(pixels=pixels, vae=vae)["samples"]
    theirs = oracle.encode(pixels.movedim(-1, 1) * 2 - 1).latents / scale
    torch.testing.assert_close(encoded, theirs, rtol=1e-4, atol=1e-4)
    assert vae_decode_tiled(samples={"samples": latent}, vae=vae, tile_size=64, overlap=0).shape == picture.shape


@pytest.mark.parametrize("name", ["tiny.safetensors", "taesdxl/diffusion_pytorch_model.safetensors"])
def test_one_file_in_diffusers_layout(name: str, oracle: AutoencoderTiny, place: NodeContext) -> None:
    path = models(place) / "vae" / name
    path.parent.mkdir(exist_ok=True)
    save_file(oracle.state_dict(), path)
    context: Any = place
    agree(vae_loader(vae_name=name, context=context), oracle, 0.13025 if "xl" in name else 0.18215)


def test_a_saved_tiny_vae_keeps_its_scale(oracle: AutoencoderTiny, place: NodeContext) -> None:
    save_file(oracle.state_dict(), models(place) / "vae" / "xl.safetensors")
    context: Any = place
    vae = vae_loader(vae_name="xl.safetensors", context=context)
    vae_save(vae=vae, filename_prefix="vae/small", context=context)
    agree(vae_loader(vae_name="small_00001_.safetensors", context=context), oracle, 0.13025)


def test_a_file_that_is_not_its_half_is_named(oracle: AutoencoderTiny, place: NodeContext) -> None:
    for half in ("encoder", "decoder"):
        save_file({"x": torch.zeros(1)}, models(place) / "vae_approx" / f"taesd_{half}.safetensors")
    context: Any = place
    with pytest.raises(CheckpointError, match=r"taesd_encoder\.safetensors: not a tiny autoencoder's encoder"):
        vae_loader(vae_name="taesd", context=context)
    (models(place) / "vae_approx" / "taesd_encoder.safetensors").unlink()
    assert place.folders.names("vae") == []
