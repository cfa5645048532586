"""Text encoders of SD2 and SDXL, from their files' own layouts, against transformers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextModelWithProjection

from nodes import device
from nodes.model_folders import folders as installation
from nodes.models.checkpoint import Checkpoint
from nodes.models.contents import model_in, prefixes_of, text_encoder_in, warn_of_unused_tensors
from nodes.models.handle import Clip
from nodes.models.text_config import TextConfig
from nodes.models.text_config import expected_shapes as text_shapes
from nodes.text.encoding import encode_tokens
from nodes.text.nodes import clip_set_last_layer
from nodes.text.prompt import tokenize_prompt
from tests.oracle.small_checkpoints import OPENCLIP, REFINER, SD2, SDXL, Small, openclip_layout, random_text
from tests.oracle.test_text import oracle, oracle_tokenizer

TOLERANCE = 1e-5
PROMPTS = ["", "a photo of a red apple", "cat " * 75]


@pytest.fixture(scope="module", autouse=True)
def precision():
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("openclip")


@cache
def clip_of(small: str, place: Path) -> Clip:
    path = {"sd2": SD2, "sdxl": SDXL, "refiner": REFINER}[small].write(place / f"{small}.safetensors")
    return text_encoder_in(Checkpoint.open(path))


@cache
def their(small_name: str, name: str) -> CLIPTextModelWithProjection:
    small: Small = {"sd2": SD2, "sdxl": SDXL, "refiner": REFINER}[small_name]
    return oracle(small.encoders[name][1], small.text_weights(name))


def padded(prompt: str, padding: int) -> Tensor:
    """The ids of one chunk; transformers' tokenizers of OpenCLIP encoders pad with "!", which is 0."""
    ids = [49406, *oracle_tokenizer()(prompt, add_special_tokens=False)["input_ids"], 49407]
    return torch.tensor([ids + [padding] * (77 - len(ids))])


@torch.no_grad()
def hidden_and_pooled(model: CLIPTextModelWithProjection, ids: Tensor, layer: int, norm: bool) -> tuple[Tensor, Tensor]:
    out = model(ids, output_hidden_states=True)
    hidden = out.hidden_states[layer]
    return model.text_model.final_layer_norm(hidden) if norm else hidden, out.text_embeds


