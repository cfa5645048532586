"""LoRA files used by packs: applied at once, or layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nodes import device
from nodes.compat import provided
from nodes.compat.values import from_pack, to_pack
from nodes.lora.application import apply
from nodes.lora.errors import LoraError
from nodes.lora.sources import LoadedLora
from nodes.model_folders import folders
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.diffusers_names import diffusers_names
from nodes.models.handle import Clip, Model
from tests.oracle.small_checkpoints import OPENCLIP, SD2

QUERY = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
OUT = "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0"
NORM = "input_blocks.1.1.norm"
TEXT = "text_model.encoder.layers.0.mlp.fc1"
WIDTH = 64


@pytest.fixture(autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Clip]:
    base = tmp_path_factory.mktemp("loras")
    provided.install(folders(base))
    checkpoint = Checkpoint.open(SD2.write(base / "model.safetensors"))
    return contents.model_in(checkpoint), contents.text_encoder_in(checkpoint)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def lora() -> dict[str, Tensor]:
    """Layers of several kinds, in several spellings."""
    published = diffusers_names(SD2.unet)
    kohya = "lora_unet_" + published[QUERY].replace(".", "_")
    dotted = "unet." + published[OUT].removesuffix(".0")
    text = "lora_te_" + TEXT.replace(".", "_")
    return {
        f"{kohya}.lora_up.weight": numbers(WIDTH, 2),
        f"{kohya}.lora_down.weight": numbers(2, WIDTH, seed=1),
        f"{kohya}.alpha": torch.tensor(1.0),
        f"{kohya}.dora_scale": numbers(WIDTH, 1, seed=7).abs() + 1,
        f"{dotted}.lora_A.weight": numbers(2, WIDTH, seed=2),
        f"{dotted}.lora_B.weight": numbers(WIDTH, 2, seed=3),
        f"diffusion_model.{NORM}.w_norm": numbers(WIDTH, seed=4),
        f"diffusion_model.{NORM}.b_norm": numbers(WIDTH, seed=5),
        f"{text}.hada_w1_a": numbers(OPENCLIP.mlp, 2, seed=6),
        f"{text}.hada_w1_b": numbers(2, OPENCLIP.width, seed=7),
        f"{text}.hada_w2_a": numbers(OPENCLIP.mlp, 2, seed=8),
        f"{text}.hada_w2_b": numbers(2, OPENCLIP.width, seed=9),
    }


def weights(model: Any, clip: Any) -> dict[str, Tensor]:
    unet, encoder = from_pack(model).network().state_dict(), from_pack(clip).encoders[0].network().state_dict()
    names = [f"{QUERY}.weight", f"{OUT}.weight", f"{NORM}.weight", f"{NORM}.bias"]
    return {**{name: unet[name] for name in names}, TEXT: encoder[f"{TEXT}.weight"]}


def test_a_lora_at_once_is_what_the_node_applies(models: tuple[Model, Clip]) -> None:
    import comfy.sd

    model, clip = comfy.sd.load_lora_for_models(*map(to_pack, models), lora(), 0.5, -1.0)
    applied = apply(LoadedLora.of(lora()), *models, 0.5, -1.0)
    for name, expected in weights(applied.model, applied.clip).items():
        assert torch.equal(weights(model, clip)[name], expected), name
    assert comfy.sd.load_lora_for_models(to_pack(models[0]), None, lora(), 0.5, 0.0)[1] is None


def test_a_lora_layer_by_layer_is_the_same(models: tuple[Model, Clip]) -> None:
    import comfy.lora

    model, clip = map(to_pack, models)
    keys = comfy.lora.model_lora_keys_unet(model.model, {})
    keys = comfy.lora.model_lora_keys_clip(clip.cond_stage_model, keys)
    loaded = comfy.lora.load_lora(lora(), keys)
    changed, changed_clip = model.clone(), clip.clone()
    taken = {*changed.add_patches(loaded, 0.5), *changed_clip.add_patches(loaded, -1.0)}
    assert taken == set(loaded) and len(loaded) == 5
    applied = apply(LoadedLora.of(lora()), *models, 0.5, -1.0)
    for name, expected in weights(applied.model, applied.clip).items():
        torch.testing.assert_close(weights(changed, changed_clip)[name], expected)


def test_tensors_of_a_lora_can_be_read_and_scaled(models: tuple[Model, Clip]) -> None:
    """As in packs that scale a LoRA block by block."""
    import comfy.lora
    from comfy.weight_adapter import LoRAAdapter

    model = to_pack(models[0])
    loaded = comfy.lora.load_lora(lora(), comfy.lora.model_lora_keys_unet(model.model, {}))
    adapter = loaded[f"diffusion_model.{OUT}.weight"]
    assert isinstance(adapter, LoRAAdapter) and adapter.name == "lora"
    up, down, alpha, *_ = adapter.weights
    assert up.shape == (WIDTH, 2) and down.shape == (2, WIDTH) and alpha is None


def test_what_has_no_place_is_said(models: tuple[Model, Clip], caplog: pytest.LogCaptureFixture) -> None:
    import comfy.lora

    other = {"lora_unet_nowhere.lora_up.weight": numbers(4, 2), "lora_unet_nowhere.lora_down.weight": numbers(2, 4)}
    assert comfy.lora.load_lora(other, {}) == {}
    assert "2 of 2 tensors of a LoRA have no place" in caplog.text


def test_a_lora_of_another_family_is_an_error(models: tuple[Model, Clip]) -> None:
    import comfy.sd

    flux = "lora_unet_double_blocks_0_img_attn_qkv"
    tensors = {f"{flux}.lora_up.weight": numbers(8, 2), f"{flux}.lora_down.weight": numbers(2, 8)}
    with pytest.raises(LoraError, match="Flux"):
        comfy.sd.load_lora_for_models(to_pack(models[0]), None, tensors, 1.0, 0.0)


def test_loras_from_files(models: tuple[Model, Clip], tmp_path: Path) -> None:
    import comfy.sd
    import comfy.utils

    save_file({name: tensor.contiguous() for name, tensor in lora().items()}, tmp_path / "a.safetensors")
    read = comfy.utils.load_torch_file(str(tmp_path / "a.safetensors"), safe_load=True)
    model, clip = comfy.sd.load_lora_for_models(*map(to_pack, models), read, 1.0, 1.0)
    applied = apply(LoadedLora.of(lora()), *models, 1.0, 1.0)
    assert torch.equal(weights(model, clip)[TEXT], weights(applied.model, applied.clip)[TEXT])
