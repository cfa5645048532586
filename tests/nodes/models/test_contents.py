"""Which models are detected in a file, and the errors for tensors that do not fit."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nodes.models import contents
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.text_config import TextConfig
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.models.unet_config import SD1, UNetConfig
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.vae_config import VaeConfig
from nodes.models.vae_config import expected_shapes as vae_shapes

EMBEDDED = Path(__file__).parents[3] / "models" / "checkpoints" / "sumi-tiny.safetensors"
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

Shapes = dict[str, tuple[int, ...]]


def _under(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


def _full() -> Shapes:
    return {
        **_under("model.diffusion_model.", unet_shapes(UNET)),
        **_under("first_stage_model.", vae_shapes(VAE)),
        **_under("cond_stage_model.transformer.", text_shapes(TEXT)),
    }


def _file(path: Path, shapes: Shapes) -> Checkpoint:
    tensors: dict[str, Tensor] = {name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}
    save_file(tensors, path)
    return Checkpoint.open(path)


def test_the_embedded_model_is_used_to_the_last_tensor(caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = Checkpoint.open(EMBEDDED)
    models = contents.model_in(checkpoint), contents.vae_in(checkpoint), contents.text_encoder_in(checkpoint)
    contents.warn_of_unused_tensors(checkpoint, [p for model in models for p in contents.prefixes_of(model)])
    assert not caplog.records
    model, vae, clip = models
    counted = sum(len(part.network().state_dict()) for part in (model, vae, clip.encoder("l")))
    assert counted == len(checkpoint.shapes) == 806


def test_sd15_has_1130_tensors() -> None:
    """The published file: 686 of the U-Net, 248 of the VAE, 196 of the text encoder, without position_ids."""
    assert len(unet_shapes(SD1)) + len(vae_shapes(VaeConfig())) + len(text_shapes(TextConfig())) == 1130
    assert UNetConfig().parameters == 859_520_964


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model.", ""])
def test_a_unet_alone(tmp_path: Path, prefix: str) -> None:
    model = contents.model_in(_file(tmp_path / "m.safetensors", _under(prefix, unet_shapes(UNET))))
    assert (model.config, model.weights.prefix) == (UNET, prefix)


@pytest.mark.parametrize("prefix", ["first_stage_model.", "vae.", ""])
def test_a_vae_alone(tmp_path: Path, prefix: str) -> None:
    vae = contents.vae_in(_file(tmp_path / "m.safetensors", _under(prefix, vae_shapes(VAE))))
    assert (vae.config, vae.weights.prefix) == (VAE, prefix)


@pytest.mark.parametrize("prefix", ["cond_stage_model.transformer.", "transformer.", ""])
def test_a_text_encoder_alone(tmp_path: Path, prefix: str) -> None:
    clip = contents.text_encoder_in(_file(tmp_path / "m.safetensors", _under(prefix, text_shapes(TEXT))))
    [encoder] = clip.encoders
    assert (encoder.config, encoder.weights.prefix, encoder.role.name) == (TEXT, prefix, "l")


def test_a_text_encoder_with_older_names(tmp_path: Path) -> None:
    shapes = {name.replace(".text_model.", "."): shape for name, shape in _full().items()}
    encoder = contents.text_encoder_in(_file(tmp_path / "m.safetensors", shapes)).encoder("l")
    assert encoder.config == TEXT
    assert set(encoder.network().state_dict()) == set(text_shapes(TEXT))


def test_equal_files_give_equal_handles(tmp_path: Path) -> None:
    checkpoint = _file(tmp_path / "m.safetensors", _full())
    again = Checkpoint.open(tmp_path / "m.safetensors")
    assert contents.model_in(checkpoint) == contents.model_in(again)
    assert hash(contents.vae_in(checkpoint)) == hash(contents.vae_in(again))
    save_file({name: torch.ones(shape) for name, shape in _full().items()}, tmp_path / "m.safetensors")
    assert contents.model_in(Checkpoint.open(tmp_path / "m.safetensors")) != contents.model_in(again)


def test_what_training_leaves_behind_is_not_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    left = {
        "alphas_cumprod": (1000,),
        "betas": (1000,),
        "sqrt_one_minus_alphas_cumprod": (1000,),
        "posterior_variance": (1000,),
        "model_ema.decay": (),
        "model_ema.diffusion_modelinput_blocks00weight": (2,),
        "first_stage_model.loss.logvar": (),
        "cond_stage_model.logit_scale": (),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": (1, 77),
    }
    checkpoint = _file(tmp_path / "m.safetensors", _full() | left)
    models = contents.model_in(checkpoint), contents.vae_in(checkpoint), contents.text_encoder_in(checkpoint)
    contents.warn_of_unused_tensors(checkpoint, [p for model in models for p in contents.prefixes_of(model)])
    assert not caplog.records


def test_surplus_tensors_are_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = _file(
        tmp_path / "m.safetensors", _full() | {"model.diffusion_model.adapter.weight": (2,), "safety.weight": (2,)}
    )
    with caplog.at_level(logging.WARNING):
        prefix = contents.model_in(checkpoint).weights.prefix
        contents.warn_of_unused_tensors(checkpoint, [prefix, "first_stage_model.", "cond_stage_model."])
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "model.diffusion_model.adapter.weight" in said
    assert "safety.weight" in said


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("model.diffusion_model.out.0.bias", contents.model_in),
        ("model.diffusion_model.out.2.weight", contents.model_in),
        ("first_stage_model.encoder.mid.attn_1.q.bias", contents.vae_in),
        ("first_stage_model.quant_conv.weight", contents.vae_in),
        ("first_stage_model.decoder.conv_out.weight", contents.vae_in),
        ("first_stage_model.encoder.down.0.block.0.conv1.weight", contents.vae_in),
        ("cond_stage_model.transformer.text_model.final_layer_norm.bias", contents.text_encoder_in),
    ],
)
def test_missing_and_misshapen_tensors_are_named(tmp_path: Path, name: str, read: object) -> None:
    shapes = _full()
    shape = shapes.pop(name)
    for damaged in (shapes, shapes | {name: (*shape, 3)}):
        with pytest.raises(CheckpointError) as caught:
            read(_file(tmp_path / "m.safetensors", damaged))  # type: ignore[operator]
        assert name in str(caught.value)
        assert "m.safetensors" in str(caught.value)


def test_many_missing_tensors_are_counted(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in vae_shapes(VAE).items() if "mid.attn_1" not in name}
    with pytest.raises(CheckpointError, match=r"decoder\.mid\.attn_1|encoder\.mid\.attn_1.* and 16 more"):
        contents.vae_in(_file(tmp_path / "m.safetensors", shapes))


def test_attention_may_be_written_as_linear_layers(tmp_path: Path) -> None:
    shapes = {name: shape[:2] if ".attn_1." in name else shape for name, shape in vae_shapes(VAE).items()}
    vae = contents.vae_in(_file(tmp_path / "m.safetensors", shapes))
    assert vae.network().decoder.mid.attn_1.q.weight.shape == (32, 32, 1, 1)


def test_a_file_without_the_model_says_which(tmp_path: Path) -> None:
    checkpoint = _file(tmp_path / "m.safetensors", {"weight": (2,)})
    for read, what in (
        (contents.model_in, "diffusion model"),
        (contents.vae_in, "VAE"),
        (contents.text_encoder_in, "CLIP text encoder"),
    ):
        with pytest.raises(contents.AbsentModelError, match=f"no {what}"):
            read(checkpoint)


def test_a_file_of_another_kind_is_named_for_what_it_is(tmp_path: Path) -> None:
    diffusers = _file(
        tmp_path / "d.safetensors", {"conv_in.weight": (1,), "down_blocks.0.resnets.0.norm1.weight": (1,)}
    )
    with pytest.raises(contents.AbsentModelError, match=r"U-Net in diffusers' layout; expected a .* original layout"):
        contents.model_in(diffusers)
    lora = _file(tmp_path / "l.safetensors", {"lora_unet_x.lora_up.weight": (1,)})
    with pytest.raises(contents.AbsentModelError, match="it is a LoRA; expected a VAE"):
        contents.vae_in(lora)
    with pytest.raises(contents.AbsentModelError, match="it is a VAE; expected a CLIP text encoder"):
        contents.text_encoder_in(_file(tmp_path / "v.safetensors", vae_shapes(VAE)))


def test_a_network_of_no_family_is_an_error_with_the_file(tmp_path: Path) -> None:
    shapes = _under("model.diffusion_model.", unet_shapes(replace(UNET, in_channels=5)))
    with pytest.raises(CheckpointError, match=r"m\.safetensors: a U-Net of an unknown family.*5 input"):
        contents.model_in(_file(tmp_path / "m.safetensors", shapes))


def test_a_checkpoint_without_one_of_its_encoders_names_it(tmp_path: Path) -> None:
    unet = replace(UNET, input_depth=(0, 1), output_depth=(1, 1, 0, 0), adm_in_channels=1600, linear_projections=True)
    shapes = {
        **_under("model.diffusion_model.", unet_shapes(unet)),
        **_under("conditioner.embedders.0.transformer.", text_shapes(TEXT)),
        **_under("conditioner.embedders.2.transformer.", text_shapes(TEXT)),
    }
    checkpoint = _file(tmp_path / "m.safetensors", shapes)
    with pytest.raises(contents.AbsentModelError, match=r"no OpenCLIP ViT-bigG, the text encoder of SDXL .*\.1\.model"):
        contents.text_encoder_in(checkpoint)
