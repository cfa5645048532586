"""Tokens and text encodings against transformers."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import text_encoder_in
from nodes.models.handle import Clip, TextEncoder
from nodes.models.text_config import CHECKPOINT_PREFIX, TextConfig, expected_shapes, text_prefixes
from nodes.models.text_roles import SD1_TEXT
from nodes.models.weights import weights_at
from nodes.text.encoding import encode_tokens
from nodes.text.prompt import tokenize_prompt
from nodes.text.tokenizer import merges, tokenize, vocabulary

MODELS = Path(__file__).parents[2] / "models/checkpoints"
PROMPTS = ["", "a photo of a red apple", "一个红苹果 🍎", "cat " * 75]
TOLERANCE = 1e-5


@cache
def oracle_tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer(vocab=vocabulary(), merges=merges())  # type: ignore[arg-type]


def check_ids(text: str) -> None:
    assert [piece.id for piece in tokenize(text)] == oracle_tokenizer()(text, add_special_tokens=False)["input_ids"]


PIECES = st.sampled_from(["<|startoftext|>", "<|endoftext|>", "'s", "'LL", "&amp;", "\u200d", "\ufe0f", " ", "ﬁ", "9"])
TEXT = st.one_of(
    st.text(),
    st.lists(st.one_of(PIECES, st.text(max_size=4))).map("".join),
    st.text(alphabet=st.characters(max_codepoint=0x24F)),
    st.text(alphabet=st.characters(min_codepoint=0x3000, max_codepoint=0x9FFF)),
    st.text(alphabet=st.characters(min_codepoint=0x1F000, max_codepoint=0x1FAFF)),
)


@settings(max_examples=1000, deadline=None)
@given(TEXT)
@example("I'M don't WE'RE x's \x00 \u2028 e\u0301 ΟΔΟΣ İ ½ ² ٣")
def test_any_text_has_transformers_ids(text: str) -> None:
    check_ids(text)


@pytest.mark.slow
@settings(max_examples=50_000, deadline=None)
@given(TEXT)
def test_any_text_has_transformers_ids_at_length(text: str) -> None:
    check_ids(text)


def oracle(config: TextConfig, weights: dict[str, torch.Tensor]) -> CLIPTextModelWithProjection:
    model = CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=config.mlp,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            hidden_act=config.activation,
            projection_dim=config.projection or config.width,
            bos_token_id=49406,
            eos_token_id=49407,
        )
    ).eval()
    if config.projection is None:
        weights = {**weights, "text_projection.weight": torch.eye(config.width)}
    model.load_state_dict(weights)
    return model


@torch.no_grad()
def check_encodings(clip: Clip, model: CLIPTextModelWithProjection) -> None:
    """Every layer's output and the pooled one, for several prompts of one chunk."""
    norm = model.text_model.final_layer_norm
    for prompt in PROMPTS:
        tokens = tokenize_prompt(clip, prompt)
        ids = torch.tensor([[token[0] for token in tokens["l"][0]]])
        out = model(ids, output_hidden_states=True)
        for layer in range(-clip.encoder("l").config.layers, 0):
            embedding, pooled = encode_tokens(replace(clip, layer=layer), tokens)
            assert (embedding - norm(out.hidden_states[layer])).abs().max() < TOLERANCE
            assert (pooled - out.text_embeds).abs().max() < TOLERANCE


@pytest.mark.parametrize(
    ("config", "prefix"),
    [
        (TextConfig(width=128, layers=3, mlp=512), CHECKPOINT_PREFIX),
        (TextConfig(width=128, layers=2, mlp=256, projection=96), ""),
        (TextConfig(width=128, layers=2, mlp=256, activation="gelu"), "text_encoder."),
    ],
)
def test_random_weights(config: TextConfig, prefix: str, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: torch.randn(shape, generator=generator) * (0.5 / shape[-1] ** 0.5) + (".layer_norm" in name)
        for name, shape in expected_shapes(config).items()
    }
    path = tmp_path / "clip.safetensors"
    save_file({prefix + name: tensor for name, tensor in weights.items()}, path)
    weights_of_file = weights_at(Checkpoint.open(path), prefix, config, expected_shapes(config))
    clip = Clip((TextEncoder(weights_of_file, SD1_TEXT[0]),))
    check_encodings(clip, oracle(config, weights))


def test_the_embedded_model() -> None:
    path = MODELS / "sumi-tiny.safetensors"
    checkpoint = Checkpoint.open(path)
    assert text_prefixes(checkpoint.shapes) == [CHECKPOINT_PREFIX]
    clip = text_encoder_in(checkpoint)
    weights = {
        name.removeprefix(CHECKPOINT_PREFIX): tensor.float()
        for name, tensor in load_file(path).items()
        if name.startswith(CHECKPOINT_PREFIX)
    }
    check_encodings(clip, oracle(clip.encoder("l").config, weights))
