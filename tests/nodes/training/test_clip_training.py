"""Training a CLIP: it learns, and its files open in Sumi and in transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

from nodes import device
from nodes.text.tokenizer import END, START, tokenize
from nodes.training import dataset_nodes
from nodes.training.captions import token_ids
from nodes.training.clip_nodes import TrainedClip, new_clip, train_clip
from nodes.training.clip_start import ClipSizes
from nodes.training.contrastive import UsedTokens, contrastive_loss, text_vectors
from nodes.training.errors import TrainingError
from nodes.training.networks import text_path_of
from nodes.training.pictures import load_pictures
from nodes.vision.encoding import encode_pictures
from nodes.vision.pictures import normalized
from tests.nodes.training.conftest import COLOURS

SIZES = {"text_layers": 1, "image_layers": 1, "image_width": 64, "image_mlp": 64, "image_size": 16, "projection": 32}


@pytest.fixture(scope="module", autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


def trained(context: Any, folder: Any, **changes: Any) -> TrainedClip:
    start = new_clip(name="clip", **SIZES, context=context)
    data = dataset_nodes.load_captioned_pictures(folder=folder.name, context=context)
    options = {"steps": 25, "batch_size": 8, "learning_rate": 3e-3, "average_decay": 0.0, "precision": "fp32"} | changes
    result = train_clip(clip=start.CLIP, clip_vision=start.CLIP_VISION, dataset=data, context=context, **options)
    return TrainedClip(*result.values)


def test_a_trained_clip_knows_its_pictures_and_opens_in_transformers(context: Any, dataset_folder: Any) -> None:
    found = trained(context, dataset_folder, zero_unused_tokens=True)
    assert found.steps == 25 and found.loss["loss"][-1] < 0.5 * found.loss["loss"][0]
    pictures = load_pictures([dataset_folder / f"{name}.png" for name in COLOURS])
    shown = encode_pictures(found.CLIP_VISION, pictures).image_embeds
    path = text_path_of(found.CLIP)
    with torch.no_grad():
        said = path.encoder(torch.stack([token_ids(f"a {name} square") for name in COLOURS])).pooled
    assert (F.normalize(shown) @ F.normalize(said).T).argmax(1).tolist() == [0, 1, 2, 3]

    folder = context.folders.output / "training" / "clip"
    tensors = load_file(folder / "text_encoder.safetensors")
    assert tensors.pop("logit_scale").shape == () and {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    table = tensors["text_model.embeddings.token_embedding.weight"]
    used = {START, END, *(piece.id for name in COLOURS for piece in tokenize(f"a {name} square"))}
    assert set(table.abs().sum(1).nonzero().flatten().tolist()) == used
    text = CLIPTextModelWithProjection(
        CLIPTextConfig(
            hidden_size=64,
            intermediate_size=256,
            num_hidden_layers=1,
            num_attention_heads=1,
            projection_dim=32,
            eos_token_id=END,
        )
    )
    vision = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=1,
            image_size=16,
            patch_size=8,
            projection_dim=32,
        )
    )
    for model, weights in ((text, tensors), (vision, load_file(folder / "image_encoder.safetensors"))):
        missing, unexpected = model.load_state_dict(
            {name: value.float() for name, value in weights.items()}, strict=False
        )
        assert not unexpected and all(name.endswith("position_ids") for name in missing)
    with torch.no_grad():
        theirs = vision.eval()(normalized(pictures, 16, crop=True)).image_embeds
        assert torch.allclose(shown, theirs, atol=1e-4)
        ids = torch.stack([token_ids(f"a {name} square") for name in COLOURS])
        assert torch.allclose(said, text.eval()(ids).text_embeds, atol=1e-4)


def test_unused_tokens_keep_their_vectors_unless_told(context: Any, dataset_folder: Any) -> None:
    found = trained(context, dataset_folder, steps=1)
    before = load_file(context.folders.output / "training" / "clip" / "start_text_encoder.safetensors")
    after = load_file(found.CLIP.encoders[0].weights.path)
    name = "text_model.embeddings.token_embedding.weight"
    unused = tokenize("strawberry")[0].id
    assert torch.equal(after[name][unused], before[name][unused].half())
    assert not torch.equal(after[name][tokenize("red")[0].id], before[name][tokenize("red")[0].id].half())


def test_texts_encoded_in_groups_have_the_same_vectors(context: Any) -> None:
    encoder = text_path_of(new_clip(name="clip", **SIZES, context=context).CLIP).encoder
    texts = ["red", "a blue square " * 8, "", *["a green square"] * 40, "一个红色的苹果"]
    ids = torch.stack([token_ids(text) for text in texts])
    with torch.no_grad():
        assert torch.allclose(text_vectors(encoder, ids), encoder(ids).pooled, atol=1e-5)


def test_only_used_rows_are_trained() -> None:
    embedding = torch.nn.Embedding(10, 4)
    table = UsedTokens(embedding, torch.tensor([2, 5, 9]))
    assert torch.equal(table(torch.tensor([[5, 9, 2]])), embedding(torch.tensor([[5, 9, 2]])))
    whole = table.whole(torch.ones(3, 4), torch.zeros(10, 4))
    assert whole.sum(1).nonzero().flatten().tolist() == [2, 5, 9]


def test_the_loss_is_clips() -> None:
    pictures, texts, scale = torch.randn(5, 8), torch.randn(5, 8), torch.tensor(1.5)
    logits = scale.exp() * F.normalize(pictures) @ F.normalize(texts).T
    # arXiv:2103.00020, figure 3
    expected = (F.cross_entropy(logits, torch.arange(5)) + F.cross_entropy(logits.T, torch.arange(5))) / 2
    assert torch.allclose(contrastive_loss(pictures, texts, scale), expected)
    same = torch.eye(5, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    assert contrastive_loss(pictures, texts, scale, same) < expected
    assert contrastive_loss(pictures, texts, scale, torch.ones(5, 5, dtype=torch.bool)) == 0


def test_sizes_and_encoders_that_do_not_fit_are_refused(context: Any, dataset_folder: Any) -> None:
    with pytest.raises(TrainingError, match="multiple of patch_size, which is 8"):
        new_clip(name="odd", image_size=30, context=context)
    start = new_clip(name="a", **SIZES, context=context)
    other = new_clip(name="b", **{**SIZES, "projection": 64}, context=context)
    data = dataset_nodes.load_captioned_pictures(folder=dataset_folder.name, context=context)
    with pytest.raises(TrainingError, match="projects to 32 numbers, the image encoder to 64"):
        train_clip(clip=start.CLIP, clip_vision=other.CLIP_VISION, dataset=data, steps=1, context=context)
    assert ClipSizes().vision().positions == 65
