"""A prompt as chunks of weighted tokens.

It is plain data, so that it can be read, stored and sent: ``{"l": chunks}`` for a model with CLIP ViT-L, one entry for
each text encoder of a model with several (``{"l": …, "g": …}`` for SDXL). The encoder processes one chunk at a time: 77
tokens, of which the first is the start token; an end token follows the text, and the rest is padding. A token is
``(id, weight, word)``, for example ``(1125, 1.0, "photo</w>")``. A vector of a textual inversion has
``{"embedding": name, "vector": number}`` instead of the id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, TypedDict

from nodes.text.tokenizer import END, END_WORD, START, START_WORD, PromptError

CHUNK: Final = 77
ROOM: Final = CHUNK - 2
"""Number of text tokens in a chunk."""
LARGE_GROUP: Final = 8
"""Number of tokens from which a word group may be split between two chunks."""
MAX_CHUNKS: Final = 1000
"""Maximum number of chunks: 75,000 tokens. The conditioning of an SD1 prompt of this length takes 236 MB."""

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

    A group that does not fit in the rest of a chunk moves to the next one if it is shorter than
    LARGE_GROUP; otherwise it is split. Raises PromptError for more than MAX_CHUNKS chunks.
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
    return [closed(text, padding) for text in texts]


def describe(tokens: Tokens) -> str:
    """Return the words of each chunk in a line, followed by weights other than 1: ``a</w> red</w>×1.4``."""
    lines = []
    for encoder, chunks in tokens.items():
        for number, chunk in enumerate(chunks, start=1):
            text = text_of(chunk)
            words = " ".join(word if weight == 1.0 else f"{word}×{weight:g}" for _, weight, word in text)
            lines.append(f"{encoder} {number}/{len(chunks)} ({len(text)} tokens): {words}".rstrip())
    return "\n".join(lines)


def text_of(chunk: Chunk) -> list[Token]:
    """Return the tokens of a chunk without start, end and padding."""
    end = len(chunk)
    while end > 1 and chunk[end - 1] == chunk[-1]:
        end -= 1
    # If the padding consists of end tokens, the text's own end token has been removed with it.
    return chunk[1 : end if chunk[-1][0] == END else end - 1]


def closed(text: list[Token], padding: int = END) -> Chunk:
    """Return the chunk of at most ROOM tokens: between the start and the end token, padded."""
    filling: Token = (padding, 1.0, _PADDING_WORDS[padding])
    return [(START, 1.0, START_WORD), *text, (END, 1.0, END_WORD), *[filling] * (ROOM - len(text))]