def agree(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < TOLERANCE * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_sd2_takes_the_layer_before_the_last_with_the_final_norm(prompt: str, place: Path) -> None:
    clip = clip_of("sd2", place)
    tokens = tokenize_prompt(clip, prompt)
    assert [token[0] for token in tokens["h"][0]] == padded(prompt, 0)[0].tolist()
    embedding, pooled = encode_tokens(clip, tokens)
    hidden, projected = hidden_and_pooled(their("sd2", "h"), padded(prompt, 0), -2, norm=True)
    agree(embedding, hidden)
    agree(pooled, projected)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_sdxl_joins_two_encoders_and_pools_the_second(prompt: str, place: Path) -> None:
    clip = clip_of("sdxl", place)
    tokens = tokenize_prompt(clip, prompt)
    assert list(tokens) == ["l", "g"]
    embedding, pooled = encode_tokens(clip, tokens)
    first, _ = hidden_and_pooled(their("sdxl", "l"), padded(prompt, 49407), -2, norm=False)
    second, projected = hidden_and_pooled(their("sdxl", "g"), padded(prompt, 0), -2, norm=False)
    agree(embedding, torch.cat([first, second], dim=-1))
    agree(pooled, projected)


def test_the_refiner_has_the_second_alone(place: Path) -> None:
    clip = clip_of("refiner", place)
    embedding, pooled = encode_tokens(clip, tokenize_prompt(clip, PROMPTS[1]))
    hidden, projected = hidden_and_pooled(their("refiner", "g"), padded(PROMPTS[1], 0), -2, norm=False)
    agree(embedding, hidden)
    agree(pooled, projected)


def test_a_layer_that_is_set_counts_for_both_encoders(place: Path) -> None:
    clip = clip_set_last_layer(clip=clip_of("sdxl", place), stop_at_clip_layer=-3)
    embedding, _ = encode_tokens(clip, tokenize_prompt(clip, PROMPTS[1]))
    first, _ = hidden_and_pooled(their("sdxl", "l"), padded(PROMPTS[1], 49407), -3, norm=False)
    second, _ = hidden_and_pooled(their("sdxl", "g"), padded(PROMPTS[1], 0), -3, norm=False)
    agree(embedding, torch.cat([first, second], dim=-1))


@pytest.mark.parametrize("is_openclip", [True, False])
def test_an_encoder_in_a_file_of_its_own_has_the_role_of_its_width(tmp_path: Path, is_openclip: bool) -> None:
    """OpenCLIP-H is recognised by its width, in both layouts; in transformers' its last layer may be left out."""
    whole = TextConfig(width=1024, layers=24, mlp=16, activation="gelu", projection=8)
    config = whole if is_openclip else TextConfig(width=1024, layers=23, mlp=16, activation="gelu", projection=8)
    shapes = text_shapes(config)
    weights = {name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}
    save_file(
        {n: t.contiguous() for n, t in (openclip_layout(weights) if is_openclip else weights).items()},
        tmp_path / "h.safetensors",
    )
    [encoder] = text_encoder_in(Checkpoint.open(tmp_path / "h.safetensors")).encoders
    assert (encoder.role.name, encoder.config) == ("h", config)
    assert encoder.role.layer_in(encoder.config) == (-2 if is_openclip else -1)
    assert encoder.role.layer_in(encoder.config, -1) == -1
    assert encoder.role.layer_in(encoder.config, -4) == (-4 if is_openclip else -3)


def test_both_layouts_are_one_network(tmp_path: Path) -> None:
    weights = random_text(OPENCLIP, seed=0)
    encoded = []
    for name, layout in (("a", weights), ("b", openclip_layout(weights))):
        save_file({n: t.contiguous() for n, t in layout.items()}, tmp_path / f"{name}.safetensors")
        clip = text_encoder_in(Checkpoint.open(tmp_path / f"{name}.safetensors"))
        encoded.append(encode_tokens(clip, tokenize_prompt(clip, PROMPTS[1])))
    assert torch.equal(encoded[0][0], encoded[1][0]) and torch.equal(encoded[0][1], encoded[1][1])


def test_a_checkpoint_is_used_to_the_last_tensor(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    for small in ("sd2", "sdxl", "refiner"):
        clip = clip_of(small, place)
        checkpoint = Checkpoint.open(clip.encoders[0].weights.path)
        handles = (model_in(checkpoint), text_encoder_in(checkpoint))
        warn_of_unused_tensors(checkpoint, [prefix for handle in handles for prefix in prefixes_of(handle)])
    assert not caplog.records


def test_an_embedding_has_vectors_for_each_encoder(
    tmp_path: Path, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = installation(tmp_path)
    file = tmp_path / "models" / "embeddings" / "style.safetensors"
    file.parent.mkdir(parents=True)
    save_file({"clip_l": torch.randn(2, 64), "clip_g": torch.randn(3, 128)}, file)
    clip = replace(clip_of("sdxl", place), folders=here)
    tokens = tokenize_prompt(clip, "a embedding:style cat")
    assert [sum(isinstance(token[0], dict) for token in tokens[name][0]) for name in ("l", "g")] == [2, 3]
    plain = clip_of("sdxl", place)
    embedding, pooled = encode_tokens(clip, tokens)
    other, other_pooled = encode_tokens(plain, tokenize_prompt(plain, "a cat"))
    assert not torch.equal(embedding[..., :64], other[..., :64]) and not torch.equal(
        embedding[..., 64:], other[..., 64:]
    )
    assert not torch.equal(pooled, other_pooled)
    save_file({"clip_l": torch.randn(2, 64)}, file)
    tokens = tokenize_prompt(clip, "a embedding:style cat")
    assert [sum(isinstance(token[0], dict) for token in tokens[name][0]) for name in ("l", "g")] == [2, 0]
    assert "style.safetensors has no vectors for this text encoder" in caplog.text
    assert "is left out of the prompt for OpenCLIP ViT-bigG" in caplog.text


def test_outputs_of_different_lengths_are_cut_to_the_shortest(place: Path) -> None:
    clip = clip_of("sdxl", place)
    tokens = tokenize_prompt(clip, "cat " * 80)
    whole, _ = encode_tokens(clip, tokens)
    cut, _ = encode_tokens(clip, {**tokens, "l": tokens["l"][:1]})
    assert whole.shape == (1, 154, 192) and cut.shape == (1, 77, 192)
    torch.testing.assert_close(cut, whole[:, :77], rtol=1e-4, atol=1e-5)
