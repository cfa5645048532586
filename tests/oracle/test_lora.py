"""LoRA files as PEFT, diffusers and kohya-ss write them, against these libraries' own networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import BOFTConfig, LoHaConfig, LoKrConfig, LoraConfig, OFTConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from nodes.lora.application import Applied, apply
from nodes.lora.key_names import kohya_names
from nodes.lora.sources import LoraFile
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.diffusers_names import diffusers_names
from nodes.models.handle import Clip, Model
from tests.oracle.diffusers_unet import diffusers_unet
from tests.oracle.small_checkpoints import OPENAI, SD2, SDXL, Small

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.0.proj"]
CONVOLUTIONS = ["conv1", "conv2", "downsamplers.0.conv", "conv_shortcut"]


@pytest.fixture
def sd2(tmp_path: Path) -> Checkpoint:
    return Checkpoint.open(SD2.write(tmp_path / "sd2.safetensors"))


def applied(path: Path, model: Model | None, clip: Clip | None = None, strength: float = 1.0) -> Applied:
    return apply(LoraFile.open(Checkpoint.open(path)), model, clip, strength, strength)


def inputs(small: Small) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(1, 4, 8, 8, generator=generator)
    text = torch.randn(1, 77, small.unet.context_width, generator=generator)
    width = small.unet.adm_in_channels
    return x, torch.tensor([500]), text, None if width is None else torch.randn(1, width, generator=generator)


@torch.no_grad()
def ours(model: Model, small: Small) -> Tensor:
    x, timesteps, text, vector = inputs(small)
    return model.network()(x, timesteps.float(), text, vector)


@torch.no_grad()
def theirs(unet: Any, small: Small) -> Tensor:
    x, timesteps, text, _ = inputs(small)
    return unet(x, timesteps, text).sample


def randomized(network: Any) -> Any:
    generator = torch.Generator().manual_seed(6)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            kept = parameter.data if "magnitude" in name or "boft_s" in name else 0
            parameter.data = kept + torch.randn(parameter.shape, generator=generator) * 0.1
    return network


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, lora_alpha=4, target_modules=ATTENTION + CONVOLUTIONS),
        LoraConfig(r=4, lora_alpha=4, use_dora=True, target_modules=ATTENTION),
        LoHaConfig(r=4, alpha=4, target_modules=ATTENTION + CONVOLUTIONS),
        LoHaConfig(r=4, alpha=4, use_effective_conv2d=True, target_modules=CONVOLUTIONS),
        LoKrConfig(r=4, alpha=4, target_modules=ATTENTION + CONVOLUTIONS),
        LoKrConfig(r=2, alpha=2, decompose_both=True, decompose_factor=8, target_modules=ATTENTION),
        LoKrConfig(r=2, alpha=2, use_effective_conv2d=True, target_modules=CONVOLUTIONS),
        OFTConfig(r=0, oft_block_size=32, use_cayley_neumann=False, target_modules=ATTENTION),
        BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=2, target_modules=ATTENTION),
    ],
    ids=["lora", "dora", "loha", "loha-tucker", "lokr", "lokr-factors", "lokr-tucker", "oft", "boft"],
)
@pytest.mark.parametrize("prefix", ["base_model.model.", "unet."])
def test_the_unet_agrees_with_peft(config: Any, prefix: str, sd2: Checkpoint, tmp_path: Path) -> None:
    unet = randomized(get_peft_model(diffusers_unet(SD2.unet, SD2.weights()), config))
    state = get_peft_model_state_dict(unet)
    named = {prefix + name.removeprefix("base_model.model."): tensor for name, tensor in state.items()}
    save_file({name: tensor.clone().contiguous() for name, tensor in named.items()}, tmp_path / "lora.safetensors")
    model = contents.model_in(sd2)
    result = applied(tmp_path / "lora.safetensors", model)
    assert result.warnings == () and result.model is not None
    found = ours(result.model, SD2)
    assert (found - ours(model, SD2)).abs().max() > 0.002
    torch.testing.assert_close(found, theirs(unet, SD2), rtol=1e-4, atol=1e-4)


def test_alphas_from_diffusers_metadata(sd2: Checkpoint, tmp_path: Path) -> None:
    """diffusers keeps PEFT's configuration in the file, and no tensor ``alpha``."""
    target = ["to_q", "to_k"]
    settings = LoraConfig(r=4, lora_alpha=2, alpha_pattern={"attn2.to_k": 8}, use_rslora=True, target_modules=target)
    unet = randomized(get_peft_model(diffusers_unet(SD2.unet, SD2.weights()), settings))
    state = {
        "unet." + name.removeprefix("base_model.model."): tensor.clone()
        for name, tensor in get_peft_model_state_dict(unet).items()
    }
    stated = {"r": 4, "lora_alpha": 2, "alpha_pattern": {"attn2.to_k": 8}, "use_rslora": True}
    metadata = json.dumps({f"unet.{name}": value for name, value in stated.items()})
    save_file(state, tmp_path / "lora.safetensors", {"format": "pt", "lora_adapter_metadata": metadata})
    model = applied(tmp_path / "lora.safetensors", contents.model_in(sd2)).model
    assert model is not None
    torch.testing.assert_close(ours(model, SD2), theirs(unet, SD2), rtol=1e-3, atol=1e-3)


