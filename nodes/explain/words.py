"""Finds the words of a prompt among its tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from nodes.explain.errors import ExplainError
from nodes.text.tokenizer import END_WORD, START_WORD, WORD_END, bytes_of
from nodes.text.tokens import CHUNK, Chunk, Token, Tokens, text_of

_UNSPACED: Final = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGZHOU", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""First words of the Unicode names of letters that are written without spaces between words."""


@dataclass(frozen=True)
class Word:
    """A word of a prompt, and the positions of its tokens among all tokens of the prompt, 77 for each chunk."""

    text: str
    positions: tuple[int, ...]


def words_of(tokens: Tokens) -> list[Word]:
    """Return the words of a prompt in order, without punctuation.

    The tokens of a word are joined. Letters of scripts without spaces, such as Chinese characters, are words of their
    own, unless a token holds several. All vectors of a textual inversion are one word. Of a model with several text
    encoders, the first one's tokens count: the others have the same ones.
    """
    chunks = next(iter(tokens.values()))
    found: list[Word] = []
    for number, chunk in enumerate(chunks):
        found += _words_in(chunk, number * CHUNK + 1)
    return found


def numbered(words: Sequence[Word]) -> list[str]:
    """Return the words' texts; the second and later places of a word get its number in brackets."""
    seen: dict[str, int] = {}
    names = []
    for word in words:
        seen[word.text] = seen.get(word.text, 0) + 1
        names.append(word.text if seen[word.text] == 1 else f"{word.text} ({seen[word.text]})")
    return names


def chosen_words(words: Sequence[Word], wanted: str) -> list[Word]:
    """Return the words and phrases of ``wanted``, separated by commas, with the positions of all their tokens.

    A phrase such as "red apple" or 苹果 is joined from consecutive words; every place at which it occurs counts. If
    ``wanted`` is empty, all ``words`` are returned. Raises ExplainError for one that ``words`` do not contain.
    """
    phrases = [phrase for part in wanted.replace("，", ",").split(",") if (phrase := part.strip())]
    if not phrases:
        return list(words)
    return [found for phrase in phrases for found in _places(words, phrase)]


def _places(words: Sequence[Word], phrase: str) -> list[Word]:
    spelled = _compact(phrase)
    found = []
    for start in range(len(words)):
        joined = ""
        for end in range(start, len(words)):
            joined += _compact(words[end].text)
            if joined == spelled:
                positions = tuple(position for word in words[start : end + 1] for position in word.positions)
                found.append(Word(phrase, positions))
            if len(joined) >= len(spelled):
                break
    if not found:
        raise ExplainError(f"the text has no '{phrase}'; its words are {', '.join(word.text for word in words)}")
    return found


def _compact(text: str) -> str:
    """Return the letters of a phrase as the tokenizer writes them, without spaces and punctuation."""
    lowered = unicodedata.normalize("NFC", text).lower()
    return "".join(character for character in lowered if _is_shown(character))


def _is_shown(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) in ("So", "Mn", "Mc")


def _words_in(chunk: Chunk, first: int) -> Iterator[Word]:
    """Yield the words of a chunk, whose first text token is at position ``first``."""
    spelled, positions = b"", list[int]()
    embedding: tuple[str, list[int]] | None = None
    for position, token in enumerate(text_of(chunk), start=first):
        name = _embedding_of(token)
        if embedding is not None and name != embedding[0]:
            yield Word(embedding[0], tuple(embedding[1]))
            embedding = None
        if name is not None:
            embedding = (name, [*(embedding[1] if embedding else ()), position])
            continue
        word = token[2]
        if word in (START_WORD, END_WORD):
            continue
        spelled += bytes_of(word)
        positions.append(position)
        text = _decoded(spelled)
        if word.endswith(WORD_END) or (text is not None and all(_is_unspaced(letter) for letter in text)):
            shown = spelled.decode("utf-8", errors="replace")
            if any(_is_shown(character) for character in shown):
                yield Word(shown, tuple(positions))
            spelled, positions = b"", []
    if positions:
        yield Word(spelled.decode("utf-8", errors="replace"), tuple(positions))
    if embedding is not None:
        yield Word(embedding[0], tuple(embedding[1]))


def _embedding_of(token: Token) -> str | None:
    return token[0]["embedding"] if isinstance(token[0], dict) else None


def _decoded(spelled: bytes) -> str | None:
    """Return the text that ``spelled`` is in UTF-8, None if its last character is not complete."""
    try:
        return spelled.decode("utf-8")
    except UnicodeDecodeError:
        return None


@cache
def _is_unspaced(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(_UNSPACED)
