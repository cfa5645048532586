"""The words of a prompt and their tokens."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.explain.errors import ExplainError
from nodes.explain.words import chosen_words, numbered, words_of
from nodes.text.tokenizer import bytes_of, tokenize
from nodes.text.tokens import Tokens, chunked


def tokens_of(text: str) -> Tokens:
    return {"l": chunked([[(piece.id, 1.0, piece.word) for piece in tokenize(text)]])}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a photo of a strawberry-cake, 4k!", "a photo of a strawberry cake 4 k"),
        ("antidisestablishmentarianism rocks", "antidisestablishmentarianism rocks"),
        ("一只可爱的大熊猫", "一 只 可 爱 的 大 熊 猫"),
        ("苹果apple と ねこ", "苹 果 apple と ね こ"),
        ("кошка and café", "кошка and café"),
        ("🍎 , . !", "🍎"),
        ("", ""),
    ],
)
def test_words_are_whole_and_chinese_characters_apart(text: str, words: str) -> None:
    tokens = tokens_of(text)
    found = words_of(tokens)
    assert [word.text for word in found] == words.split()
    chunk = tokens["l"][0]
    for word in found:
        spelled = b"".join(bytes_of(chunk[position][2]) for position in word.positions)
        assert spelled.decode() == word.text


def test_words_of_later_chunks_have_their_own_positions() -> None:
    words = words_of(tokens_of("red " * 80 + "cat"))
    assert words[74].positions == (75,) and words[75].positions == (78,) and words[-1].text == "cat"
    assert numbered(words)[:2] == ["red", "red (2)"]


def test_an_embeddings_vectors_are_one_word(context: Any) -> None:
    from nodes.text.prompt import tokenize_prompt
    from tests.nodes.explain.small_runs import family

    clip = family("sd1", context.folders.input).clip
    tokens = tokenize_prompt(clip, "a cat")
    vectors = [({"embedding": "style", "vector": number}, 1.0, f"embedding:style[{number}]") for number in range(3)]
    chunk = tokens["l"][0]
    words = words_of({"l": [[*chunk[:2], *vectors, *chunk[2:-3]]]})
    assert [(word.text, word.positions) for word in words] == [("a", (1,)), ("style", (2, 3, 4)), ("cat", (5,))]


def test_phrases_join_consecutive_words() -> None:
    words = words_of(tokens_of("a red apple, a Red apple and 大熊猫"))
    chosen = chosen_words(words, "red apple， 熊猫,and")
    assert [(word.text, word.positions) for word in chosen[:2]] == [("red apple", (2, 3)), ("red apple", (6, 7))]
    assert [word.text for word in chosen[2:]] == ["熊猫", "and"] and len(chosen[2].positions) == 6
    assert chosen_words(words, " ") == words
    with pytest.raises(ExplainError, match="no 'blue apple'"):
        chosen_words(words, "blue apple")


def test_every_piece_of_the_vocabulary_has_its_bytes() -> None:
    from nodes.text.tokenizer import vocabulary

    words = list(vocabulary())[:-2]
    assert sorted(bytes_of(word) for word in words[:256]) == [bytes([number]) for number in range(256)]
    assert bytes_of("photo</w>") == b"photo" and all(bytes_of(word) for word in words)
