"""A1111's prompts: emphasis that keeps the mean, chunks, embeddings by name, and texts that change by step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graph.folders import Folders, ModelFolder
from nodes.models.handle import Clip
from nodes.text.a1111_encoding import encode_a1111, weighted
from nodes.text.a1111_nodes import clip_text_encode_a1111
from nodes.text.a1111_prompt import chunks_of, runs_of
from nodes.text.embeddings import plain_embedding_fingerprint
from nodes.text.nodes import clip_encode_tokens, clip_set_last_layer, clip_text_encode
from nodes.text.tokenizer import PromptError, tokenize
from nodes.text.tokens import text_of


def chunks(clip: Clip, text: str) -> list[list[tuple[str, float]]]:
    """Words and weights of each chunk."""
    found = chunks_of(runs_of(text), clip.encoders[0], clip.folders)
    return [[(token[2].removesuffix("</w>"), round(token[1], 4)) for token in text_of(chunk)] for chunk in found]


@pytest.fixture
def clip_with_embeddings(clip: Clip, tmp_path: Path) -> Clip:
    folder = tmp_path / "embeddings"
    (folder / "sub").mkdir(parents=True)
    save_file({"emb_params": torch.full((3, 64), 0.25)}, folder / "sub" / "Bad Hands-5.safetensors")
    save_file({"emb_params": torch.zeros(2, 32)}, folder / "other.safetensors")
    models = {"embeddings": ModelFolder((folder,), frozenset({".safetensors"}))}
    return replace(clip, folders=Folders(tmp_path, tmp_path, tmp_path, tmp_path, models))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a (b) [c]", [("a", 1.0), ("b", 1.1), ("c", 0.9091)]),
        ("((a:1.5) b:2)", [("a", 3.0), ("b", 2.0)]),
        ("(a [b:1.2])", [("a", 1.1), ("b", 1.0), (":", 1.0), ("1", 1.0), (".", 1.0), ("2", 1.0)]),
        (r"\(a\) (b", [("(", 1.0), ("a", 1.0), (")", 1.0), ("b", 1.1)]),
    ],
)
def test_weights_multiply(clip: Clip, text: str, expected: list[tuple[str, float]]) -> None:
    assert chunks(clip, text) == [expected]


def test_break_ends_a_chunk(clip: Clip) -> None:
    words = [[word for word, _ in chunk] for chunk in chunks(clip, "a BREAK b BREAK BREAK (c BREAK d:1.3)")]
    assert words == [["a"], ["b"], [], ["c"], ["d"]]


def test_a_long_text_is_divided_after_a_comma_near_the_end(clip: Clip) -> None:
    near = chunks(clip, "cat " * 60 + ", " + "dog " * 20)
    assert [len(chunk) for chunk in near] == [61, 20]
    far = chunks(clip, "cat " * 50 + ", " + "dog " * 30)
    assert [len(chunk) for chunk in far] == [75, 6]
    at_the_limit = chunks(clip, "cat " * 55 + ", " + "dog " * 20)
    assert [len(chunk) for chunk in at_the_limit] == [56, 20]


def test_emphasis_keeps_the_mean_of_each_chunk(clip: Clip) -> None:
    text = "a (red:1.6) apple BREAK [blue] sky"
    ((embedding, options),) = encode_a1111(clip, text, steps=20)
    parts = [chunks_of(runs_of(text), clip.encoders[0], None)[k] for k in (0, 1)]
    for k, chunk in enumerate(parts):
        bare = [(token[0], 1.0, token[2]) for token in chunk]
        ((plain, _),) = clip_encode_tokens(clip=clip, tokens={"l": [bare]})
        expected = plain * torch.tensor([token[1] for token in chunk])[:, None]
        expected *= plain.mean() / expected.mean()
        torch.testing.assert_close(embedding[:, 77 * k : 77 * (k + 1)], expected)
    assert options.keys() == {"pooled_output"}


def test_a_plain_prompt_is_encoded_as_sumi_does(clip: Clip) -> None:
    ((expected, others),) = clip_text_encode(clip=clip, text="a red apple, on a table")
    ((found, options),) = clip_text_encode_a1111(clip=clip, text="a red apple, on a table")
    assert torch.equal(found, expected) and torch.equal(options["pooled_output"], others["pooled_output"])


def test_the_mean_is_that_of_all_texts_of_a_schedule() -> None:
    hidden = torch.randn(2, 3, 77, 8, generator=torch.Generator().manual_seed(0)) + 1
    weights = torch.ones(2, 3, 77)
    weights[0, 1, 5] = 1.4
    found = weighted(hidden, weights, keep_mean=True)
    for chunk in range(3):
        torch.testing.assert_close(found[:, chunk].mean(), hidden[:, chunk].mean())
    bare = weighted(hidden, weights, keep_mean=False)
    assert torch.equal(bare[0, 1, 5], hidden[0, 1, 5] * 1.4) and torch.equal(bare[1], hidden[1])


@pytest.mark.parametrize(("emphasis", "words"), [("Ignore", 2), ("No norm", 2), ("None", 6)])
def test_other_kinds_of_emphasis(clip: Clip, emphasis: str, words: int) -> None:
    ((found, _),) = clip_text_encode_a1111(clip=clip, text="a (b:2)", emphasis=emphasis)  # type: ignore[arg-type]
    assert found.shape == (1, 77, 64)
    ((plain, _),) = clip_text_encode(clip=clip, text="a b")
    assert torch.equal(found, plain) == (emphasis == "Ignore")
    runs = runs_of("a (b:2)", emphasis)  # type: ignore[arg-type]
    assert sum(len(tokenize(run.text)) for run in runs) == words


def test_clip_skip_changes_only_encoders_whose_last_layer_is_used(clip: Clip) -> None:
    ((expected, _),) = clip_text_encode(clip=clip_set_last_layer(clip=clip, stop_at_clip_layer=-2), text="a cat")
    ((found, _),) = clip_text_encode_a1111(clip=clip, text="a cat", clip_skip=2)
    assert torch.equal(found, expected)
    encoder = clip.encoders[0]
    deeper = replace(clip, encoders=(replace(encoder, role=replace(encoder.role, layer=-2)),))
    ((first, _),) = clip_text_encode_a1111(clip=deeper, text="a cat", clip_skip=1)
    ((second, _),) = clip_text_encode_a1111(clip=deeper, text="a cat", clip_skip=3)
    assert torch.equal(first, second)


def test_embeddings_by_their_plain_names(clip_with_embeddings: Clip) -> None:
    clip = clip_with_embeddings
    found = chunks(clip, "a (bad  HANDS-5:1.3), b")
    vectors = [(f"embedding:sub/Bad Hands-5.safetensors[{k}]", 1.3) for k in range(3)]
    assert found == [[("a", 1.0), *vectors, (",", 1.0), ("b", 1.0)]]
    full = [[word for word, _ in chunk] for chunk in chunks(clip, "cat " * 73 + "bad hands-5")]
    assert [len(chunk) for chunk in full] == [73, 3], "an embedding's vectors stay together"
    assert [word for word, _ in chunks(clip, "some other thing")[0]] == ["some", "other", "thing"]
    ((embedding, _),) = clip_text_encode_a1111(clip=clip, text="bad hands-5")
    assert embedding.isfinite().all()


def test_the_fingerprint_names_the_embeddings_of_the_text(clip_with_embeddings: Clip) -> None:
    folders = clip_with_embeddings.folders
    assert folders is not None
    named = plain_embedding_fingerprint("a [bad hands - 5]", folders)
    assert [(name, file) for name, file, _ in named] == [("Bad Hands-5", "sub/Bad Hands-5.safetensors")]
    assert plain_embedding_fingerprint("a cat", folders) == []


def test_texts_that_change_and_parts(clip: Clip) -> None:
    entries = encode_a1111(clip, "a [cat:dog:10] AND b :0.5", steps=20)
    assert [options.get("step_ranges") for _, options in entries] == [[(0, 11)], [(11, None)], None]
    assert [options["composed"] for _, options in entries] == [(0, 1.0), (0, 1.0), (1, 0.5)]
    assert same(entries[1][0], clip_text_encode(clip=clip, text="a dog")[0][0])
    ((one, options),) = encode_a1111(clip, "a AND b", steps=20, compose=False)
    assert "composed" not in options and same(one, clip_text_encode(clip=clip, text="a and b")[0][0])


def test_texts_of_different_lengths_get_the_same_number_of_chunks(clip: Clip) -> None:
    entries = encode_a1111(clip, "[a:" + "cat " * 80 + ":5]", steps=10)
    assert [embedding.shape[1] for embedding, _ in entries] == [154, 154]
    empty = clip_text_encode(clip=clip, text="")[0][0]
    torch.testing.assert_close(entries[0][0][:, 77:], empty)


@pytest.mark.parametrize("text", ["(" * 70 + "a", "\ud800", "a" * 300_000])
def test_unusable_prompts(clip: Clip, text: str) -> None:
    with pytest.raises(PromptError):
        encode_a1111(clip, text, steps=20)


def same(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first, second, atol=1e-5)
