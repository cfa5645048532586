"""The nodes that encode prompts for SDXL and its refiner, with small checkpoints in their layouts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nodes import device
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import text_encoder_in
from nodes.models.handle import Clip
from nodes.text.nodes import clip_text_encode, clip_text_encode_sdxl, clip_text_encode_sdxl_refiner
from nodes.text.tokenizer import PromptError
from tests.oracle.small_checkpoints import OPENAI, REFINER, SDXL

CHECKPOINT = Path(__file__).parents[3] / "models" / "checkpoints" / "sumi-tiny.safetensors"
SIZES = {"width": 1000, "height": 800, "crop_w": 8, "crop_h": 16, "target_width": 640, "target_height": 512}


@pytest.fixture(scope="module", autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = SDXL.write(tmp_path_factory.mktemp("sdxl") / "model.safetensors")
    return text_encoder_in(Checkpoint.open(path), None)


def test_each_encoder_reads_its_own_prompt(clip: Clip) -> None:
    [[embedding, options]] = clip_text_encode_sdxl(clip=clip, text_g="a cat", text_l="a dog", **SIZES)
    [[cat, cat_options]], [[dog, _]] = (clip_text_encode(clip=clip, text=text) for text in ("a cat", "a dog"))
    assert torch.equal(embedding[..., : OPENAI.width], dog[..., : OPENAI.width])
    assert torch.equal(embedding[..., OPENAI.width :], cat[..., OPENAI.width :])
    assert torch.equal(options.pop("pooled_output"), cat_options["pooled_output"])
    assert options == SIZES


def test_one_prompt_for_both_is_the_plain_encoding(clip: Clip) -> None:
    [[embedding, _]] = clip_text_encode_sdxl(clip=clip, text_g="a (red:1.3) cat", text_l="a (red:1.3) cat")
    [[expected, _]] = clip_text_encode(clip=clip, text="a (red:1.3) cat")
    assert torch.equal(embedding, expected)


def test_the_shorter_prompt_is_filled_up_with_empty_chunks(clip: Clip) -> None:
    long = "many words " * 60
    [[embedding, _]] = clip_text_encode_sdxl(clip=clip, text_g=long, text_l="a dog")
    [[plain, _]], [[dog, _]], [[empty, _]] = (clip_text_encode(clip=clip, text=text) for text in (long, "a dog", ""))
    assert embedding.shape == plain.shape == (1, 154, plain.shape[2])
    short = torch.cat([dog, empty], dim=1)[..., : OPENAI.width]
    assert torch.equal(embedding[..., : OPENAI.width], short)
    assert torch.equal(embedding[..., OPENAI.width :], plain[..., OPENAI.width :])


def test_other_clips_are_refused(tmp_path: Path) -> None:
    for path, found in ((CHECKPOINT, "l"), (REFINER.write(tmp_path / "refiner.safetensors"), "g")):
        clip = text_encoder_in(Checkpoint.open(path), None)
        with pytest.raises(PromptError, match=rf"this CLIP has \['{found}'\]; expected the CLIP of an SDXL model"):
            clip_text_encode_sdxl(clip=clip, text_g="a", text_l="b")


def test_the_refiner_gets_a_score_and_a_size(tmp_path: Path) -> None:
    clip = text_encoder_in(Checkpoint.open(REFINER.write(tmp_path / "refiner.safetensors")), None)
    [[embedding, options]] = clip_text_encode_sdxl_refiner(clip=clip, text="a cat", ascore=4.5, width=900, height=700)
    [[expected, plain]] = clip_text_encode(clip=clip, text="a cat")
    assert torch.equal(embedding, expected)
    pooled = options.pop("pooled_output")
    assert torch.equal(pooled, plain["pooled_output"])
    assert options == {"aesthetic_score": 4.5, "width": 900, "height": 700}
