"""unCLIP: pictures among the conditions of a run, and the loaders of image encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graph.results import Blocked
from nodes import device
from nodes.conditioning.nodes import unclip_conditioning
from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.contents import AbsentModelError, model_in
from nodes.models.unet_config import UNetConfig
from nodes.models.unet_config import expected_shapes as unet_shapes
from nodes.models.vision_config import VisionConfig
from nodes.models.vision_config import expected_shapes as vision_shapes
from nodes.sampling.image_vector import PictureEmbeddingError
from nodes.vision.handle import ClipVisionOutput, clip_vision_in
from nodes.vision.nodes import (
    clip_vision_encode,
    clip_vision_loader,
    image_only_checkpoint_loader,
    unclip_checkpoint_loader,
)
from tests.nodes.control.small_control import sampled, text
from tests.oracle.control_networks import random_tensors
from tests.oracle.diffusers_unet import PREFIX, random_weights
from tests.oracle.small_checkpoints import OPENCLIP, openclip_layout, random_text
from tests.oracle.test_vision import SMALL
from tests.oracle.test_vision import openclip_layout as visual_layout

UNCLIP = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2),
    res_blocks=(1, 1),
    input_depth=(1, 1),
    output_depth=(1, 1, 1, 1),
    context_width=OPENCLIP.width,
    linear_projections=True,
    adm_in_channels=2 * SMALL.projection,
)


@pytest.fixture(autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


def unclip_checkpoint(path: Path) -> Path:
    """In the layout of sd21-unclip-h.ckpt, without a VAE."""
    tensors = {PREFIX + name: tensor for name, tensor in random_weights(UNCLIP).items()}
    layout = openclip_layout(random_text(OPENCLIP, 1))
    tensors |= {f"cond_stage_model.model.{name}": tensor.contiguous() for name, tensor in layout.items()}
    tensors |= visual_layout(random_tensors(vision_shapes(SMALL)), "embedder.model.visual.")
    save_file(tensors, path)
    return path


def context_at(path: Path) -> Any:
    return SimpleNamespace(folders=SimpleNamespace(find=lambda folder, name: path, models={}))


def output(seed: int, width: int = SMALL.projection) -> ClipVisionOutput:
    embedding = torch.randn(1, width, generator=torch.Generator().manual_seed(seed))
    return ClipVisionOutput(torch.zeros(1), torch.zeros(1), embedding)


def test_the_unclip_loader_opens_all_models(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    models = unclip_checkpoint_loader(ckpt_name="m", context=context_at(unclip_checkpoint(tmp_path / "m.safetensors")))
    assert models.MODEL.family.name == "sd2_unclip_h" and models.CLIP_VISION.config == SMALL
    assert isinstance(models.VAE, Blocked) and not caplog.records
    encoded = clip_vision_encode(clip_vision=models.CLIP_VISION, image=torch.rand(1, 60, 60, 3), crop="center")
    positive = unclip_conditioning(conditioning=text(1, OPENCLIP.width), clip_vision_output=encoded)
    latent = sampled(models.MODEL, positive, text(2, OPENCLIP.width))
    assert latent.isfinite().all()


def test_pictures_steer_a_run(tmp_path: Path) -> None:
    model = model_in(Checkpoint.open(unclip_checkpoint(tmp_path / "m.safetensors")))
    width = OPENCLIP.width

    def run(*pictures: tuple[int, Mapping[str, Any]]) -> Tensor:
        positive = text(1, width)
        for seed, options in pictures:
            positive = unclip_conditioning(conditioning=positive, clip_vision_output=output(seed), **options)
        return sampled(model, positive, text(2, width))

    plain, one = run(), run((1, {}))
    assert torch.equal(run((1, {"strength": 0.0})), plain)
    found = [plain, one, run((2, {})), run((1, {}), (2, {})), run((1, {"noise_augmentation": 0.6}))]
    found.append(run((1, {"strength": 0.5})))
    for number, latent in enumerate(found):
        assert all(not torch.allclose(latent, other) for other in found[:number])
    assert torch.equal(run((1, {"noise_augmentation": 0.6})), found[4])  # the same seed, the same noise
    with pytest.raises(PictureEmbeddingError, match="64 wide, but SD2 unCLIP H takes 40"):
        conditioning = unclip_conditioning(conditioning=text(1, width), clip_vision_output=output(1, 64))
        sampled(model, conditioning, text(2, width))


def test_sdxl_takes_a_picture_in_place_of_the_pooled_text(tmp_path: Path) -> None:
    config = replace(UNCLIP, input_depth=(0, 1), output_depth=(1, 1, 0, 0), context_width=48, adm_in_channels=40 + 1536)
    save_file({PREFIX + name: tensor for name, tensor in random_weights(config).items()}, tmp_path / "m.safetensors")
    model = model_in(Checkpoint.open(tmp_path / "m.safetensors"))
    assert model.family.name == "sdxl"
    from nodes.sampling.vector_conditioning import vector

    picture = output(1)
    entry = unclip_conditioning(conditioning=text(1, 48), clip_vision_output=picture)[0][1]
    found, plain = vector(model, entry, 8, 8), vector(model, {}, 8, 8)
    assert found is not None and plain is not None
    torch.testing.assert_close(found[:, :40], picture.image_embeds, atol=0.05, rtol=0.05)  # noise of the lowest level
    assert torch.equal(found[:, 40:], plain[:, 40:])


def test_a_video_checkpoint_gives_its_image_encoder(tmp_path: Path) -> None:
    config = replace(UNCLIP, in_channels=8)
    names = unet_shapes(config)
    tensors = {PREFIX + name: torch.zeros(shape) for name, shape in names.items()}
    tensors[f"{PREFIX}input_blocks.1.1.time_stack.0.norm1.weight"] = torch.zeros(64)
    vision = random_tensors(vision_shapes(SMALL))
    tensors |= visual_layout(vision, "conditioner.embedders.0.open_clip.model.visual.")
    save_file(tensors, tmp_path / "svd.safetensors")
    models = image_only_checkpoint_loader(ckpt_name="svd", context=context_at(tmp_path / "svd.safetensors"))
    assert models.CLIP_VISION.config == SMALL
    assert isinstance(models.MODEL, Blocked) and isinstance(models.VAE, Blocked)
    assert "a model for videos" in models.MODEL.message
    with pytest.raises(AbsentModelError, match="videos"):
        model_in(Checkpoint.open(tmp_path / "svd.safetensors"))


def test_a_file_without_any_of_the_models_is_an_error(tmp_path: Path) -> None:
    save_file({"lora_unet_x.lora_up.weight": torch.zeros(1)}, tmp_path / "l.safetensors")
    for loader in (image_only_checkpoint_loader, unclip_checkpoint_loader):
        with pytest.raises(CheckpointError, match="it is a LoRA"):
            loader(ckpt_name="l", context=context_at(tmp_path / "l.safetensors"))
    with pytest.raises(AbsentModelError, match="is a LoRA; expected an image encoder such as CLIP ViT-L"):
        clip_vision_loader(clip_name="l", context=context_at(tmp_path / "l.safetensors"))


def test_other_image_encoders_are_an_error(tmp_path: Path) -> None:
    tensors = random_tensors(vision_shapes(VisionConfig(64, 1, 64, 14, 28, 32)))
    del tensors["vision_model.embeddings.class_embedding"]
    save_file(tensors, tmp_path / "s.safetensors")
    with pytest.raises(CheckpointError, match="class_embedding' is missing; expected CLIP ViT-L"):
        clip_vision_in(Checkpoint.open(tmp_path / "s.safetensors"))
    tensors["vision_model.embeddings.patch_embedding.bias"] = torch.zeros(64)
    save_file(tensors, tmp_path / "s.safetensors")
    with pytest.raises(CheckpointError, match="a SigLIP image encoder, which Sumi does not run; expected CLIP ViT-L"):
        clip_vision_in(Checkpoint.open(tmp_path / "s.safetensors"))
