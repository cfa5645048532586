"""A prompt becomes a conditioning."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nodes.models.checkpoint import Checkpoint, CheckpointError
from nodes.models.contents import text_encoder_in
from nodes.models.handle import Clip
from nodes.models.text_config import CHECKPOINT_PREFIX
from nodes.text.encoding import encode_tokens
from nodes.text.nodes import clip_encode_tokens, clip_set_last_layer, clip_text_encode, clip_tokenize
from nodes.text.prompt import tokenize_prompt
from nodes.text.tokenizer import PromptError
from nodes.text.tokens import Token, describe


def encode(clip: Clip, text: str) -> torch.Tensor:
    return encode_tokens(clip, tokenize_prompt(clip, text))[0]


def test_shapes_and_types(clip: Clip) -> None:
    embedding, pooled = encode_tokens(clip, tokenize_prompt(clip, "a cat"))
    assert embedding.shape == (1, 77, 64) and pooled.shape == (1, 64)
    assert embedding.dtype == pooled.dtype == torch.float32
    assert not embedding.requires_grad and not embedding.is_inference()


def test_a_weight_scales_the_distance_from_the_empty_prompt(clip: Clip) -> None:
    plain, empty = encode(clip, "a red cat"), encode(clip, "")
    weighted = encode(clip, "a (red:1.7) cat")
    expected = plain.clone()
    expected[0, 2] = empty[0, 2] + 1.7 * (plain[0, 2] - empty[0, 2])
    assert torch.allclose(weighted, expected, atol=1e-6)
    assert torch.allclose(encode(clip, "(a red cat:0)")[0, 1:4], empty[0, 1:4], atol=1e-6)


def test_chunks_are_encoded_alone_and_joined(clip: Clip) -> None:
    both = encode(clip, "cat " * 75 + "dog")
    assert both.shape == (1, 154, 64)
    assert torch.allclose(both[:, :77], encode(clip, "cat " * 75), atol=1e-5)
    assert torch.allclose(both[:, 77:], encode(clip, "dog"), atol=1e-5)


def test_pooled_is_the_first_chunk_s(clip: Clip) -> None:
    pooled = encode_tokens(clip, tokenize_prompt(clip, "cat " * 75 + "(dog:1.5)"))[1]
    assert torch.allclose(pooled, encode_tokens(clip, tokenize_prompt(clip, "cat " * 75))[1], atol=1e-5)


def test_ten_thousand_words(clip: Clip) -> None:
    assert encode(clip, "cat " * 10_000).shape == (1, 134 * 77, 64)


def test_layers_count_from_the_end(clip: Clip, caplog: pytest.LogCaptureFixture) -> None:
    last = encode(clip, "a cat")
    assert torch.equal(encode(clip_set_last_layer(clip=clip, stop_at_clip_layer=-1), "a cat"), last)
    outputs = [encode(replace(clip, layer=layer), "a cat") for layer in (-1, -2, -3)]
    assert all(not torch.allclose(outputs[i], outputs[j]) for i in range(3) for j in range(i))
    with caplog.at_level(logging.WARNING):
        assert torch.equal(encode(clip_set_last_layer(clip=clip, stop_at_clip_layer=-4), "a cat"), last)
    assert "has 3 layers" in caplog.text


def test_the_pooled_output_does_not_skip_layers(clip: Clip) -> None:
    tokens = tokenize_prompt(clip, "a cat")
    assert torch.equal(encode_tokens(replace(clip, layer=-2), tokens)[1], encode_tokens(clip, tokens)[1])


def test_the_stages_give_what_the_one_node_gives(clip: Clip) -> None:
    shown = clip_tokenize(text="a (red:1.2) cat", clip=clip)
    [tokens] = shown.values
    assert shown.ui == {"text": [describe(tokens)]} == {"text": ["l 1/1 (3 tokens): a</w> red</w>×1.2 cat</w>"]}
    [[staged, staged_options]] = clip_encode_tokens(tokens=tokens, clip=clip)
    [[whole, options]] = clip_text_encode(text="a (red:1.2) cat", clip=clip)
    assert torch.equal(staged, whole)
    assert torch.equal(staged_options["pooled_output"], options["pooled_output"])


def test_vectors_are_read_in_the_place_of_ids(clip: Clip, checkpoint: Path, tmp_path: Path) -> None:
    from nodes.model_folders import folders

    table = load_file(checkpoint)[CHECKPOINT_PREFIX + "text_model.embeddings.token_embedding.weight"]
    [cat] = [token[0] for token in tokenize_prompt(clip, "cat")["l"][0] if token[2] == "cat</w>"]
    (tmp_path / "models/embeddings").mkdir(parents=True)
    save_file({"emb_params": table[[320, cat]].clone()}, tmp_path / "models/embeddings/cat.safetensors")
    with_folders = replace(clip, folders=folders(tmp_path))
    assert torch.allclose(encode(with_folders, "(embedding:cat:1.3)"), encode(clip, "(a cat:1.3)"), atol=1e-6)


def test_handles_are_light_and_compared_by_value(clip: Clip, checkpoint: Path) -> None:
    again = text_encoder_in(Checkpoint.open(checkpoint))
    assert again == clip and hash(again) == hash(clip)
    assert again.encoder("l").network() is clip.encoder("l").network()
    assert replace(clip, layer=-2) != clip


def test_tokens_of_another_model_are_refused(clip: Clip) -> None:
    other: list[list[Token]] = tokenize_prompt(clip, "")["l"]
    with pytest.raises(PromptError, match=r"encoders \['g'\]; this model's are \['l'\]"):
        encode_tokens(clip, {"g": other})


def test_missing_and_misshapen_tensors_are_named(checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(checkpoint)
    lost = CHECKPOINT_PREFIX + "text_model.encoder.layers.1.self_attn.k_proj.bias"
    bent = CHECKPOINT_PREFIX + "text_model.final_layer_norm.weight"
    save_file({name: tensor for name, tensor in weights.items() if name != lost}, tmp_path / "lost.safetensors")
    with pytest.raises(CheckpointError, match=lost):
        text_encoder_in(Checkpoint.open(tmp_path / "lost.safetensors"))
    save_file({**weights, bent: torch.ones(63)}, tmp_path / "bent.safetensors")
    with pytest.raises(CheckpointError, match=rf"{bent} is \[63\] instead of \[64\]"):
        text_encoder_in(Checkpoint.open(tmp_path / "bent.safetensors"))
