"""Cross-attention maps against diffusers' attention scores on the same weights, and what recording leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from nodes.changes.adding import with_changes
from nodes.conditioning.nodes import conditioning_set_area
from nodes.explain.attention_record import AttentionRecord, attention_probabilities, stretched
from nodes.explain.errors import ExplainError
from nodes.explain.sampling_nodes import explain_cross_attention
from nodes.models.changes import RawCall
from nodes.text.nodes import clip_text_encode
from nodes.training.single_file import tensors_of
from tests.nodes.explain.small_runs import FAMILIES, Family, family, plain_latent
from tests.oracle.diffusers_unet import diffusers_unet

LONG = "a red apple and a cat and a dog and a house and a tree, " * 7


@pytest.fixture(scope="module")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return family("sd1", tmp_path_factory.mktemp("sd1"))


def recorded(context: Any, run: dict[str, Any]) -> tuple[AttentionRecord, Tensor]:
    record = AttentionRecord(run["positive"][0][0].shape[1])
    return record, plain_latent(context, {**run, "model": record.attached_to(run["model"])})


@torch.no_grad()
def expected_maps(small: Family, context: Any, run: dict[str, Any]) -> Tensor:
    """The mean of diffusers' cross-attention probabilities in every call of the run, [tokens, h, w]."""
    calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def keep(proceed: Any, call: RawCall) -> Tensor:
        item = call.options["cond_or_uncond"].index(0)
        assert call.text is not None
        calls.append((call.x[item : item + 1], call.timesteps[item], call.text[item : item + 1]))
        return proceed(call)

    plain_latent(context, {**run, "model": with_changes(small.model, around_network=(keep,))})
    weights = {name: tensor.float() for name, tensor in tensors_of(small.model).items()}
    unet = diffusers_unet(small.model.config, weights)
    scores: list[Tensor] = []
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            module.set_processor(AttnProcessor())
            original = module.get_attention_scores

            def kept(*given: Any, original: Any = original) -> Tensor:
                scores.append(original(*given))
                return scores[-1]

            module.get_attention_scores = kept
    added = {}
    if small.model.config.adm_in_channels is not None:
        pooled = run["positive"][0][1]["pooled_output"]
        added = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]])}}
    for x, timestep, text in calls:
        unet(x, timestep, encoder_hidden_states=text, **added)
    by_size: dict[int, Tensor] = {}
    for each in scores:
        mean = each.mean(0)  # [heads, positions, tokens]
        by_size[len(mean)] = by_size.get(len(mean), torch.zeros_like(mean)) + mean
    total = torch.zeros(run["positive"][0][0].shape[1], 8, 8)
    for positions, summed in by_size.items():
        side = int(positions**0.5)
        small_maps = summed.T.unflatten(1, (side, side))[None]
        total += F.interpolate(small_maps, size=(8, 8), mode="bicubic", align_corners=False)[0].clamp(min=0)
    return total / len(scores)


@pytest.mark.parametrize("name", FAMILIES)
def test_maps_are_the_mean_of_diffusers_scores(name: str, context: Any, tmp_path: Path) -> None:
    small = family(name, tmp_path)
    run = small.run(steps=3)
    record, latent = recorded(context, run)
    assert torch.equal(latent, plain_latent(context, run))
    maps = record.maps()
    expected = expected_maps(small, context, run)
    assert maps.shape == (77, 8, 8)
    assert (maps - expected).abs().max() < 1e-4 * float(expected.max())
    assert torch.allclose(maps.sum(0), torch.ones(8, 8), atol=0.02)
    transformers = sum(name.endswith("attn2.to_q.weight") for name in tensors_of(small.model))
    assert len(record.layers) == transformers and record.calls == 3 * transformers


def test_a_prompt_of_several_chunks_has_maps_for_all_of_its_tokens(sd1: Family, context: Any) -> None:
    run = sd1.run(prompt=LONG, steps=2)
    record, latent = recorded(context, run)
    assert torch.equal(latent, plain_latent(context, run))
    maps = record.maps()
    assert maps.shape[0] == 154 and (maps - expected_maps(sd1, context, run)).abs().max() < 1e-5
    assert maps[77:].mean() > 0


def test_a_text_that_is_repeated_beside_a_longer_one_keeps_its_shares(sd1: Family, context: Any) -> None:
    run = sd1.run(steps=1)
    beside_long = {**run, "negative": clip_text_encode(text=LONG, clip=sd1.clip)}
    alone, repeated = recorded(context, run)[0].maps(), recorded(context, beside_long)[0].maps()
    assert repeated.shape == alone.shape and torch.allclose(alone, repeated, atol=1e-5)


