"""Pipelines in diffusers' layout, as diffusers writes them, and text encoders in separate files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from graph.results import Blocked
from nodes import model_folders
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.nodes import diffusers_loader, dual_clip_loader, unet_loader
from nodes.vae.nodes import vae_decode
from tests.nodes.conftest import NodeContext
from tests.oracle.diffusers_unet import diffusers_unet
from tests.oracle.small_checkpoints import REFINER, SD2, SDXL, Small


@pytest.fixture
def place(tmp_path: Path) -> Any:
    for folder in ("diffusers/sub/pipe", "text_encoders", "diffusion_models"):
        (tmp_path / "models" / folder).mkdir(parents=True)
    return NodeContext(model_folders.folders(tmp_path))


def write(small: Small, place: Any, scheduler: dict[str, Any]) -> Path:
    """The pipeline as ``save_pretrained`` lays it out, the text encoders in transformers' layout."""
    folder: Path = place.folders.input.parent / "models" / "diffusers" / "sub" / "pipe"
    (folder / "model_index.json").write_text("{}")
    diffusers_unet(small.unet, small.weights()).save_pretrained(folder / "unet")
    names = {"g": "text_encoder_2"} if "h" not in small.encoders else {}
    for name in small.encoders:
        (folder / names.get(name, "text_encoder")).mkdir()
        save_file(small.text_weights(name), folder / names.get(name, "text_encoder") / "model.fp16.safetensors")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


@pytest.mark.parametrize("small", [SD2, SDXL, REFINER], ids=["sd2", "sdxl", "refiner"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_folder_is_the_same_as_a_single_file(small: Small, prediction: str, place: Any, tmp_path: Path) -> None:
    folder = write(small, place, {"prediction_type": prediction, "beta_schedule": "scaled_linear"})
    torch.manual_seed(0)
    oracle = AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
    )
    oracle.save_pretrained(folder / "vae")
    assert place.folders.names("diffusers") == ["sub/pipe"]
    model, clip, vae = diffusers_loader(model_path="sub/pipe", context=place)
    single = Checkpoint.open(small.write(tmp_path / "single.safetensors"))
    other = contents.model_in(single)
    assert model.family == other.family and model.config == other.config
    assert model.sampling.prediction == {"epsilon": "eps", "v_prediction": "v"}[prediction]
    for name, tensor in other.network().state_dict().items():
        assert torch.equal(model.network().state_dict()[name], tensor)
    text = contents.text_encoder_in(single)
    assert [encoder.role for encoder in clip.encoders] == [encoder.role for encoder in text.encoders]
    for encoder in text.encoders:
        found = clip.encoder(encoder.role.name).network().state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in encoder.network().state_dict().items())
    latent = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        expected = (oracle.decode(latent).sample / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    torch.testing.assert_close(vae_decode(samples={"samples": latent}, vae=vae), expected, rtol=1e-3, atol=1e-3)


def test_what_a_folder_lacks_is_blocked(place: Any) -> None:
    write(SD2, place, {})
    model, _, vae = diffusers_loader(model_path="sub/pipe", context=place)
    assert not isinstance(model, Blocked)
    assert isinstance(vae, Blocked) and "holds no vae" in str(vae.message)


def test_a_network_in_several_files_is_refused(place: Any) -> None:
    index = "diffusion_pytorch_model.safetensors.index.json"
    folder = write(SD2, place, {})
    (folder / "vae").mkdir()
    (folder / "vae" / index).write_text("{}")
    model, _, vae = diffusers_loader(model_path="sub/pipe", context=place)
    assert not isinstance(model, Blocked)
    assert isinstance(vae, Blocked) and vae.fails and "split into several files" in str(vae.message)

    (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(folder / "unet" / "elsewhere")
    (folder / "unet" / index).write_text("{}")
    with pytest.raises(CheckpointError, match="split into several files"):
        diffusers_loader(model_path="sub/pipe", context=place)


def test_a_unet_in_diffusers_names_loads_alone(place: Any) -> None:
    folder = write(SDXL, place, {})
    tensors = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    save_file(tensors, place.folders.input.parent / "models" / "diffusion_models" / "u.safetensors")
    model = unet_loader(unet_name="u.safetensors", weight_dtype="default", context=place)
    weights = SDXL.weights()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.network().state_dict().items())


@pytest.mark.parametrize("names", [("l", "g"), ("g", "l")])
def test_two_text_encoders_in_either_order(names: tuple[str, str], place: Any, tmp_path: Path) -> None:
    for name in "lg":
        save_file(
            SDXL.text_weights(name), place.folders.input.parent / "models" / "text_encoders" / f"{name}.safetensors"
        )
    first, second = (f"{name}.safetensors" for name in names)
    clip = dual_clip_loader(clip_name1=first, clip_name2=second, type="sdxl", context=place)
    single = contents.text_encoder_in(Checkpoint.open(SDXL.write(tmp_path / "single.safetensors")))
    assert [encoder.role for encoder in clip.encoders] == [encoder.role for encoder in single.encoders]
    assert clip.encoder("g").config.width == 128
    with pytest.raises(CheckpointError, match=r"l\.safetensors \(64 wide\), l\.safetensors \(64 wide\); expected CLIP"):
        dual_clip_loader(clip_name1="l.safetensors", clip_name2="l.safetensors", type="sdxl", context=place)
    with pytest.raises(CheckpointError, match="type 'flux' are not supported"):
        dual_clip_loader(clip_name1=first, clip_name2=second, type="flux", context=place)