def kohya_style(layer: str, ours: str, ending: str) -> str:
    return f"lora_unet_{layer.replace('.', '_')}.lora_{ending}.weight"


SPELLINGS = {
    "kohya": kohya_style,
    "kohya, the network's names": lambda layer, ours, ending: kohya_style(ours, ours, ending),
    "LyCORIS": lambda layer, ours, ending: f"lycoris_{layer.replace('.', '_')}.lora_{ending}.weight",
    "diffusers": lambda layer, ours, ending: f"unet.{layer}.lora.{ending}.weight",
    "lora_linear_layer": lambda layer, ours, ending: f"unet.{layer}.lora_linear_layer.{ending}.weight",
    "adapter's name": lambda layer, ours, ending: f"{layer}.lora_{'AB'[ending == 'up']}.default.weight",
    "ComfyUI": lambda layer, ours, ending: f"diffusion_model.{ours}.lora_{ending}.weight",
    "checkpoint": lambda layer, ours, ending: f"model.diffusion_model.{ours}.lora_{ending}.weight",
}


@pytest.mark.parametrize("style", SPELLINGS)
@pytest.mark.parametrize("small", [SD2, SDXL], ids=["sd2", "sdxl"])
def test_every_spelling_names_the_same_layers(style: str, small: Small, tmp_path: Path) -> None:
    model = contents.model_in(Checkpoint.open(small.write(tmp_path / "model.safetensors")))
    generator = torch.Generator().manual_seed(7)
    names, shapes = diffusers_names(model.config), {n: t.shape for n, t in small.weights().items()}
    tensors, expected = {}, {}
    for ours_, layer in names.items():
        shape = shapes.get(f"{ours_}.weight", ())
        if len(shape) > 1:
            up = torch.randn(shape[0], 2, *(1 for _ in shape[2:]), generator=generator) * 0.05
            down = torch.randn(2, *shape[1:], generator=generator) * 0.05
            tensors[SPELLINGS[style](layer, ours_, "up")] = up
            tensors[SPELLINGS[style](layer, ours_, "down")] = down
            expected[f"{ours_}.weight"] = small.weights()[f"{ours_}.weight"] + (
                up.flatten(1) @ down.flatten(1)
            ).reshape(shape)
    save_file(tensors, tmp_path / "lora.safetensors")
    result = applied(tmp_path / "lora.safetensors", model)
    assert result.warnings == () and result.model is not None
    state = result.model.network().state_dict()
    for name, weight in expected.items():
        torch.testing.assert_close(state[name].reshape(weight.shape), weight, rtol=1e-5, atol=1e-5)


