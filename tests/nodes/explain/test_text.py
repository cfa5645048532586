"""Tokens, neighbours and similarities, against transformers' tokenizer and torch's cosine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from graph.folders import ModelFolder
from nodes import device
from nodes.explain.embeddings import neighbours, similarities, token_table
from nodes.explain.errors import ExplainError
from nodes.explain.text_nodes import explain_nearest_tokens, explain_prompt_similarity, explain_tokens
from nodes.explain.tokens import piece_text, read_prompt
from nodes.models.contents import text_encoder_in
from nodes.models.handle import Clip
from nodes.text.nodes import clip_text_encode
from nodes.text.tokenizer import PromptError, merges, vocabulary
from tests.nodes.conftest import NodeContext
from tests.nodes.explain.models import NAMES, checkpoint
from tests.nodes.explain.tables import cells

ORACLE = CLIPTokenizer(vocab=vocabulary(), merges=merges())  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def precision():  # type: ignore[no-untyped-def]
    device.configure("cpu", "fp32")
    yield
    device.configure()


@pytest.fixture(params=NAMES)
def clip(request: pytest.FixtureRequest) -> Clip:
    return text_encoder_in(checkpoint(request.param))


@pytest.fixture
def embedded() -> Clip:
    return text_encoder_in(checkpoint("embedded"))


@pytest.mark.parametrize("text", ["a photo of a red apple", "苹果", "photorealistic 日本語 🍎, naïve", "a|b *c* <d>"])
def test_the_table_holds_the_ids_of_transformers(clip: Clip, text: str, context: NodeContext) -> None:
    expected = [str(number) for number in ORACLE(text, add_special_tokens=False)["input_ids"]]
    headers, *rows = cells(explain_tokens(clip=clip, text=text, context=context).values[1])
    at = headers.index("id")
    kinds = [encoder.role.kind for encoder in clip.encoders]
    if len(kinds) == 1:
        assert headers[0] == "chunk" and [row[at] for row in rows] == expected
    else:
        assert kinds == ["CLIP ViT-L", "OpenCLIP ViT-bigG"]
        for kind in kinds:
            assert [row[at] for row in rows if row[0] == kind] == expected


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_pieces_spell_the_words_of_the_text(text: str) -> None:
    text = text.replace("(", "").replace(")", "").replace("\\", "")
    read = read_prompt(text_encoder_in(checkpoint("embedded")), text)[0]
    assert [token.id for token in read.tokens] == ORACLE(text, add_special_tokens=False)["input_ids"]
    for token in read.tokens:
        whole = not token.piece.startswith("‹")
        assert not whole or token.piece.removesuffix("-") in token.word or token.piece in token.word
        assert 1 <= token.part <= token.parts


def test_a_chinese_word_is_told_from_its_bytes(embedded: Clip) -> None:
    tokens = read_prompt(embedded, "苹果")[0].tokens
    assert bytes.fromhex("".join(token.piece.strip("‹›") for token in tokens)).decode() == "苹果"
    assert {token.word for token in tokens} == {"苹果"}
    assert [token.note for token in tokens] == [f"part {n} of 6 of '苹果'" for n in range(1, 7)]


def test_pieces_that_continue_end_in_a_hyphen() -> None:
    assert [piece_text(word) for word in ("photo", "realistic</w>", "ç", "<|endoftext|>")] == [
        "photo-",
        "realistic",
        "‹E7›",
        "<|endoftext|>",
    ]


def test_weights_are_shown(embedded: Clip) -> None:
    tokens = read_prompt(embedded, "a (red:1.4) ((apple)) (b:0.5)")[0].tokens
    assert [round(token.weight, 3) for token in tokens] == [1, 1.4, 1.21, 0.5]


def test_a_long_prompt_shows_its_chunks_and_where_clip_alone_would_cut(embedded: Clip, context: NodeContext) -> None:
    words = " ".join(f"word{n % 10}" for n in range(60))
    [read] = read_prompt(embedded, words)
    assert read.chunks == 2 and [len(read.in_chunk(n)) for n in (1, 2)] == [75, 45]
    first = read.in_chunk(2)[0]
    assert read.remarks[0] == (
        f"CLIP alone reads 75 tokens and would cut the prompt before '{first.word}': 45 tokens would be lost. "
        "Here they are in further chunks."
    )
    assert read.remarks[1].startswith("Split between chunks 1 and 2, after '")
    rows = cells(explain_tokens(clip=embedded, text=words, context=context).values[1])[1:]
    assert [row[:2] for row in rows] == [[str(1 + n // 75), str(1 + n % 75)] for n in range(120)]


def test_a_short_group_that_does_not_fit_moves_whole(embedded: Clip) -> None:
    [read] = read_prompt(embedded, "x " * 73 + "(one two three:1.2)")
    assert [len(read.in_chunk(n)) for n in (1, 2)] == [73, 3]
    assert read.remarks[1:] == ("'one two three' did not fit in chunk 1 and moved whole to chunk 2.",)


@pytest.mark.parametrize("count", [74, 75, 76, 150, 151])
def test_tokens_and_remarks_at_the_border_of_a_chunk(embedded: Clip, count: int) -> None:
    [read] = read_prompt(embedded, "cat " * count)
    assert len(read.tokens) == count and read.chunks == -(-count // 75)
    assert len(read.remarks) == (0 if count <= 75 else 1 + (count - 1) // 75)
    assert count != 76 or "1 token would be lost. Here it is in another chunk." in read.remarks[0]


def test_spellings_of_other_programs_are_explained(embedded: Clip) -> None:
    [read] = read_prompt(embedded, "a cat BREAK a [dog] <lora:style:1>")
    assert [remark.split(" ")[0] for remark in read.remarks] == ["BREAK", "Square", "<lora:…>"]
    assert read_prompt(embedded, "coffee break, (dog:0.5)")[0].remarks == ()


def test_tokens_without_a_vector_are_marked_and_have_no_neighbours(embedded: Clip, context: NodeContext) -> None:
    known, *unknown = read_prompt(embedded, "apple 🍎")[0].tokens
    assert known.known and not any(token.known for token in unknown)
    assert all(token.note.endswith("no vector") for token in unknown)
    [(_, near)] = neighbours(embedded, "apple 🍎", 4)
    assert [len(each) for _, each in near] == [4] + [0] * (len(near) - 1)
    table = explain_nearest_tokens(clip=embedded, text="apple 🍎", context=context).values[1]
    assert [row[2] for row in cells(table)[-len(unknown) :]] == ["no vector"] * len(unknown)


def test_an_encoder_is_named_by_its_width_if_it_is_not_the_published_one(clip: Clip) -> None:
    names = [prompt.encoder_name for prompt in read_prompt(clip, "a")]
    widths = [encoder.config.width for encoder in clip.encoders]
    assert names == [f"Text encoder ({width:,} wide)" for width in widths]
    roles = [replace(encoder, role=replace(encoder.role, width=encoder.config.width)) for encoder in clip.encoders]
    published = replace(clip, encoders=tuple(roles))
    assert [prompt.encoder_name for prompt in read_prompt(published, "a")] == [each.role.kind for each in clip.encoders]


def test_embeddings_are_shown_and_missing_ones_named(embedded: Clip, context: NodeContext, tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    folder.mkdir()
    width = embedded.encoders[0].config.width
    vectors = torch.randn(2, width, generator=torch.Generator().manual_seed(3))
    vectors[1] = token_table(embedded.encoders[0])[2368] * 3
    save_file({"emb_params": vectors}, folder / "mine.safetensors")
    clip = replace(embedded, folders=replace(context.folders, models={"embeddings": ModelFolder((folder,))}))
    [read] = read_prompt(clip, "a embedding:mine embedding:other cat")
    assert [token.id for token in read.tokens] == [320, None, None, 2368]
    assert [token.note for token in read.tokens[1:3]] == ["textual inversion"] * 2
    assert read.remarks == ("embedding:other was left out: the embeddings folder has no file with this name",)
    wide = "the vectors in wide.safetensors are 768 wide, this text encoder takes 128"
    save_file({"emb_params": torch.randn(1, 768)}, folder / "wide.safetensors")
    assert read_prompt(clip, "a embedding:wide")[0].remarks == (f"embedding:wide was left out: {wide}",)
    for name, reason in (("wide", wide), ("other", "no file with this name")):
        with pytest.raises(ExplainError, match=f"text has no tokens.*embedding:{name} was left out: .*{reason}"):
            neighbours(clip, f"embedding:{name}", 3)
        with pytest.raises(ExplainError, match=f"text_2 has no tokens.*embedding:{name} was left out: .*{reason}"):
            similarities(clip, "a", f"embedding:{name}", encoded=True)
    [(_, near)] = neighbours(clip, "embedding:mine", 3)
    assert near[1][1][0].piece == "cat" and near[1][1][0].cosine == pytest.approx(1, abs=1e-5)
    for encoded in (False, True):
        [result] = similarities(clip, "embedding:mine", "a cat", encoded)
        assert result.cosines.shape == (2, 2)


def test_prompts_of_thousands_of_words_are_shown_in_part(embedded: Clip, context: NodeContext) -> None:
    long = "a red apple and a green pear " * 500
    result = explain_tokens(clip=embedded, text=long, context=context)
    assert len(cells(result.values[1])) == 3501 and len(cells(result.ui["text"][0])) == 152
    assert "3,350 more rows" in result.ui["text"][0]
    assert result.values[0].shape[1] < 12_000
    [compared] = similarities(embedded, long, long, encoded=False)
    assert compared.cosines.shape == (150, 150)


def test_an_empty_prompt_has_no_tokens(clip: Clip, context: NodeContext) -> None:
    picture, table = explain_tokens(clip=clip, text="", context=context).values
    assert len(cells(table)) == 1 and picture.shape[2] == 900


def test_bad_prompts_are_refused(embedded: Clip, context: NodeContext) -> None:
    with pytest.raises(PromptError):
        explain_tokens(clip=embedded, text="(" * 100 + "a" + ")" * 100, context=context)
    with pytest.raises(ExplainError, match="text has no tokens"):
        explain_nearest_tokens(clip=embedded, text=" ", context=context)
    with pytest.raises(ExplainError, match="text_2 has no tokens"):
        explain_prompt_similarity(clip=embedded, text_1="a", text_2="", context=context)


def test_neighbours_are_those_of_torchs_cosine(clip: Clip) -> None:
    for prompt, tokens in neighbours(clip, "red apple", 5):
        table = prompt.encoder.network().text_model.embeddings.token_embedding.weight.float()
        assert [token.piece for token, _ in tokens] == ["red", "apple"]
        for token, near in tokens:
            cosines = F.cosine_similarity(table, table[token.id], dim=-1)
            cosines[token.id] = -2
            best = cosines.topk(5)
            assert [each.id for each in near] == best.indices.tolist()
            assert [each.cosine for each in near] == pytest.approx(best.values.tolist(), abs=1e-5)


def test_similarities_are_cosines_of_the_conditioning(clip: Clip) -> None:
    one, other = "a (red:1.3) apple", "苹果 pear"
    results = similarities(clip, one, other, encoded=True)
    encoded = [clip_text_encode(clip=clip, text=text)[0] for text in (one, other)]
    start = 0
    for encoder, result in zip(clip.encoders, results, strict=True):
        part = [each[0][0, :, start : start + encoder.config.width] for each in encoded]
        start += encoder.config.width
        for row, token in enumerate(result.one.tokens):
            expected = F.cosine_similarity(part[0][token.position], part[1][1 : 1 + len(result.other.tokens)], dim=-1)
            assert torch.allclose(result.cosines[row], expected, atol=1e-5)
        if encoder.role.pools:
            pooled = [each[1]["pooled_output"] for each in encoded]
            assert result.whole == pytest.approx(F.cosine_similarity(*pooled).item(), abs=1e-6)
        else:
            assert result.whole is None


def test_the_second_chunk_is_compared_with_its_own_vectors(embedded: Clip) -> None:
    long = "x " * 80 + "cat"
    [result] = similarities(embedded, long, long, encoded=True)
    assert torch.allclose(result.cosines.diagonal(), torch.ones(81), atol=1e-5)
    hidden = clip_text_encode(clip=embedded, text=long)[0][0][0]
    expected = F.cosine_similarity(hidden[1], hidden[77 + 6], dim=0)
    assert result.cosines[0, 80] == pytest.approx(expected.item(), abs=1e-5)


def test_in_the_token_table_a_word_is_the_same_everywhere(clip: Clip, context: NodeContext) -> None:
    for result in similarities(clip, "red apple", "apple red", encoded=False):
        assert torch.allclose(result.cosines.flip(1).diagonal(), torch.ones(2), atol=1e-5) and result.whole is None
    shown = explain_prompt_similarity(
        clip=clip, text_1="red apple", text_2="apple red", compare="token table", context=context
    )
    tables = shown.values[1].split("\n\n")
    assert len(tables) == len(clip.encoders) and cells(tables[0])[1][2] == "1.000"


def test_each_node_shows_its_card_and_its_table(embedded: Clip, context: NodeContext) -> None:
    results: list[Any] = [
        explain_tokens(clip=embedded, text="a cat", context=context),
        explain_nearest_tokens(clip=embedded, text="cat", context=context),
        explain_prompt_similarity(clip=embedded, text_1="a cat", text_2="a dog", context=context),
    ]
    for result in results:
        picture, table = result.values
        assert picture.shape[0] == 1 and result.ui["text"] == [table] and table.startswith("| ")
        [file] = result.ui["images"]
        assert file["type"] == "temp" and (context.folders.temp / file["filename"]).exists()
    assert list(context.folders.output.iterdir()) == []