def test_only_the_first_picture_and_the_prompts_own_area_count(sd1: Family, context: Any) -> None:
    run = sd1.run(steps=1)
    two = recorded(context, {**run, "latent_image": {"samples": torch.zeros(2, 4, 8, 8)}})[0].maps()
    noise = {**run, "latent_image": {"samples": torch.zeros(1, 4, 8, 8)}}
    assert torch.allclose(two, recorded(context, noise)[0].maps(), atol=1e-5)
    area = conditioning_set_area(conditioning=run["positive"], width=32, height=64, x=32, y=0, strength=1.0)
    other = clip_text_encode(text="a dog", clip=sd1.clip)
    maps = recorded(context, {**run, "positive": [*area, *other]})[0].maps()
    assert not maps[:, :, :4].any() and torch.allclose(maps[:, :, 4:].sum(0), torch.ones(8, 4), atol=0.02)


def test_patches_and_replacements_of_attention_are_recorded_with_it(sd1: Family, context: Any) -> None:
    def doubled(query: Tensor, key: Tensor, value: Tensor, options: Any) -> tuple[Tensor, Tensor, Tensor]:
        return query * 2, key, value

    inside = sd1.model.changes.inside.with_patch("attn2_patch", doubled)
    run = sd1.run(steps=2, model=with_changes(sd1.model, inside=inside))
    record, latent = recorded(context, run)
    assert torch.equal(latent, plain_latent(context, run)) and record.maps().isfinite().all()
    assert not torch.allclose(record.maps(), recorded(context, sd1.run(steps=2))[0].maps(), atol=1e-4)


def test_recording_leaves_the_model_itself_unchanged(sd1: Family) -> None:
    AttentionRecord(77).attached_to(sd1.model)
    assert not sd1.model.changes


def test_probabilities_are_those_of_the_paper() -> None:
    query, key = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
    found = attention_probabilities(query, key)
    scores = torch.einsum("hqd,hkd->hqk", query, key) / 8**0.5
    assert torch.allclose(found, scores.exp() / scores.exp().sum(-1, keepdim=True), atol=1e-6)


def test_the_node_shows_words_and_phrases(sd1: Family, context: Any) -> None:
    run = {name: value for name, value in sd1.run(steps=2).items() if name != "positive"}
    text = "a red apple, 苹果 and a cat"
    result = explain_cross_attention(**run, clip=sd1.clip, text=text, decode="fast preview", context=context)
    picture, table, maps, latent = result.values
    positive = clip_text_encode(text=text, clip=sd1.clip)
    assert torch.equal(latent["samples"], plain_latent(context, {**run, "positive": positive}))
    names = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert names == ["a", "red", "apple", "苹", "果", "and", "a (2)", "cat", "start token", "end and padding"]
    assert maps.shape == (8, 8, 8) and maps.min() == 0 and maps.max() == 1
    shares = [float(line.split("|")[3].strip().removesuffix("%")) for line in table.splitlines()[2:]]
    assert 97 < sum(shares) <= 101  # punctuation has the rest
    assert result.ui["text"] == [table] and picture.shape[2:] == (900, 3)
    some = explain_cross_attention(
        **run, clip=sd1.clip, text=text, words="Red apple, 苹果", decode="fast preview", context=context
    )
    assert some.values[2].shape[0] == 2
    assert [line.split("|")[2].strip() for line in some.values[1].splitlines()[2:4]] == ["2", "6"]


def test_a_conditioning_of_another_text_is_reported(
    sd1: Family, context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = {**sd1.run(steps=1, prompt="a dog"), "clip": sd1.clip, "decode": "fast preview", "context": context}
    longer = [[torch.cat([run["positive"][0][0]] * 2, 1), run["positive"][0][1]]]
    for positive in (run["positive"], longer):
        explain_cross_attention(**{**run, "positive": positive}, text="a dog")
    assert "positive was not made from this text" not in caplog.text
    explain_cross_attention(**run, text="a cat")
    assert "positive was not made from this text" in caplog.text


def test_bad_inputs_name_what_is_wrong(sd1: Family, context: Any) -> None:
    run = {**sd1.run(steps=1), "clip": sd1.clip, "decode": "fast preview", "context": context}
    with pytest.raises(ExplainError, match="no 'dog'; its words are a, red, apple"):
        explain_cross_attention(**run, text="a red apple", words="dog")
    with pytest.raises(ExplainError, match="positive has 77 tokens, the text has 154"):
        explain_cross_attention(**run, text=LONG)
    with pytest.raises(ExplainError, match="no steps"):
        explain_cross_attention(**{**run, "denoise": 0.0}, text="a red apple")


def test_maps_are_stretched_from_their_least_to_their_most() -> None:
    assert stretched(torch.tensor([[2.0, 3.0], [4.0, 2.0]])).tolist() == [[0.0, 0.5], [1.0, 0.0]]
    assert not stretched(torch.full((2, 2), 0.3)).any()