def test_old_attention_processors_name_the_list_of_the_output(sd2: Checkpoint, tmp_path: Path) -> None:
    """diffusers before PEFT: ``attn1.processor.to_out_lora.down.weight``, U-Net alone or with ``unet.`` before."""
    model = contents.model_in(sd2)
    place = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor"
    layer = "input_blocks.1.1.transformer_blocks.0.attn1.to_out.0.weight"
    up, down = torch.randn(64, 3), torch.randn(3, 64)
    tensors = {f"{place}.to_out_lora.up.weight": up, f"{place}.to_out_lora.down.weight": down}
    for prefix in ("", "unet."):
        save_file({prefix + name: tensor for name, tensor in tensors.items()}, tmp_path / "lora.safetensors")
        changed = applied(tmp_path / "lora.safetensors", model).model
        assert changed is not None
        expected = SD2.weights()[layer] + up @ down
        torch.testing.assert_close(changed.network().state_dict()[layer], expected)


@pytest.mark.parametrize("prefix", ["text_encoder.", "base_model.model."])
def test_the_text_encoder_agrees_with_peft(prefix: str, tmp_path: Path) -> None:
    clip = contents.text_encoder_in(Checkpoint.open(SDXL.write(tmp_path / "model.safetensors")))
    encoder = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=OPENAI.width,
            num_hidden_layers=OPENAI.layers,
            intermediate_size=OPENAI.mlp,
            num_attention_heads=OPENAI.heads,
        )
    )
    # transformers 5 leaves out "text_model." in the names; files of both kinds are read.
    inner = "" if hasattr(encoder, "text_model") else "text_model."
    encoder.load_state_dict({name.removeprefix(inner): t for name, t in SDXL.text_weights("l").items()})
    config = LoraConfig(r=4, lora_alpha=4, target_modules=["q_proj", "out_proj", "fc1"])
    peft = randomized(get_peft_model(encoder.eval(), config))
    state = {
        prefix + name.removeprefix("base_model.model."): tensor.clone()
        for name, tensor in get_peft_model_state_dict(peft).items()
    }
    save_file(state, tmp_path / "lora.safetensors")
    result = applied(tmp_path / "lora.safetensors", None, clip)
    assert result.warnings == () and result.clip is not None
    peft.merge_adapter()
    weights = result.clip.encoder("l").network().state_dict()
    for name, merged in peft.named_parameters():
        if "lora_" not in name:
            name = inner + name.removeprefix("base_model.model.").replace(".base_layer", "")
            torch.testing.assert_close(weights[name], merged, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("first", "second"),
    [("lora_te1_", "lora_te2_"), ("text_encoder.", "text_encoder_2."), ("clip_l.transformer.", "clip_g.transformer.")],
)
def test_both_text_encoders_of_sdxl(first: str, second: str, tmp_path: Path) -> None:
    clip = contents.text_encoder_in(Checkpoint.open(SDXL.write(tmp_path / "model.safetensors")))
    layer = "text_model.encoder.layers.1.mlp.fc2"
    tensors = {}
    for prefix, width, mlp in ((first, 64, 128), (second, 128, 256)):
        key = prefix + (layer.replace(".", "_") if prefix.startswith("lora_") else layer)
        tensors |= {f"{key}.lora_up.weight": torch.ones(width, 1), f"{key}.lora_down.weight": torch.ones(1, mlp)}
    save_file(tensors, tmp_path / "lora.safetensors")
    result = applied(tmp_path / "lora.safetensors", None, clip, strength=0.5)
    assert result.warnings == () and result.clip is not None
    for encoder in result.clip.encoders:
        plain = SDXL.text_weights(encoder.role.name)[f"{layer}.weight"]
        torch.testing.assert_close(encoder.network().state_dict()[f"{layer}.weight"], plain + 0.5)


def test_names_of_training_are_read(sd2: Checkpoint) -> None:
    model = contents.model_in(sd2)
    assert set(kohya_names(model.config)) <= set(diffusers_names(model.config))
