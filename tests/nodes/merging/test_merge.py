"""Merged models against the arithmetic of their weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nodes.lora.application import apply
from nodes.lora.key_names import kohya_names
from nodes.lora.sources import LoadedLora
from nodes.merging import nodes
from nodes.merging.block_nodes import model_merge_sd1, model_merge_sdxl
from nodes.merging.merge import MergeError
from nodes.models import contents, residency
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Clip, Model
from nodes.models.unet_config import UNetConfig, expected_shapes
from tests.oracle.diffusers_unet import PREFIX
from tests.oracle.small_checkpoints import SD2, SDXL, Small

NAME = "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"


def checkpoint(small: Small, path: Path, seed: int) -> Checkpoint:
    """A checkpoint whose weights differ from those of other seeds."""
    small.write(path)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: tensor + torch.randn(tensor.shape, generator=generator) * 0.05 if tensor.ndim else tensor
        for name, tensor in load_file(path).items()
    }
    save_file(tensors, path)
    return Checkpoint.open(path)


@pytest.fixture
def models(tmp_path: Path) -> list[Model]:
    return [contents.model_in(checkpoint(SD2, tmp_path / f"{seed}.safetensors", seed)) for seed in range(3)]


def state(handle: Any) -> dict[str, Tensor]:
    found: dict[str, Tensor] = handle.network().state_dict()
    return found


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.77, 1.0])
def test_a_ratio_mixes_the_weights(ratio: float, models: list[Model]) -> None:
    merged = nodes.model_merge_simple(model1=models[0], model2=models[1], ratio=ratio)
    first, second = state(models[0]), state(models[1])
    for name, weight in state(merged).items():
        torch.testing.assert_close(weight, ratio * first[name] + (1 - ratio) * second[name])


def test_the_ends_and_a_merge_with_itself_are_exact(models: list[Model]) -> None:
    first, second = models[:2]
    for ratio, expected in ((1.0, first), (0.0, second)):
        merged = nodes.model_merge_simple(model1=first, model2=second, ratio=ratio)
        assert all(torch.equal(weight, state(expected)[name]) for name, weight in state(merged).items())
    merged = nodes.model_merge_simple(model1=first, model2=first, ratio=0.37)
    assert all(torch.equal(weight, state(first)[name]) for name, weight in state(merged).items())


def test_a_difference_is_added_to_a_third_model(models: list[Model]) -> None:
    a, b, c = models
    difference = nodes.model_merge_subtract(model1=b, model2=c, multiplier=0.5)
    merged = nodes.model_merge_add(model1=a, model2=difference)
    first, second, third = state(a), state(b), state(c)
    for name, weight in state(merged).items():
        torch.testing.assert_close(weight, first[name] + 0.5 * (second[name] - third[name]), rtol=1e-5, atol=1e-6)


def test_blocks_have_their_own_ratios(models: list[Model]) -> None:
    merged = nodes.model_merge_blocks(model1=models[0], model2=models[1], input=0.2, middle=0.5, out=0.9)
    first, second = state(models[0]), state(models[1])
    for name, weight in state(merged).items():
        ratio = 0.5 if name.startswith("middle") else 0.9 if name.startswith("out") else 0.2
        torch.testing.assert_close(weight, ratio * first[name] + (1 - ratio) * second[name])


def test_every_block_has_a_slider(models: list[Model], tmp_path: Path) -> None:
    inputs = [declared.name for declared in model_merge_sd1.node_type.inputs[2:]]  # type: ignore[attr-defined]
    ratios = {name: number / len(inputs) for number, name in enumerate(inputs)}
    merged = model_merge_sd1(model1=models[0], model2=models[1], **ratios)
    first, second = state(models[0]), state(models[1])
    for name, weight in state(merged).items():
        ratio = next(ratios[key] for key in inputs if name.startswith(key))
        torch.testing.assert_close(weight, ratio * first[name] + (1 - ratio) * second[name])
    sdxl = [contents.model_in(checkpoint(SDXL, tmp_path / f"x{seed}.safetensors", seed)) for seed in range(2)]
    keys = [declared.name for declared in model_merge_sdxl.node_type.inputs[2:]]  # type: ignore[attr-defined]
    merged = model_merge_sdxl(model1=sdxl[0], model2=sdxl[1], **{key: 0.5 for key in keys})
    torch.testing.assert_close(state(merged)[NAME.replace("1.1", "3.1")], (lambda a, b: (a + b) / 2)(
        *(state(model)[NAME.replace("1.1", "3.1")] for model in sdxl)
    ))  # fmt: skip


def test_loras_of_either_model_are_part_of_it(models: list[Model]) -> None:
    key = kohya_names(models[0].config)[NAME.removesuffix(".weight")]
    lora = LoadedLora.of({f"{key}.lora_up.weight": torch.ones(64, 1), f"{key}.lora_down.weight": torch.ones(1, 64)})
    first, second = (
        apply(lora, model, None, strength, 0.0).model for model, strength in zip(models, (1, 3), strict=False)
    )
    assert first is not None and second is not None
    merged = nodes.model_merge_simple(model1=first, model2=second, ratio=0.25)
    plain = 0.25 * (state(models[0])[NAME] + 1) + 0.75 * (state(models[1])[NAME] + 3)
    torch.testing.assert_close(state(merged)[NAME], plain)
    after = apply(lora, merged, None, 2.0, 0.0).model
    torch.testing.assert_close(state(after)[NAME], plain + 2)


def test_equal_merges_share_their_layers(models: list[Model]) -> None:
    one, two = (nodes.model_merge_simple(model1=models[0], model2=models[1], ratio=0.5) for _ in "12")
    assert one == two and hash(one) == hash(two)
    assert state(one)[NAME].data_ptr() == state(two)[NAME].data_ptr()
    before = state(models[0])[NAME].clone()
    residency.free()
    assert torch.equal(state(models[0])[NAME], before)


def test_models_of_different_families_are_refused(models: list[Model], tmp_path: Path) -> None:
    other = contents.model_in(Checkpoint.open(SDXL.write(tmp_path / "other.safetensors")))
    with pytest.raises(MergeError, match=r"0\.safetensors and other\.safetensors are different networks \(.*SDXL\)"):
        nodes.model_merge_add(model1=models[0], model2=other)


def unet_file(path: Path, config: UNetConfig, seed: int) -> Model:
    generator = torch.Generator().manual_seed(seed)
    shapes = expected_shapes(config)
    save_file({PREFIX + name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}, path)
    return contents.model_in(Checkpoint.open(path))


def test_an_inpainting_model_takes_the_style_of_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The usual recipe: custom + (inpainting - base). The input layer of 9 channels stays the inpainting model's."""
    wide = replace(SD2.unet, in_channels=9)
    inpainting = unet_file(tmp_path / "i.safetensors", wide, 1)
    base, custom = (unet_file(tmp_path / f"{seed}.safetensors", SD2.unet, seed) for seed in (2, 3))
    difference = nodes.model_merge_subtract(model1=inpainting, model2=base, multiplier=1.0)
    merged = nodes.model_merge_add(model1=difference, model2=custom)
    assert merged.config.in_channels == 9
    first, second, third = state(inpainting), state(base), state(custom)
    found = state(merged)
    assert torch.equal(found["input_blocks.0.0.weight"], first["input_blocks.0.0.weight"])
    torch.testing.assert_close(found[NAME], first[NAME] - second[NAME] + third[NAME])
    assert "1 tensors have another shape in model2 and were not merged: input_blocks.0.0.weight" in caplog.text


