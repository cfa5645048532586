"""The files that training writes, in diffusers: single files and LoRAs. Nothing is downloaded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from nodes.lora.key_names import kohya_names
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.unet_config import UNetConfig
from nodes.text.tokenizer import merges, vocabulary
from nodes.training.adapters import new_tensors
from nodes.training.captions import token_ids
from nodes.training.networks import autoencoder_of, text_path_of, unet_of
from nodes.training.start import Sizes, write_random_model
from tests.oracle.diffusers_unet import diffusers_kwargs

SIZES = Sizes(channels=32, multipliers=(1, 2), text_width=64, text_layers=2, vae_widths=(32, 32, 32, 32))


@pytest.fixture(scope="module")
def single_file(tmp_path_factory):
    """A checkpoint as training writes it, with no layer left at zero."""
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    write_random_model(path, SIZES, seed=1)
    tensors = load_file(path)
    generator = torch.Generator().manual_seed(2)
    for name in ("model.diffusion_model.out.2.weight", "model.diffusion_model.out.2.bias"):
        tensors[name] = torch.randn(tensors[name].shape, generator=generator) * 0.1
    save_file(tensors, path)
    return path


def unet_settings(config: UNetConfig) -> dict:
    return diffusers_kwargs(config)


@pytest.fixture(scope="module")
def configuration(single_file, tmp_path_factory):
    """A folder with the configuration of a pipeline of the same sizes, as `save_pretrained` lays it out."""
    folder = tmp_path_factory.mktemp("configuration")
    config = contents.model_in(Checkpoint.open(single_file)).config
    words = folder / "words"
    words.mkdir()
    (words / "vocab.json").write_text(json.dumps(vocabulary()))
    (words / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges()))
    pipeline = StableDiffusionPipeline(
        unet=UNet2DConditionModel(**unet_settings(config)),
        vae=AutoencoderKL(
            block_out_channels=SIZES.vae_widths,
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            layers_per_block=2,
            latent_channels=4,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=256)
        ),
        tokenizer=CLIPTokenizer(str(words / "vocab.json"), str(words / "merges.txt")),
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "pipeline")
    return folder / "pipeline"


@pytest.fixture(scope="module")
def pipeline(single_file, configuration):
    return StableDiffusionPipeline.from_single_file(
        str(single_file), config=str(configuration), local_files_only=True, safety_checker=None
    )


@torch.no_grad()
def test_a_single_file_gives_the_same_output_in_diffusers(single_file, pipeline):
    checkpoint = Checkpoint.open(single_file)
    unet = unet_of(contents.model_in(checkpoint))
    text = text_path_of(contents.text_encoder_in(checkpoint))
    vae = autoencoder_of(contents.vae_in(checkpoint))
    ids = token_ids("a red apple").unsqueeze(0)
    assert torch.equal(
        pipeline.tokenizer("a red apple", padding="max_length", max_length=77, return_tensors="pt").input_ids, ids
    )
    context = text(ids).hidden
    torch.testing.assert_close(pipeline.text_encoder(ids)[0], context, rtol=1e-4, atol=1e-4)
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    timesteps = torch.tensor([500])
    expected = pipeline.unet(x, timesteps, context).sample
    torch.testing.assert_close(unet(x, timesteps, context), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(vae.decode(x), pipeline.vae.decode(x).sample, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_lora_gives_the_same_output_in_diffusers(single_file, pipeline, tmp_path):
    model = contents.model_in(Checkpoint.open(single_file))
    shapes = {name: tensor.shape for name, tensor in unet_of(model).state_dict().items()}
    generator = torch.Generator().manual_seed(4)
    lora = {}
    for layer, name in kohya_names(model.config).items():
        for ending, tensor in new_tensors("LoRA", tuple(shapes[f"{layer}.weight"]), 4, generator).items():
            lora[f"{name}.{ending}"] = torch.randn(tensor.shape, generator=generator) * 0.05
        lora[f"{name}.alpha"] = torch.tensor(2.0)
    save_file(lora, tmp_path / "lora.safetensors")

    from nodes.training.lora import with_lora

    x = torch.randn(1, 4, 8, 8, generator=generator)
    context = torch.randn(1, 77, 64, generator=generator)
    timesteps = torch.tensor([500])
    before = pipeline.unet(x, timesteps, context).sample
    pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors", local_files_only=True)
    expected = pipeline.unet(x, timesteps, context).sample
    pipeline.unload_lora_weights()
    assert (expected - before).abs().max() > 0.1
    found = unet_of(with_lora(model, lora, 1.0))(x, timesteps, context)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    weaker = unet_of(replace(with_lora(model, lora, 0.5)))(x, timesteps, context)
    assert not torch.allclose(weaker, found, atol=1e-2)
