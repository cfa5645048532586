"""The loader nodes: files by name, models as handles, errors for missing parts where they are needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graph.errors import InputFileError
from graph.folders import Folders
from graph.results import Blocked
from nodes import model_folders
from nodes.models import nodes as loaders
from nodes.models.checkpoint import CheckpointError
from nodes.models.handle import Clip, Model, Vae
from nodes.models.text_config import TextConfig
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import UNetConfig
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.vae_config import VaeConfig
from nodes.models.vae_config import expected_shapes as vae_shapes
from nodes.text.encoding import encode_tokens
from nodes.text.prompt import tokenize_prompt
from nodes.vae.coding import decode
from nodes.vae.network import autoencoder

UNET = UNetConfig(
    model_channels=32,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 0),
    output_depth=(0, 0, 1, 1),
    context_width=64,
)
VAE = VaeConfig(encoder_widths=(32, 32), encoder_blocks=1, decoder_widths=(32, 32), decoder_blocks=2)
TEXT = TextConfig(width=64, layers=1, mlp=64)


class Place(NamedTuple):
    """The parts of a context that a loader needs."""

    folders: Folders


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for folder in ("checkpoints", "configs", "diffusion_models", "text_encoders", "vae"):
        (tmp_path / "models" / folder).mkdir(parents=True)
    return Place(model_folders.folders(tmp_path))


def _tensors(prefix: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {prefix + name: torch.randn(shape, generator=generator).half() * 0.1 for name, shape in shapes.items()}


def _unet() -> dict[str, Tensor]:
    return _tensors("model.diffusion_model.", unet_shapes(UNET))


def _vae() -> dict[str, Tensor]:
    return _tensors("first_stage_model.", vae_shapes(VAE))


def _text() -> dict[str, Tensor]:
    return _tensors("cond_stage_model.transformer.", text_shapes(TEXT))


def _path(place: Place, folder: str) -> Path:
    return place.folders.input.parent / "models" / folder / "m.safetensors"


def _load(place: Place, tensors: dict[str, Tensor]) -> Any:
    save_file(tensors, _path(place, "checkpoints"))
    return loaders.checkpoint_loader_simple(ckpt_name="m.safetensors", context=place)  # type: ignore[arg-type]


def test_a_checkpoint_gives_three_working_models(place: Place) -> None:
    models = _load(place, _unet() | _vae() | _text())
    assert isinstance(models.MODEL, Model)
    assert isinstance(models.CLIP, Clip)
    assert isinstance(models.VAE, Vae)
    assert (models.MODEL.config, models.CLIP.encoder("l").config, models.VAE.config) == (UNET, TEXT, VAE)
    assert models.MODEL.latent.scale == 0.18215
    embedding, _ = encode_tokens(models.CLIP, tokenize_prompt(models.CLIP, "ink"))
    with torch.no_grad():
        assert models.MODEL.network()(torch.zeros(1, 4, 8, 8), torch.zeros(1), embedding).shape == (1, 4, 8, 8)
    assert decode(autoencoder(models.VAE), torch.zeros(1, 4, 8, 8)).shape == (1, 16, 16, 3)


def test_what_a_file_lacks_is_blocked_with_the_reason(place: Place) -> None:
    models = _load(place, _unet() | _text())
    assert isinstance(models.MODEL, Model)
    assert isinstance(models.VAE, Blocked) and models.VAE.fails
    assert models.VAE.message is not None
    assert "m.safetensors: holds no VAE" in models.VAE.message


def test_a_file_with_no_model_at_all_is_an_error_of_the_loader(place: Place) -> None:
    with pytest.raises(CheckpointError, match=r"m\.safetensors: holds no Stable Diffusion model.*lora\.down"):
        _load(place, {"lora.down": torch.zeros(2)})


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ("VAE", "first_stage_model.quant_conv.bias"),
        ("VAE", "first_stage_model.decoder."),
        ("CLIP", "cond_stage_model.transformer.text_model.final_layer_norm.weight"),
    ],
)
def test_an_incomplete_vae_or_text_encoder_is_an_error_of_the_node_that_uses_it(
    place: Place, part: str, missing: str
) -> None:
    tensors = {name: tensor for name, tensor in (_unet() | _vae() | _text()).items() if not name.startswith(missing)}
    models = _load(place, tensors)
    blocked = getattr(models, part)
    assert isinstance(blocked, Blocked) and blocked.fails and blocked.message is not None
    assert "m.safetensors: " in blocked.message and missing in blocked.message
    assert [name for name, model in models._asdict().items() if isinstance(model, Blocked)] == [part]


def test_an_incomplete_diffusion_model_is_an_error_of_the_loader(place: Place) -> None:
    tensors = _unet() | _vae()
    del tensors["model.diffusion_model.out.2.bias"]
    with pytest.raises(CheckpointError, match=r"missing: model\.diffusion_model\.out\.2\.bias"):
        _load(place, tensors)


def test_an_incomplete_vae_alone_is_an_error_of_the_loader(place: Place) -> None:
    tensors = _vae()
    del tensors["first_stage_model.quant_conv.bias"]
    with pytest.raises(CheckpointError, match=r"missing: first_stage_model\.quant_conv\.bias"):
        _load(place, tensors)


def test_nan_is_found_when_the_model_is_used(place: Place) -> None:
    tensors = _vae()
    tensors["first_stage_model.decoder.conv_in.weight"][0, 0, 0, 0] = float("nan")
    vae = _load(place, tensors).VAE
    with pytest.raises(CheckpointError, match=r"first_stage_model\.decoder\.conv_in\.weight' holds NaN"):
        decode(autoencoder(vae), torch.zeros(1, 4, 8, 8))


def test_a_pytorch_checkpoint_gives_the_same_picture(place: Place) -> None:
    latent = torch.randn(1, 4, 4, 4)
    expected = decode(autoencoder(_load(place, _vae()).VAE), latent)
    torch.save({"state_dict": _vae()}, _path(place, "checkpoints").with_suffix(".ckpt"))
    models = loaders.checkpoint_loader_simple(ckpt_name="m.ckpt", context=place)  # type: ignore[arg-type]
    assert torch.equal(decode(autoencoder(models.VAE), latent), expected)


def test_models_in_files_of_their_own(place: Place) -> None:
    context: Any = place
    for folder, tensors in (("diffusion_models", _unet()), ("text_encoders", _text()), ("vae", _vae())):
        save_file(tensors, _path(place, folder))
    name = "m.safetensors"
    assert loaders.unet_loader(unet_name=name, weight_dtype="default", context=context).config == UNET
    assert loaders.clip_loader(clip_name=name, type="stable_diffusion", context=context).encoder("l").config == TEXT
    assert loaders.vae_loader(vae_name=name, context=context).config == VAE
    with pytest.raises(CheckpointError, match="'sd3' are not supported"):
        loaders.clip_loader(clip_name=name, type="sd3", context=context)


@pytest.mark.parametrize(
    ("config", "prediction"),
    [
        ("model: {params: {parameterization: v}}", "v"),
        ("model: {params: {linear_start: 0.00085}}", "eps"),
        ("unrelated: 1", "eps"),
    ],
)
def test_a_configuration_says_what_is_predicted(place: Place, config: str, prediction: str) -> None:
    context: Any = place
    _load(place, _unet())
    (_path(place, "configs").parent / "c.yaml").write_text(config)
    models = loaders.checkpoint_loader(config_name="c.yaml", ckpt_name="m.safetensors", context=context)
    assert models.MODEL.sampling.prediction == prediction


def test_a_configuration_that_is_none(place: Place) -> None:
    context: Any = place
    _load(place, _unet())
    (_path(place, "configs").parent / "c.yaml").write_text("{")
    with pytest.raises(CheckpointError, match="not a YAML configuration"):
        loaders.checkpoint_loader(config_name="c.yaml", ckpt_name="m.safetensors", context=context)


def test_the_key_follows_the_file(place: Place) -> None:
    _load(place, _unet())
    state = loaders.checkpoint_loader_simple.node_type.fingerprint  # type: ignore[attr-defined]
    before = state(ckpt_name="m.safetensors", folders=place.folders)
    assert state(ckpt_name="m.safetensors", folders=place.folders) == before
    os.utime(_path(place, "checkpoints"), ns=(1, 1))
    assert state(ckpt_name="m.safetensors", folders=place.folders) != before


def test_a_name_outside_the_folder_is_refused(place: Place) -> None:
    with pytest.raises(InputFileError):
        loaders.vae_loader(vae_name="../m.safetensors", context=place)  # type: ignore[arg-type]


def test_loading_a_safetensors_checkpoint_imports_no_torch() -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from types import SimpleNamespace\n"
        "from nodes import model_folders\n"
        "from nodes.models.nodes import checkpoint_loader_simple\n"
        "context = SimpleNamespace(folders=model_folders.folders(Path(sys.argv[1])))\n"
        "models = checkpoint_loader_simple(ckpt_name='sumi-tiny.safetensors', context=context)\n"
        "assert models.VAE.config.factor == 8\n"
        "assert not {'torch', 'numpy', 'transformers', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(Path(__file__).parents[3])], check=True)
