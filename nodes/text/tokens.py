"""A prompt as chunks of weighted tokens.

Plain data, so that it can be read, stored and sent: ``{"l": chunks}`` for a model with CLIP ViT-L, an entry for
each text encoder of a model with several (``{"l": …, "g": …}`` for SDXL). A chunk is what the encoder sees at once: 77
tokens, the first the start token, an end token behind the text, the rest padding. A token is
``(id, weight, word)``, for example ``(1125, 1.0, "photo</w>")``; in place of the id a vector of a
textual inversion is ``{"embedding": name, "vector": number}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, TypedDict

from nodes.text.tokenizer import END, END_WORD, START, START_WORD, PromptError

CHUNK: Final = 77
ROOM: Final = CHUNK - 2
"""Tokens of text in a chunk."""
LARGE_GROUP: Final = 8
"""A word group of at least so many tokens may be split between two chunks."""
MAX_CHUNKS: Final = 1000
"""75,000 tokens; the conditioning of an SD1 prompt that long takes 236 MB."""

_PADDING_WORDS: Final = {END: END_WORD, 0: "!"}


class EmbeddingVector(TypedDict):
    """One vector of a textual inversion file."""

    embedding: str
    vector: int


Token: TypeAlias = tuple[int | EmbeddingVector, float, str]
Chunk: TypeAlias = list[Token]
Tokens: TypeAlias = dict[str, list[Chunk]]


def chunked(groups: Iterable[list[Token]], padding: int = END) -> list[Chunk]:
    """Fill chunks with word groups, in order; at least one chunk.

    A group that does not fit the rest of a chunk moves whole to the next one if it is shorter than
    LARGE_GROUP, and is split otherwise. Raises PromptError if that takes more than MAX_CHUNKS.
    """
    texts: list[list[Token]] = [[]]
    for group in groups:
        rest = group
        while len(rest) > ROOM - len(texts[-1]):
            if len(group) >= LARGE_GROUP:
                room = ROOM - len(texts[-1])
                texts[-1] += rest[:room]
                rest = rest[room:]
            if len(texts) == MAX_CHUNKS:
                raise PromptError(f"the prompt has more than {MAX_CHUNKS * ROOM:,} tokens; shorten it")
            texts.append([])
        texts[-1] += rest
    return [_closed(text, padding) for text in texts]


def describe(tokens: Tokens) -> str:
    """The words of each chunk in a line, weights other than 1 behind them: ``a</w> red</w>×1.4``."""
    lines = []
    for encoder, chunks in tokens.items():
        for number, chunk in enumerate(chunks, start=1):
            text = _text(chunk)
            words = " ".join(word if weight == 1.0 else f"{word}×{weight:g}" for _, weight, word in text)
            lines.append(f"{encoder} {number}/{len(chunks)} ({len(text)} tokens): {words}".rstrip())
    return "\n".join(lines)


def _closed(text: list[Token], padding: int) -> Chunk:
    filling: Token = (padding, 1.0, _PADDING_WORDS[padding])
    return [(START, 1.0, START_WORD), *text, (END, 1.0, END_WORD), *[filling] * (ROOM - len(text))]


def _text(chunk: Chunk) -> list[Token]:
    """The tokens of a chunk without start, end and padding."""
    end = len(chunk)
    while end > 1 and chunk[end - 1] == chunk[-1]:
        end -= 1
    # With end tokens as padding the text's own end token is gone by now.
    return chunk[1 : end if chunk[-1][0] == END else end - 1]
