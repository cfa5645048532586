"""The small CLIP that comes with Sumi: its files are listed, open, and know what the embedded model draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nodes import device, registry
from nodes.explain.clip_similarity import similarities
from nodes.model_folders import folders
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.sampling.nodes import ksampler
from nodes.text.nodes import clip_text_encode
from nodes.vae.nodes import vae_decode
from nodes.vision.handle import clip_vision_in

MODELS = Path(__file__).parents[2] / "models"
NAME = "sumi-tiny-clip.safetensors"
CAPTIONS = ["a red apple", "a green apple", "a yellow star", "a cat", "a blue car", "a house", "a banana"]
CHINESE = ["一个红色的苹果", "一个绿色的苹果", "一颗黄色的星星", "一只猫", "一辆蓝色的汽车", "一座房子", "一根香蕉"]


@pytest.fixture(scope="module", autouse=True)
def precision() -> Iterator[None]:
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def drawn() -> torch.Tensor:
    """Pictures of the first and the third caption, drawn by the embedded model."""
    checkpoint = Checkpoint.open(MODELS / "checkpoints" / "sumi-tiny.safetensors")
    clip, vae = contents.text_encoder_in(checkpoint), contents.vae_in(checkpoint)
    context: Any = type("Quiet", (), {"progress": lambda *_: None, "check_interrupted": lambda _: None})()
    pictures = []
    for text in (CAPTIONS[0], CAPTIONS[2]):
        latent = ksampler(
            context=context,
            model=contents.model_in(checkpoint),
            seed=3,
            steps=8,
            cfg=5.0,
            sampler_name="dpmpp_2m",
            scheduler="karras",
            positive=clip_text_encode(text=text, clip=clip),
            negative=clip_text_encode(text="", clip=clip),
            latent_image={"samples": torch.zeros(1, 4, 16, 16)},
        )
        pictures.append(vae_decode(samples=latent, vae=vae))
    return torch.cat(pictures)


@pytest.mark.parametrize("captions", [CAPTIONS, CHINESE], ids=["English", "Chinese"])
def test_it_names_what_the_embedded_model_draws(captions: list[str], drawn: torch.Tensor) -> None:
    clip = contents.text_encoder_in(Checkpoint.open(MODELS / "text_encoders" / NAME))
    vision = clip_vision_in(Checkpoint.open(MODELS / "clip_vision" / NAME))
    found = similarities(clip, vision, drawn, captions)
    assert found.cosines.argmax(1).tolist() == [0, 2]
    assert found.of_texts()[0, 0] > 0.5 and found.of_texts()[1, 2] > 0.5


def test_its_files_are_small_and_have_transformers_names() -> None:
    files = [MODELS / folder / NAME for folder in ("text_encoders", "clip_vision")]
    assert sum(path.stat().st_size for path in files) < 8_000_000
    text, image = (load_file(path) for path in files)
    assert {tensor.dtype for tensor in (*text.values(), *image.values())} == {torch.float16}
    assert text["text_projection.weight"].shape[0] == image["visual_projection.weight"].shape[0]
    assert float(text["logit_scale"]) > 2
    table = text["text_model.embeddings.token_embedding.weight"]
    assert table.shape == (49408, 64) and 300 < int(table.any(1).sum()) < 700


def test_the_loaders_list_them() -> None:
    types = registry()
    for name in ("CLIPLoader", "CLIPVisionLoader"):
        folder = next(each.files for each in types[name].inputs if each.files)
        assert NAME in folders(MODELS.parent).names(folder)
