"""Text becomes the ids that CLIP was trained on."""

import pytest

from nodes.text.tokenizer import (
    END,
    MAX_BYTES,
    START,
    VOCABULARY_SIZE,
    PromptError,
    merges,
    tokenize,
    vocabulary,
)


def ids(text: str) -> list[int]:
    return [piece.id for piece in tokenize(text)]


# The expected ids are what OpenAI's own tokenizer (SimpleTokenizer of openai/CLIP) gives.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("一个红苹果", [19759, 222, 19759, 103, 163, 118, 95, 164, 233, 117, 162, 252, 506]),
        (
            "蓝色背景的太阳。",
            [164, 241, 251, 164, 231, 110, 164, 225, 234, 48132, 107, 163, 248, 226, 23170, 103, 165, 246, 367, 38000],
        ),
        ("café naïve Ångström", [15304, 1097, 35689, 563, 23176, 10352, 807, 7255, 332]),
        ("cafe\u0301", [15304]),
        ("\U0001f34e\U0001f468\u200d\U0001f469\u200d\U0001f467\u2764\ufe0f", [2011, 236, 25023, 26304, 48938, 1752]),
        ("I'M don't we're", [328, 880, 847, 713, 649, 982]),
        ("2024 3.5", [273, 271, 273, 275, 274, 269, 276]),
        ("masterpiece, (best quality)", [12066, 267, 263, 949, 3027, 264]),
        ("_under_score__ --", [318, 1798, 318, 4431, 3838, 2432]),
        ("한국어 日本語", [15197, 250, 31871, 255, 31625, 368, 39121, 44353, 34002, 508]),
        ("don''t!!!'s", [847, 8445, 339, 11194, 262, 338]),
        ("Straße İ", [1894, 127, 253, 324, 328, 16384]),
        ("a\xa0b\u2003c", [320, 321, 322]),
    ],
)
def test_tokenizes_as_openai_does(text: str, expected: list[int]) -> None:
    assert ids(text) == expected


def test_words_are_written_in_the_byte_alphabet() -> None:
    assert [piece.word for piece in tokenize("A Cat, 猫")] == ["a</w>", "cat</w>", ",</w>", "ç", "Į", "«</w>"]


def test_the_vocabulary_has_an_id_for_each_byte_merge_and_mark() -> None:
    words = vocabulary()
    assert len(merges()) == 48_894
    assert len(words) == VOCABULARY_SIZE and sorted(words.values()) == list(range(VOCABULARY_SIZE))
    assert words["!"] == 0 and words["<|startoftext|>"] == START and words["<|endoftext|>"] == END


def test_entities_quotes_and_control_characters_are_read_as_written() -> None:
    assert ids("&amp;") == ids("& amp ;")
    assert ids("“") != ids('"')
    assert len(ids("a\0b")) == 3


def test_white_space_only_separates() -> None:
    assert ids(" red\t\n\u3000apple ") == ids("red apple")
    assert ids(" \n ") == ids("") == []


def test_marks_in_the_text_are_those_tokens() -> None:
    assert ids("cat<|endoftext|>dog") == [*ids("cat"), END, *ids("dog")]


def test_a_word_of_a_hundred_thousand_letters_is_tokenized() -> None:
    assert sum(len(piece.word.removesuffix("</w>")) for piece in tokenize("ab" * 50_000)) == 100_000


def test_what_is_no_prompt_is_refused() -> None:
    with pytest.raises(PromptError, match="200,001 bytes long; the limit is 200,000"):
        tokenize("a" * (MAX_BYTES + 1))
    with pytest.raises(PromptError, match=r"\\ud83c, at character 2"):
        tokenize("a \ud83c")
