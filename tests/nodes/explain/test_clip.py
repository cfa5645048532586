"""CLIP's similarities against transformers' CLIPModel on the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from nodes.explain.clip_nodes import explain_clip_similarity
from nodes.explain.clip_similarity import similarities
from nodes.explain.errors import ExplainError
from nodes.models import contents
from nodes.models.checkpoint import Checkpoint
from nodes.models.handle import Clip
from nodes.text.tokenizer import END, START, tokenize
from nodes.vision.handle import ClipVision, clip_vision_in
from nodes.vision.pictures import normalized
from tests.nodes.explain.small_runs import family

TEXTS = ["a red apple", "一只熊猫 (panda:1.5)", "a very long text " * 40, ""]


def clip_model(patch: int = 32, side: int = 64, width: int = 128, layers: int = 2) -> Any:
    """transformers' CLIP, small, with random weights."""
    torch.manual_seed(4)
    text = CLIPTextConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=1,
        projection_dim=48,
        eos_token_id=END,
        bos_token_id=START,
    )
    vision = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        image_size=side,
        patch_size=patch,
        projection_dim=48,
    )
    config = CLIPConfig(projection_dim=48, text_config=text.to_dict(), vision_config=vision.to_dict())
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        model.logit_scale.fill_(3.2)
    return model


def opened(path: Path) -> tuple[Clip, ClipVision]:
    checkpoint = Checkpoint.open(path)
    return contents.text_encoder_in(checkpoint), clip_vision_in(checkpoint)


def write(model: Any, folder: Path, *, split: bool = False) -> tuple[Clip, ClipVision]:
    """The model in one file, as CLIP's own repositories have it, or in one file for each encoder."""
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if "position_ids" not in name}
    if not split:
        save_file(tensors, folder / "clip.safetensors")
        return opened(folder / "clip.safetensors")
    for name, starts in (("text", ("text_", "logit")), ("image", ("vision_", "visual_"))):
        part = {key: tensor for key, tensor in tensors.items() if key.startswith(starts)}
        save_file(part, folder / f"{name}.safetensors")
    text, image = Checkpoint.open(folder / "text.safetensors"), Checkpoint.open(folder / "image.safetensors")
    return contents.text_encoder_in(text), clip_vision_in(image)


def pictures(count: int = 3) -> Tensor:
    return torch.rand(count, 80, 70, 3, generator=torch.Generator().manual_seed(8))


@torch.no_grad()
def expected(model: Any, side: int = 64) -> Any:
    ids = [[START, *[piece.id for piece in tokenize(text)][:75], END] for text in TEXTS]
    padded = torch.tensor([row + [END] * (77 - len(row)) for row in ids])
    return model(input_ids=padded, pixel_values=normalized(pictures(), side, crop=True))


@pytest.mark.parametrize(("patch", "side"), [(32, 64), (14, 56)])
@pytest.mark.parametrize("split", [False, True])
def test_similarities_are_those_of_transformers(patch: int, side: int, split: bool, tmp_path: Path) -> None:
    model = clip_model(patch, side)
    clip, vision = write(model, tmp_path, split=split)
    assert (vision.config.patch_size, vision.config.image_size) == (patch, side)
    found = similarities(clip, vision, pictures(), TEXTS)
    theirs = expected(model, side)
    assert torch.allclose(found.scale * found.cosines, theirs.logits_per_image, atol=1e-3)
    assert torch.allclose(found.of_texts(), theirs.logits_per_image.softmax(1), atol=1e-4)
    assert torch.allclose(found.of_pictures().T, theirs.logits_per_text.softmax(1), atol=1e-4)


def test_without_a_logit_scale_clips_usual_one_is_used(tmp_path: Path) -> None:
    model = clip_model()
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name != "logit_scale"}
    save_file(tensors, tmp_path / "clip.safetensors")
    assert similarities(*opened(tmp_path / "clip.safetensors"), pictures(1), ["a"]).scale == pytest.approx(100.0)


def test_the_node_ranks_captions_and_pictures(tmp_path: Path, context: Any) -> None:
    model = clip_model()
    clip, vision = write(model, tmp_path)
    given = {"clip": clip, "clip_vision": vision, "image": pictures(), "context": context}
    lines = "\n".join(text for text in TEXTS if text) + "\n\n"
    logits = expected(model).logits_per_image[:, :3]
    result = explain_clip_similarity(**given, captions=lines)
    picture, table, best = result.values
    assert best.splitlines() == [TEXTS[int(index)].strip() for index in logits.argmax(1)]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert len(rows) == 9 and [row[1] for row in rows[:3]] == ["1", "2", "3"]
    assert [row[2] for row in rows[3:6]] == [TEXTS[int(at)].strip() for at in logits[1].argsort(descending=True)]
    assert float(rows[0][4].removesuffix("%")) == pytest.approx(100 * float(logits[0].softmax(0).max()), abs=0.1)
    turned = explain_clip_similarity(**given, captions=lines, ranking="pictures for each caption").values[1]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in turned.splitlines()[2:]]
    assert [int(row[2]) - 1 for row in rows[:3]] == logits[:, 0].argsort(descending=True).tolist()
    assert picture.shape[2:] == (900, 3) and result.ui["text"] == [table]


def test_encoders_that_do_not_belong_together_are_refused(tmp_path: Path, context: Any) -> None:
    _, vision = write(clip_model(), tmp_path)
    with pytest.raises(ExplainError, match=r"no projection.*projects to 48 numbers.*text_projection"):
        similarities(family("sd1", tmp_path).clip, vision, pictures(1), ["a"])
    with pytest.raises(ExplainError, match="projection to 96"):
        similarities(family("sdxl", tmp_path).clip, vision, pictures(1), ["a"])
    with pytest.raises(ExplainError, match="one caption per line"):
        explain_clip_similarity(
            clip=write(clip_model(), tmp_path)[0],
            clip_vision=vision,
            image=pictures(1),
            captions=" \n",
            context=context,
        )
