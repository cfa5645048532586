"""CLIP's image encoders against transformers, and the noise of unCLIP against diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.models.embeddings import get_timestep_embedding
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from nodes import device
from nodes.models.checkpoint import Checkpoint
from nodes.models.vision_config import VisionConfig, detect_vision, expected_shapes
from nodes.sampling.image_vector import image_vector
from nodes.vision.encoding import encode_pictures
from nodes.vision.handle import ClipVisionOutput, clip_vision_in
from nodes.vision.pictures import normalized
from tests.oracle.control_networks import random_tensors

SMALL = VisionConfig(width=64, layers=3, mlp=128, patch_size=14, image_size=56, projection=40)
LARGE = VisionConfig(width=1280, layers=2, mlp=96, patch_size=14, image_size=28, projection=32)


@pytest.fixture(scope="module", autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


def oracle(config: VisionConfig, weights: dict[str, Tensor]) -> Any:
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            intermediate_size=config.mlp,
            num_attention_heads=config.heads,
            image_size=config.image_size,
            patch_size=config.patch_size,
            projection_dim=config.projection,
            hidden_act=config.activation,
        )
    )
    model.load_state_dict(weights, strict=False)
    return model.eval()


def openclip_layout(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights as OpenAI's CLIP and open_clip keep them."""
    names = {
        "vision_model.embeddings.class_embedding": "class_embedding",
        "vision_model.embeddings.position_embedding.weight": "positional_embedding",
        "vision_model.embeddings.patch_embedding.weight": "conv1.weight",
        "visual_projection.weight": "proj",
    }
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name == "visual_projection.weight":
            found["proj"] = tensor.T.contiguous()
        elif name in names:
            found[names[name]] = tensor
        elif ".self_attn." in name and "out_proj" not in name:
            if "q_proj" in name:
                parts = [weights[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
                layer, ending = name.split(".")[3], name.rpartition(".")[2]
                found[f"transformer.resblocks.{layer}.attn.in_proj_{ending}"] = torch.cat(parts)
        else:
            short = name.removeprefix("vision_model.").replace("encoder.layers", "transformer.resblocks")
            for ours, theirs in (
                *(("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post"), ("layer_norm1", "ln_1")),
                *(("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")),
                ("self_attn.out_proj", "attn.out_proj"),
            ):
                short = short.replace(ours, theirs)
            found[short] = tensor
    return {prefix + name: tensor for name, tensor in found.items()}


@pytest.mark.parametrize("config", [SMALL, LARGE], ids=["quick-gelu", "gelu"])
@pytest.mark.parametrize("layout", ["transformers", "visual.", "embedder.model.visual."])
@torch.no_grad()
def test_encodings_agree_with_transformers(config: VisionConfig, layout: str, tmp_path: Path) -> None:
    weights = random_tensors(expected_shapes(config))
    stored = weights if layout == "transformers" else openclip_layout(weights, layout)
    save_file(stored, tmp_path / "v.safetensors")
    vision = clip_vision_in(Checkpoint.open(tmp_path / "v.safetensors"))
    assert vision.config == config
    pictures = torch.rand(2, 80, 60, 3, generator=torch.Generator().manual_seed(2))
    ours = encode_pictures(vision, pictures)
    pixels = normalized(pictures, config.image_size, crop=True)
    theirs = oracle(config, weights)(pixels, output_hidden_states=True)
    for found, expected in (
        (ours.image_embeds, theirs.image_embeds),
        (ours.last_hidden_state, theirs.hidden_states[-1]),
        (ours["penultimate_hidden_states"], theirs.hidden_states[-2]),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(300, 200), (64, 64), (160, 400), (224, 224)])
def test_pictures_agree_with_transformers_processor(size: tuple[int, int]) -> None:
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    smooth = [127 + 120 * np.sin(rows / a + columns / b) for a, b in ((9, 31), (17, 13), (40, 8))]
    picture = np.stack(smooth, axis=-1).astype(np.uint8)
    expected = CLIPImageProcessor()(PIL.Image.fromarray(picture), return_tensors="pt")["pixel_values"]
    ours = normalized(torch.from_numpy(picture).float()[None] / 255, 224, crop=True)
    step = 1 / 255 / 0.26
    # Pillow rounds after each direction, torch once; the processor rounds sizes down.
    assert (ours - expected).abs().mean() < 1.5 * step


def test_without_a_crop_pictures_are_squeezed() -> None:
    halves = torch.zeros(1, 20, 100, 3)
    halves[:, :, 50:] = 1
    squeezed = normalized(halves, 28, crop=False)
    assert squeezed.shape == (1, 3, 28, 28)
    assert (squeezed[..., :12] < -1).all() and (squeezed[..., 16:] > 1).all()


@pytest.mark.parametrize(
    ("config", "heads", "activation"),
    [
        (VisionConfig(), 16, "quick_gelu"),
        (VisionConfig(image_size=336), 16, "quick_gelu"),
        (VisionConfig(1280, 32, 5120, 14, 224, 1024), 16, "gelu"),
        (VisionConfig(1664, 48, 8192, 14, 224, 1280), 16, "gelu"),
        (VisionConfig(768, 12, 3072, 32, 224, 512), 12, "quick_gelu"),
    ],
    ids=["L", "L-336", "H", "bigG", "B-32"],
)
def test_published_encoders_are_read_from_their_shapes(config: VisionConfig, heads: int, activation: str) -> None:
    from nodes.vision.clip import ClipVision

    assert detect_vision(expected_shapes(config)) == config
    assert (config.heads, config.activation) == (heads, activation)
    with torch.device("meta"):
        network = ClipVision(config)
    assert {name: tuple(t.shape) for name, t in network.state_dict().items()} == expected_shapes(config)


def output(*embeddings: Tensor) -> ClipVisionOutput:
    return ClipVisionOutput(torch.zeros(1), torch.zeros(1), torch.stack(embeddings))


def noised(embedding: Tensor, level: int, noise: Tensor) -> Tensor:
    """As diffusers' StableUnCLIPPipeline.noise_image_embeddings does, without statistics."""
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    t = torch.tensor([level])
    found = scheduler.add_noise(embedding, noise, t)
    return torch.cat([found, get_timestep_embedding(t, embedding.shape[1], True, 0)], dim=1)


@pytest.mark.parametrize(("augmentation", "level"), [(0.0, 0), (0.25, 250), (1.0, 999)])
def test_noise_of_a_picture_agrees_with_diffusers(augmentation: float, level: int) -> None:
    embedding = torch.randn(1, 32, generator=torch.Generator().manual_seed(1))
    picture = {"clip_vision_output": output(embedding[0]), "strength": 0.8, "noise_augmentation": augmentation}
    noise = torch.randn(1, 32, generator=torch.Generator().manual_seed(2**64 - 7))
    expected = 0.8 * noised(embedding, level, noise)
    torch.testing.assert_close(image_vector([picture], 32, 3, 0.05, "m"), expected, rtol=1e-4, atol=1e-4)


def test_several_pictures_add_up_with_a_little_noise() -> None:
    a, b, c = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    pictures = [
        {"clip_vision_output": output(a, b), "strength": 0.5, "noise_augmentation": 0.1},
        {"clip_vision_output": output(c), "strength": 1.5, "noise_augmentation": 0.0},
    ]
    generator = torch.Generator().manual_seed(33)
    noise, merging = torch.randn(1, 32, generator=generator), torch.randn(1, 32, generator=generator)
    parts = [0.5 * noised(a[None], 100, noise), 0.5 * noised(b[None], 100, noise), 1.5 * noised(c[None], 0, noise)]
    expected = noised(sum(parts)[:, :32], 50, merging)  # type: ignore[index]
    torch.testing.assert_close(image_vector(pictures, 32, 43, 0.05, "m"), expected, rtol=1e-4, atol=1e-4)