def clips(tmp_path: Path) -> list[Clip]:
    files = [checkpoint(SDXL, tmp_path / f"clip{seed}.safetensors", seed) for seed in range(2)]
    return [contents.text_encoder_in(file) for file in files]


@pytest.mark.slow
def test_text_encoders_merge_one_by_one(tmp_path: Path) -> None:
    first, second = clips(tmp_path)
    simple = nodes.clip_merge_simple(clip1=first, clip2=second, ratio=0.25)
    difference = nodes.clip_merge_subtract(clip1=first, clip2=second, multiplier=2.0)
    total = nodes.clip_merge_add(clip1=first, clip2=second)
    for name in ("l", "g"):
        a, b = (state(clip.encoder(name)) for clip in (first, second))
        for key in a:
            torch.testing.assert_close(state(simple.encoder(name))[key], 0.25 * a[key] + 0.75 * b[key])
            torch.testing.assert_close(
                state(difference.encoder(name))[key], 2 * (a[key] - b[key]), rtol=1e-5, atol=1e-6
            )
            torch.testing.assert_close(state(total.encoder(name))[key], a[key] + b[key])


def test_other_text_encoders_are_refused(tmp_path: Path) -> None:
    first = clips(tmp_path)[0]
    other = contents.text_encoder_in(Checkpoint.open(SD2.write(tmp_path / "sd2.safetensors")))
    with pytest.raises(MergeError, match=r"clip1 has CLIP ViT-L .*, clip2 OpenCLIP ViT-H; expected the same text"):
        nodes.clip_merge_add(clip1=first, clip2=other)
